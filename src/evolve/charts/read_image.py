"""What does a picture of a chart say? Its axes, its curves as numbers, and return, drawdown, volatility and trend, with their errors.

Errors come from what was measured: how far the labels lie from their line, how thick the curve is, how much of it is hidden.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from evolve.cards import ImageAnalysis, ReadAxis, ReadCurve
from evolve.charts import trace
from evolve.charts.axis_labels import at_pixels
from evolve.charts.image_file import Picture
from evolve.charts.panels import Panel, date_axis_below, in_panels, panels_of
from evolve.charts.reading import Calibration
from evolve.charts.shapes import Shape, shapes_of
from evolve.errors import InvalidRequest
from evolve.evidence import Evidence, EvidenceBook, Unit, render

Floats = NDArray[np.float64]
YEAR_S = 365.25 * 86_400
STRIDE = 10  # columns between the values that volatility is taken from: neighbouring columns lie on one straight piece
MAX_POINTS = 2_000
NEAR_ZERO = 0.03  # of a curve's range: a line of 2 pixels in a panel of 100, and its halo
LINE_ERROR_PX = 0.5  # where in its thickness a drawn line's value lies
METHOD = "curves followed by column, by colour and by ink; labels by RapidOCR; axes by RANSAC"


def read_chart(picture: Picture, analysis: str, calibration: Calibration | None) -> ImageAnalysis:
    """What can be read; `unread` names the rest. Raises InvalidRequest where no curve stands out, MissingExtra without
    the recogniser and without a calibration."""
    stains = trace.stains_of(picture.pixels, trace.ground_of(picture.pixels))
    unread: list[str] = []
    shapes = shapes_of(picture, stains, analysis, unread)
    if not shapes:
        raise InvalidRequest(
            "no curve stands out in this picture; give one with solid lines, in a colour or in black, or with coloured candles"
        )
    panels = panels_of(picture, stains, shapes, calibration, unread)
    placed = in_panels(shapes, panels, unread) if panels else []
    x_axis = date_axis_below(picture, shapes, calibration, unread)
    book = EvidenceBook()
    curves = tuple(
        _curve(shape, _name(number, panel, panels), panel, x_axis, picture, book) for number, (shape, panel) in enumerate(placed, 1)
    )  # fmt: skip
    return ImageAnalysis(
        success=bool(curves),
        image_path=picture.path,
        analysis_type=analysis,
        width=picture.width,
        height=picture.height,
        analysis=_in_words(curves, unread),
        curves=curves,
        y_axis=panels[0].axis if panels else None,
        x_axis=x_axis,
        unread=tuple(dict.fromkeys(unread)),
        method=METHOD if calibration is None else "curves followed by column; axes as given",
        other_axes=tuple(panel.axis for panel in panels[1:]),
    )


def _name(number: int, panel: Panel, panels: list[Panel]) -> str:
    return f"curve {number}" if panel is panels[0] else f"curve {number} (panel {panels.index(panel) + 1})"


# --- figures ---


def _curve(
    shape: Shape,
    name: str,
    panel: Panel,
    dates: ReadAxis | None,
    picture: Picture,
    book: EvidenceBook,
) -> ReadCurve:
    axis, percentages = panel.axis, panel.percentages
    values, path = at_pixels(axis, shape.y), at_pixels(axis, shape.path)
    rows = float(np.hypot(LINE_ERROR_PX, axis.residual_px / np.sqrt(max(1, axis.labels - 2)))) * (1 + shape.gaps)
    # Of each point: a row of a logarithmic axis is worth more the higher it lies, one of a linear axis the same everywhere.
    off, path_off = (rows * np.abs(at_pixels(axis, y + 1) - at_pixels(axis, y)) for y in (shape.y, shape.path))
    error = float(np.median(off))
    seconds = at_pixels(dates, shape.x) if dates is not None else None
    figures = _figures(name, shape, values, off, path, path_off, seconds, percentages, picture, book)
    picks = np.unique(np.linspace(0, len(values) - 1, min(MAX_POINTS, len(values))).astype(int))
    if seconds is None:
        x = tuple(f"{shape.x[pick]:g}" for pick in picks)
    else:
        x = tuple(datetime.fromtimestamp(float(seconds[pick]), UTC).strftime("%Y-%m-%d") for pick in picks)
    return ReadCurve(name, shape.kind, shape.colour, x, tuple(float(values[pick]) for pick in picks), error, figures)


def _figures(
    name: str, shape: Shape, values: Floats, error: Floats, path: Floats, path_error: Floats, seconds: Floats | None, percentages: bool,
    picture: Picture, book: EvidenceBook,
) -> tuple[Evidence, ...]:  # fmt: skip
    """Errors are of one standard deviation, in the axis's units, one per value; an interval is two of them to each side."""
    as_of = datetime.fromtimestamp(float(seconds[-1]), UTC).strftime("%Y-%m-%d") if seconds is not None else "unknown"

    def add(what: str, value: float | None, unit: Unit, computed: str, off: float = 0.0, note: str = "") -> Evidence:
        low, high = (value - 2 * off, value + 2 * off) if value is not None and off > 0 else (None, None)
        return book.add(what, name, value, unit, as_of=as_of, source=f"read from {picture.path}", computed=computed, low=low, high=high, level=0.95 if low is not None else None, note=note)  # fmt: skip

    # A chart of percentages shows returns since its start: growth is one more than they are.
    scale = 100 if percentages else 1
    growth, walked = (1 + values / 100, 1 + path / 100) if percentages else (values, path)
    found = [
        add("first_value", float(values[0]), "ratio", "value at the left end", float(error[0])),
        add("last_value", float(values[-1]), "ratio", "value at the right end", float(error[-1])),
    ]
    if walked.min() <= 0:
        why = "the curve reaches zero or less, where a return has no meaning"
        return (*found, *(add(each, None, "fraction", "", note=why) for each in ("total_return", "drawdown", "volatility", "trend")))  # fmt: skip
    relative, walked_relative = error / scale / growth, path_error / scale / walked
    # Zero is read as well as anything else: within the error of a value, and of the line's own width.
    nearly = 2 * float(np.median(error)) + NEAR_ZERO * float(np.ptp(values))
    if percentages and values.max() <= nearly and values[0] >= -nearly:
        why = "the curve shows drawdowns: it starts at zero and never rises above"
        found.append(
            add(
                "drawdown",
                float(values.min()) / 100,
                "fraction",
                "lowest value of a curve of drawdowns",
                float(error[values.argmin()]) / 100,
            )
        )
        return (
            *found,
            *(add(each, None, "fraction", "", note=why) for each in ("total_return", "volatility", "trend")),
        )
    ratio = float(growth[-1] / growth[0])
    found.append(add("total_return", ratio - 1, "fraction", "right end over left end, less one", ratio * float(np.hypot(relative[0], relative[-1]))))  # fmt: skip
    falls = walked / np.maximum.accumulate(walked) - 1
    bottom = int(falls.argmin())
    peak, fall = int(walked[: bottom + 1].argmax()), float(falls[bottom])
    found.append(add("drawdown", fall, "fraction", "deepest fall from a peak along the line", (1 + fall) * float(np.hypot(walked_relative[peak], walked_relative[bottom]))))  # fmt: skip
    if seconds is None:
        why = "the dates could not be read"
        return (*found, add("volatility", None, "fraction", "", note=why), add("trend", None, "fraction", "", note=why))
    stride = STRIDE if shape.kind == "line" else 1
    steps = np.diff(np.log(growth[::stride]))
    years = float(np.median(np.diff(seconds[::stride]))) / YEAR_S
    whole = float(seconds[-1] - seconds[0]) / YEAR_S
    if len(steps) < 8 or years <= 0 or whole <= 0:
        why = "the curve is too short"
        return (*found, add("volatility", None, "fraction", "", note=why), add("trend", None, "fraction", "", note=why))
    volatility = float(np.sqrt(np.mean(steps**2) / years))
    noise = 2 * float(np.mean(relative**2)) / years  # reading errors add to the variance of each step
    found.append(add("volatility", volatility, "fraction", f"root mean square of changes over {stride} columns or candles, annualised", max(volatility / np.sqrt(2 * len(steps)), abs(volatility - float(np.sqrt(max(0.0, volatility**2 - noise)))))))  # fmt: skip
    slope = float(np.polyfit((seconds - seconds[0]) / YEAR_S, np.log(growth), 1)[0])
    found.append(
        add(
            "trend",
            float(np.exp(slope) - 1),
            "fraction",
            "growth a year along the straight line through the logarithms",
        )
    )
    return tuple(found)


def _in_words(curves: tuple[ReadCurve, ...], unread: list[str]) -> str:
    said = []
    for curve in curves:
        by_name = {figure.name: figure for figure in curve.figures}
        parts = [f"{word} {render(by_name[name])}" for word, name in (("return", "total_return"), ("deepest fall", "drawdown"), ("volatility a year", "volatility"), ("trend a year", "trend")) if by_name[name].value is not None]  # fmt: skip
        said.append(f"{curve.name} ({curve.kind}, {curve.colour}): {', '.join(parts) or 'no figures'}.")
    return " ".join([*said, *(f"Not read: {what}." for what in unread)])
