"""Which bars did the user bring? Imported bars, one Parquet file per symbol and timeframe under `<home>/bars/`.

A file is complete or absent (written aside, then renamed) and says what it must contain: a hash over the description and the
fingerprint of the values are checked on every load, so that a damaged file is never mistaken for a market.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evolve.errors import DataUnavailable, Unavailable
from evolve.market import arrow
from evolve.market.bars import FIELDS, Bars
from evolve.market.calendar import bars_per_year
from evolve.market.sources.base import BarSpec
from evolve.market.types import TIMEFRAMES, Timeframe

FORMAT = 1  # of the description; a file of a later format is refused, not guessed at
_FILE = re.compile(r"(?P<symbol>[A-Z0-9][A-Z0-9.\-]{0,19})_(?P<timeframe>[0-9]+[mhdw])\.parquet")


@dataclass(frozen=True, slots=True)
class Replaced:
    """What stood in the store before a save: how many bars, from when to when (ISO dates; empty if it was unreadable)."""

    bars: int
    first: str
    last: str


class BarStore:
    """Imported bars of one home directory. Several processes may read and write at once; the last writer wins."""

    name = "imported"

    def __init__(self, home: Path) -> None:
        self.directory = home / "bars"

    def symbols(self) -> list[BarSpec]:
        """What has been imported, sorted. Raises Unavailable when the directory cannot be read."""
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unavailable("read", error) from None
        specs = []
        for match in filter(None, map(_FILE.fullmatch, names)):
            timeframe = _timeframe(match["timeframe"])
            if timeframe is not None:
                specs.append(BarSpec(match["symbol"], timeframe))
        return sorted(specs)

    def load(self, spec: BarSpec) -> Bars:
        """The bars as they were saved. Raises DataUnavailable when there are none or the file is damaged."""
        import pyarrow as pa  # see `market.arrow` for why not at the top

        path = self._path(spec)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise DataUnavailable(f"no {spec.timeframe} bars of {spec.symbol} have been imported") from None
        except OSError as error:
            raise self._unavailable("read", error) from None
        try:
            table = arrow.open_parquet(content).read()
            time = arrow.integers_of(table.column("time"))
            values = {name: arrow.floats_of(table.column(name)) for name in FIELDS}
            stored = table.schema.metadata or {}
            description = stored[b"evolve"]
            intact = stored[b"evolve_sha256"].decode() == hashlib.sha256(description).hexdigest()
            about = json.loads(description)
            readable = intact and about["format"] == FORMAT
        except (pa.ArrowException, KeyError, ValueError, OSError):
            raise self._damaged(spec) from None
        if not readable:
            raise self._damaged(spec)
        try:
            bars = Bars(
                symbol=spec.symbol,
                timeframe=spec.timeframe,
                time=time,
                open=values["open"],
                high=values["high"],
                low=values["low"],
                close=values["close"],
                volume=values["volume"],
                source=about["source"],
                bars_per_year=bars_per_year(spec.symbol, spec.timeframe),
                currency=about["currency"],
                notes=tuple(about["notes"]),
            )
        except DataUnavailable:  # impossible values, which were never saved so
            raise self._damaged(spec) from None
        if bars.fingerprint != about["fingerprint"]:
            raise self._damaged(spec)
        return bars

    def remove(self, spec: BarSpec) -> None:
        """Forget imported bars. Raises DataUnavailable when there are none, Unavailable when the file cannot be removed."""
        path = self._path(spec)
        try:
            path.unlink()
        except FileNotFoundError:
            raise DataUnavailable(f"no {spec.timeframe} bars of {spec.symbol} have been imported") from None
        except OSError as error:
            raise self._unavailable("remove", error) from None

    def save(self, bars: Bars) -> Replaced | None:
        """Keep `bars` in place of any earlier import of the same symbol and timeframe; what was replaced, or None.

        Raises Unavailable when the directory cannot be written, and ValueError for simulated bars, which must never pass for
        imported ones.
        """
        if bars.simulated:
            raise ValueError("simulated bars are made anew each time; only real ones are stored")
        description = json.dumps(
            {
                "format": FORMAT,
                "symbol": bars.symbol,
                "timeframe": bars.timeframe,
                "source": bars.source,
                "currency": bars.currency,
                "notes": bars.notes,
                "fingerprint": bars.fingerprint,
            },
            sort_keys=True,
        ).encode()
        table = arrow.table_of({name: getattr(bars, name) for name in ("time", *FIELDS)})
        table = table.replace_schema_metadata(
            {"evolve": description, "evolve_sha256": hashlib.sha256(description).hexdigest()}
        )
        spec = BarSpec(bars.symbol, bars.timeframe)
        replaced = self._standing(spec)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            _write_atomically(self._path(spec), arrow.parquet_bytes(table))
        except OSError as error:
            raise self._unavailable("write", error) from None
        return replaced

    def _standing(self, spec: BarSpec) -> Replaced | None:
        if not self._path(spec).exists():
            return None
        try:
            bars = self.load(spec)
        except DataUnavailable:
            return Replaced(0, "", "")  # damaged: importing again is the cure, not a reason to refuse
        return Replaced(len(bars), bars.date(0), bars.date(-1))

    def _path(self, spec: BarSpec) -> Path:
        return self.directory / f"{spec.symbol}_{spec.timeframe}.parquet"

    def _damaged(self, spec: BarSpec) -> DataUnavailable:
        return DataUnavailable(
            f"the stored {spec.timeframe} bars of {spec.symbol} are damaged or were changed ({self._path(spec)}); import them again"
        )

    def _unavailable(self, verb: str, error: OSError) -> Unavailable:
        return Unavailable(
            f"cannot {verb} bars in {self.directory}: {error.strerror}; set EVOLVE_HOME to a directory you can {verb}"
        )


def _write_atomically(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".importing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _timeframe(text: str) -> Timeframe | None:
    return next((timeframe for timeframe in TIMEFRAMES if timeframe == text), None)
