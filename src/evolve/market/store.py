"""Which bars did the user bring or fetch? Kept as Parquet under `<home>/bars/SYMBOL/TIMEFRAME/`, one partition per year.

`manifest.json` names the partitions with their hashes and says what they hold; it is written last and atomically, so a set of
bars is whole or absent. Its own hash, each partition's, and the fingerprint of the values are checked on every load, so that a
damaged file is never mistaken for a market. Partitions are named after their content: a set that grew rewrites its last year.

Files of the first format, `<home>/bars/SYMBOL_TIMEFRAME.parquet`, are read still and replaced at the next save.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from evolve.errors import DataUnavailable, InvalidRequest, Unavailable
from evolve.files import write_whole
from evolve.market import arrow
from evolve.market.bars import FIELDS, Bars
from evolve.market.calendar import bars_per_year
from evolve.market.provenance import Dividend, Provenance, Split
from evolve.market.sources.base import BarSpec, Progress, Span, unheard, within
from evolve.market.types import TIMEFRAMES, Timeframe

FORMAT = 2  # of the manifest; one of a later format is refused, not guessed at
FIRST_FORMAT = 1
MANIFEST = "manifest.json"
COLUMNS = ("time", *FIELDS)
READS = 3  # a reader whose partitions were replaced under it reads the new manifest
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.\-]{0,19}")
_SET_FILE = re.compile(r"manifest\.json|[0-9]{4}-[0-9a-f]{16}\.parquet")
_OLD_FILE = re.compile(r"(?P<symbol>[A-Z0-9][A-Z0-9.\-]{0,19})_(?P<timeframe>[0-9]+[mhdw])\.parquet")


@dataclass(frozen=True, slots=True)
class Replaced:
    """What stood in the store before a save: how many bars, from when to when (ISO dates; empty if it was unreadable)."""

    bars: int
    first: str
    last: str


class BarStore:
    """Imported and fetched bars of one home directory. Several processes may read and write at once; the last writer wins."""

    name = "imported"

    def __init__(self, home: Path) -> None:
        self.directory = home / "bars"

    def symbols(self) -> list[BarSpec]:
        """What has been stored, sorted. Raises Unavailable when the directory cannot be read."""
        specs: set[BarSpec] = set()
        try:
            for name in os.listdir(self.directory):
                if (match := _OLD_FILE.fullmatch(name)) and match["timeframe"] in TIMEFRAMES:
                    specs.add(BarSpec(match["symbol"], _timeframe(match["timeframe"])))
                elif _SYMBOL.fullmatch(name) and (self.directory / name).is_dir():
                    specs |= {
                        BarSpec(name, timeframe)
                        for timeframe in TIMEFRAMES
                        if (self.directory / name / timeframe / MANIFEST).is_file()
                    }
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unavailable("read", error) from None
        return sorted(specs)

    def load(self, spec: BarSpec, span: Span | None = None, progress: Progress = unheard) -> Bars:
        """The bars as they were saved. Raises DataUnavailable when there are none or the files are damaged."""
        for attempt in range(READS):
            try:
                manifest = self._manifest(spec)
                if manifest is None:
                    return within(self._load_first_format(spec), span)
                return within(self._read(spec, manifest), span)
            except _Vanished:
                if attempt == READS - 1:
                    raise self._damaged(spec) from None
            except OSError as error:
                raise self._unavailable("read", error) from None
        raise AssertionError("unreachable")

    def remove(self, spec: BarSpec) -> None:
        """Forget stored bars. Raises DataUnavailable when there are none, Unavailable when they cannot be removed."""
        found = False
        try:
            with suppress(FileNotFoundError):
                self._old_path(spec).unlink()
                found = True
            place = self._place(spec)
            with suppress(FileNotFoundError):
                (place / MANIFEST).unlink()  # first: without it there are no bars
                found = True
            shutil.rmtree(place, ignore_errors=True)
            with suppress(OSError):
                place.parent.rmdir()  # the symbol's last timeframe
        except OSError as error:
            raise self._unavailable("remove", error) from None
        if not found:
            raise self._none(spec)

    def save(self, bars: Bars) -> Replaced | None:
        """Keep `bars` in place of any earlier set of the same symbol and timeframe; what was replaced, or None.

        Raises Unavailable when the directory cannot be written, and ValueError for simulated bars, which must never pass for
        real ones.
        """
        if bars.simulated:
            raise ValueError("simulated bars are made anew each time; only real ones are stored")
        spec = BarSpec(bars.symbol, bars.timeframe)
        replaced = self._standing(spec)
        place = self._place(spec)
        try:
            place.mkdir(parents=True, exist_ok=True)
            with _locked(place):
                partitions = [_write_partition(place, year, part) for year, part in _years(bars)]
                write_whole(place / MANIFEST, _manifest_of(bars, partitions), durable=True)
                named = {partition["file"] for partition in partitions}
                for path in place.glob("*.parquet"):
                    if path.name not in named:
                        path.unlink(missing_ok=True)
            self._old_path(spec).unlink(missing_ok=True)
        except OSError as error:
            raise self._unavailable("write", error) from None
        return replaced

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The files of every set, as they lie here, checked: for a backup. Sets of the first format are given in today's."""
        for spec in self.symbols():
            bars = self.load(spec)
            partitions = [(_partition(year, part)) for year, part in _years(bars)]
            place = f"{spec.symbol}/{spec.timeframe}"
            for named, content in partitions:
                yield f"{place}/{named['file']}", content
            yield f"{place}/{MANIFEST}", _manifest_of(bars, [named for named, _ in partitions])

    def put_files(self, files: Mapping[str, bytes]) -> None:
        """Put back what `files` gave; manifests last, so that a set is whole or absent. Raises Unavailable."""
        try:
            for name in sorted(files, key=lambda name: name.endswith(MANIFEST)):
                symbol, timeframe, file = name.split("/")
                if not (_SYMBOL.fullmatch(symbol) and timeframe in TIMEFRAMES and _SET_FILE.fullmatch(file)):
                    raise InvalidRequest(f"{name[:80]!r} is no file of a set of bars")
                path = self.directory / symbol / timeframe / file
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, files[name], durable=True)
        except OSError as error:
            raise self._unavailable("write", error) from None

    def keep_only(self, files: Mapping[str, bytes]) -> None:
        """Forget every set that is not among these files."""
        kept = {tuple(name.split("/")[:2]) for name in files}
        for spec in self.symbols():
            if (spec.symbol, spec.timeframe) not in kept:
                self.remove(spec)

    def _manifest(self, spec: BarSpec) -> dict[str, Any] | None:
        """The description of a stored set, its hash checked; None where there is none."""
        try:
            head, _, description = (self._place(spec) / MANIFEST).read_bytes().partition(b"\n")
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            about = json.loads(description)
            if hashlib.sha256(description).hexdigest().encode() != head or about["format"] != FORMAT:
                raise self._damaged(spec)
            return dict(about)
        except (ValueError, KeyError, TypeError):
            raise self._damaged(spec) from None

    def _read(self, spec: BarSpec, about: dict[str, Any]) -> Bars:
        import pyarrow as pa  # see `market.arrow` for why not at the top

        parts: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        for partition in about["partitions"]:
            try:
                content = (self._place(spec) / partition["file"]).read_bytes()
            except FileNotFoundError:
                raise _Vanished from None
            if hashlib.sha256(content).hexdigest() != partition["sha256"]:
                raise self._damaged(spec)
            try:
                table = arrow.open_parquet(content).read()
                parts["time"].append(arrow.integers_of(table.column("time")))
                for name in FIELDS:
                    parts[name].append(arrow.floats_of(table.column(name)))
            except (pa.ArrowException, KeyError, ValueError):
                raise self._damaged(spec) from None
        return self._checked(spec, {name: np.concatenate(values) for name, values in parts.items()}, about)

    def _load_first_format(self, spec: BarSpec) -> Bars:
        """One file per symbol and timeframe, with its description in the schema."""
        import pyarrow as pa

        try:
            content = self._old_path(spec).read_bytes()
        except FileNotFoundError:
            raise self._none(spec) from None
        try:
            table = arrow.open_parquet(content).read()
            values: dict[str, Any] = {"time": arrow.integers_of(table.column("time"))}
            values |= {name: arrow.floats_of(table.column(name)) for name in FIELDS}
            stored = table.schema.metadata or {}
            description = stored[b"evolve"]
            intact = stored[b"evolve_sha256"].decode() == hashlib.sha256(description).hexdigest()
            about = json.loads(description)
            readable = intact and about["format"] == FIRST_FORMAT
        except (pa.ArrowException, KeyError, ValueError, OSError):
            raise self._damaged(spec) from None
        if not readable:
            raise self._damaged(spec)
        return self._checked(spec, values, about)

    def _checked(self, spec: BarSpec, values: dict[str, Any], about: dict[str, Any]) -> Bars:
        try:
            bars = Bars(
                symbol=spec.symbol,
                timeframe=spec.timeframe,
                **values,
                source=about["source"],
                bars_per_year=bars_per_year(spec.symbol, spec.timeframe),
                currency=about["currency"],
                notes=tuple(about["notes"]),
                provenance=_provenance(about.get("provenance")),
            )
        except (DataUnavailable, KeyError, TypeError):  # impossible values, which were never saved so
            raise self._damaged(spec) from None
        if bars.fingerprint != about["fingerprint"]:
            raise self._damaged(spec)
        return bars

    def _standing(self, spec: BarSpec) -> Replaced | None:
        if spec not in self.symbols():
            return None
        try:
            bars = self.load(spec)
        except DataUnavailable:
            return Replaced(0, "", "")  # damaged: importing again is the cure, not a reason to refuse
        return Replaced(len(bars), bars.date(0), bars.date(-1))

    def _place(self, spec: BarSpec) -> Path:
        return self.directory / spec.symbol / spec.timeframe

    def _old_path(self, spec: BarSpec) -> Path:
        return self.directory / f"{spec.symbol}_{spec.timeframe}.parquet"

    def _none(self, spec: BarSpec) -> DataUnavailable:
        return DataUnavailable(f"no {spec.timeframe} bars of {spec.symbol} have been imported")

    def _damaged(self, spec: BarSpec) -> DataUnavailable:
        place = self._place(spec) if self._place(spec).exists() else self._old_path(spec)
        return DataUnavailable(
            f"the stored {spec.timeframe} bars of {spec.symbol} are damaged or were changed ({place}); import or fetch them again"
        )

    def _unavailable(self, verb: str, error: OSError) -> Unavailable:
        return Unavailable(
            f"cannot {verb} bars in {self.directory}: {error.strerror}; set EVOLVE_HOME to a directory you can {verb}"
        )


class _Vanished(Exception):
    """A partition that the manifest names is gone: another process saved a newer set."""


def _years(bars: Bars) -> Iterator[tuple[int, Bars]]:
    """The bars of each calendar year (UTC), oldest first."""
    years = bars.time.astype("datetime64[ms]").astype("datetime64[Y]").astype(np.int64) + 1970
    edges = [0, *(np.flatnonzero(np.diff(years)) + 1).tolist(), len(bars)]
    for start, stop in pairwise(edges):
        yield int(years[start]), bars.slice(start, stop)


def _write_partition(place: Path, year: int, bars: Bars) -> dict[str, Any]:
    named, content = _partition(year, bars)
    path = place / named["file"]
    # An untouched year stays as it is; one whose content no longer fits its name was damaged, and is mended.
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != named["sha256"]:
        write_whole(path, content, durable=True)
    return named


def _partition(year: int, bars: Bars) -> tuple[dict[str, Any], bytes]:
    """What the manifest says of a year, and the year."""
    content = arrow.parquet_bytes(arrow.table_of({name: getattr(bars, name) for name in COLUMNS}))
    digest = hashlib.sha256(content).hexdigest()
    named = {
        "year": year,
        "file": f"{year}-{digest[:16]}.parquet",
        "sha256": digest,
        "bars": len(bars),
        "first": bars.date(0),
        "last": bars.date(-1),
    }
    return named, content


def _manifest_of(bars: Bars, partitions: list[dict[str, Any]]) -> bytes:
    description = json.dumps(
        {
            "format": FORMAT,
            "symbol": bars.symbol,
            "timeframe": bars.timeframe,
            "source": bars.source,
            "currency": bars.currency,
            "notes": bars.notes,
            "fingerprint": bars.fingerprint,
            "provenance": None if bars.provenance is None else asdict(bars.provenance),
            "available_at_last": datetime.fromtimestamp(int(bars.available_at[-1]) / 1000, UTC).isoformat(),
            "partitions": partitions,
        },
        sort_keys=True,
        indent=1,
    ).encode()
    return hashlib.sha256(description).hexdigest().encode() + b"\n" + description


def _provenance(about: Any) -> Provenance | None:
    if about is None:
        return None
    return Provenance(
        **{
            **about,
            "splits": tuple(Split(**split) for split in about["splits"]),
            "dividends": tuple(Dividend(**dividend) for dividend in about["dividends"]),
        }
    )


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """One writer at a time: a second one would clear away partitions that the first has yet to name."""
    with (place / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _timeframe(text: str) -> Timeframe:
    return next(timeframe for timeframe in TIMEFRAMES if timeframe == text)
