"""`evolve plot`, `evolve report` and `evolve read-chart`: what they send, and what they print."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evolve.errors import InvalidRequest, TooLarge

Send = Callable[[Any, dict[str, Any], float | None], Any]
MAX_COPY = 20 << 20  # what the service reads at most


def draw(
    send: Send, plot_type: str, source: str, theme: str, format: str, timeframe: str | None, simulate: bool, *, as_json: bool, timeout: float | None
) -> None:  # fmt: skip
    from evolve.contracts.multimodal import GeneratePlot

    config = {"theme": theme, "format": format, "timeframe": timeframe, "simulate": simulate}
    reply = send(GeneratePlot, {"plot_type": plot_type, "data_source": source, "plot_config": config}, timeout)
    _show(reply, [reply.result.save_path, *(f"note: {note}" for note in reply.result.notes)], as_json)


def report(
    send: Send, source: str, theme: str, simulate: bool, pdf: Path | None, *, as_json: bool, timeout: float | None
) -> None:
    """A PDF is written by the service, into its own directory, and from there moved to where the user wants it."""
    from evolve.contracts.multimodal import GenerateReport

    config = {"theme": theme, "simulate": simulate}
    fields: dict[str, Any] = {"data_source": source, "plot_config": config}
    if pdf is not None:
        fields["save_path"] = f"plots/report-{uuid.uuid4().hex[:12]}.pdf"
    reply = send(GenerateReport, fields, timeout)
    if pdf is not None:
        _moved(Path(reply.result.save_path), pdf)
        reply = reply.model_copy(update={"result": replace(reply.result, save_path=str(pdf))})
    _show(reply, [reply.result.save_path, *(f"not shown: {what}" for what in reply.result.without)], as_json)


def read(
    send: Send,
    image: Path,
    analysis: str,
    calibrate: Sequence[str],
    model: str | None,
    *,
    as_json: bool,
    timeout: float | None,
) -> None:
    """The service reads from few directories only: what the user names is copied into one of them, and removed again."""
    from evolve.contracts.multimodal import AnalyzeImage
    from evolve.settings import Settings

    copy = _copied(image, Settings.load().home / "images")
    try:
        fields: dict[str, Any] = {"image_path": str(copy), "analysis_type": analysis, "model_name": model}
        if calibrate:
            fields["calibration"] = {"y": [_point(word) for word in calibrate]}
        reply = send(AnalyzeImage, fields, timeout)
    finally:
        copy.unlink(missing_ok=True)
    found = reply.result
    lines = [f"{image}: {found.width} × {found.height} pixels", found.analysis or "nothing could be read"]
    if found.description:
        lines.append(f"{found.described_by} sees: {' '.join(found.description)}")
    lines += [f"note: {why}" for why in found.undescribed]
    _show(reply, lines, as_json)


def _moved(made: Path, wanted: Path) -> None:
    try:
        wanted.write_bytes(made.read_bytes())
        made.unlink()
    except OSError as error:
        raise InvalidRequest(f"cannot write {wanted}: {error.strerror}; the report is in {made}") from None


def _copied(image: Path, place: Path) -> Path:
    try:
        with image.open("rb") as file:
            content = file.read(MAX_COPY + 1)
        if len(content) > MAX_COPY:
            raise TooLarge(f"{image} has more than {MAX_COPY:,} bytes; save it smaller")
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=place, prefix="read-", suffix=image.suffix[:8])
        with os.fdopen(handle, "wb") as copy:
            copy.write(content)
    except OSError as error:
        raise InvalidRequest(f"cannot read {image}: {error.strerror}") from None
    return Path(name)


def _point(word: str) -> tuple[float, float]:
    pixel, _, value = word.partition("=")
    try:
        return float(pixel), float(value)
    except ValueError:
        raise InvalidRequest(f"--y takes PIXEL=VALUE, such as --y 120=250, not {word!r}") from None


def _show(reply: Any, lines: Sequence[str], as_json: bool) -> None:
    from evolve.cli.show import console, print_json

    if as_json:
        print_json(reply)
        return
    output = console()
    for line in lines:
        output.print(line, markup=False, highlight=False, soft_wrap=True)
