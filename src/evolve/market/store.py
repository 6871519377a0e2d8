"""Which bars did the user bring or fetch? Kept as Parquet, one partition per symbol, timeframe and year.

A manifest names the partitions with their hashes; it is written last and whole, so a set of bars is there or absent, never half
(`bar_files.py`). Its own hash, each partition's, and the fingerprint of the values are checked on every load, so that a damaged file
is never mistaken for a market. They stand under `<home>/bars`, or where EVOLVE_BARS_URL says (`shelves.py`).

Files of the first format, `<home>/bars/SYMBOL_TIMEFRAME.parquet`, are read still and replaced at the next save.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from evolve.errors import Busy, DataUnavailable, InvalidRequest, Unavailable
from evolve.folders import Directory, folder
from evolve.market import bar_files
from evolve.market.bar_cache import BarCache
from evolve.market.bar_files import BarFiles
from evolve.market.bars import Bars
from evolve.market.shelves import MANIFEST, DirectoryShelf, SharedShelf, Shelf, is_symbol
from evolve.market.sources.base import BarSpec, Progress, Span, unheard, within
from evolve.market.types import TIMEFRAMES, Timeframe
from evolve.settings import Settings

READS = 3  # a reader whose partitions were replaced under it reads the new manifest
_SET_FILE = re.compile(r"manifest\.json|[0-9]{4}-[0-9a-f]{16}\.parquet")


@dataclass(frozen=True, slots=True)
class Replaced:
    """What stood in the store before a save: how many bars, from when to when (ISO dates; empty if it was unreadable)."""

    bars: int
    first: str
    last: str


class BarStore:
    """Imported and fetched bars. Several processes and machines may read and write at once; the last writer wins."""

    name = "imported"

    def __init__(self, home: Path | Shelf) -> None:
        """home: the directory `bars` in it; see `open` for what the settings say."""
        self._shelf = DirectoryShelf(home / "bars") if isinstance(home, Path) else home

    @classmethod
    def open(cls, settings: Settings) -> BarStore:
        """EVOLVE_BARS_URL, else the directory `bars` of the home. Raises InvalidRequest or MissingExtra for an address."""
        if settings.bars_url is None:
            return cls(settings.home)
        place = folder(settings.bars_url, variable="EVOLVE_BARS_URL")
        if isinstance(place, Directory):  # a volume that many machines mount: writers take turns by its locks
            return cls(DirectoryShelf(place.root))
        cache = BarCache(settings.home / "cached_bars", max_bytes=settings.bars_cache_mb << 20)
        return cls(SharedShelf(place, cache))

    @property
    def directory(self) -> Path:
        """Where the files of a store in a directory lie."""
        return cast(DirectoryShelf, self._shelf).directory

    def symbols(self) -> list[BarSpec]:
        """What has been stored, sorted. Raises Unavailable when the place cannot be read."""
        try:
            return sorted(self._shelf.specs())
        except OSError as error:
            raise self._unavailable("read", error) from None

    def load(self, spec: BarSpec, span: Span | None = None, progress: Progress = unheard) -> Bars:
        """The bars as they were saved. Raises DataUnavailable when there are none or the files are damaged."""
        for attempt in range(READS):
            try:
                manifest = self._shelf.manifest(spec)
                if manifest is None:
                    return within(self._load_first_format(spec), span)
                return within(self._read(spec, manifest), span)
            except FileNotFoundError:  # a partition: another process saved a newer set
                if attempt == READS - 1:
                    raise self._damaged(spec) from None
            except OSError as error:
                raise self._unavailable("read", error) from None
        raise AssertionError("unreachable")

    def remove(self, spec: BarSpec) -> None:
        """Forget stored bars. Raises DataUnavailable when there are none, Unavailable when they cannot be removed."""
        try:
            found = self._shelf.remove(spec)
        except OSError as error:
            raise self._unavailable("remove", error) from None
        if not found:
            raise self._none(spec)

    def save(self, bars: Bars, *, seen: str | None = None) -> Replaced | None:
        """Keep `bars` in place of any earlier set of the same symbol and timeframe; what was replaced, or None.

        seen: the fingerprint of the set that `bars` were joined with ("": there was none). Raises Busy, and leaves all as it is, when
        another one stands there now; Unavailable when the place cannot be written, and ValueError for simulated bars, which must
        never pass for real ones.
        """
        if bars.simulated:
            raise ValueError("simulated bars are made anew each time; only real ones are stored")
        spec = BarSpec(bars.symbol, bars.timeframe)
        replaced = self._standing(spec)

        def unchanged() -> None:
            if seen is not None and self._fingerprint(spec) != seen:
                raise Busy(f"another process saved {spec.timeframe} bars of {spec.symbol} meanwhile; do it again")

        try:
            self._shelf.put(spec, BarFiles.of(bars, generation=self._shelf.generation()), unchanged)
        except OSError as error:
            raise self._unavailable("write", error) from None
        return replaced

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The files of every set, checked, under the names of a directory: for a backup."""
        for spec in self.symbols():
            made = BarFiles.of(self.load(spec))
            for name, content in (*made.partitions.items(), (MANIFEST, made.manifest)):
                yield f"{spec.symbol}/{spec.timeframe}/{name}", content

    def put_files(self, files: Mapping[str, bytes]) -> None:
        """Put back what `files` gave. Raises InvalidRequest for other names, and Unavailable."""
        sets: dict[BarSpec, dict[str, bytes]] = {}
        for name, content in files.items():
            symbol, timeframe, file = name.split("/")
            if not (is_symbol(symbol) and timeframe in TIMEFRAMES and _SET_FILE.fullmatch(file)):
                raise InvalidRequest(f"{name[:80]!r} is no file of a set of bars")
            sets.setdefault(BarSpec(symbol, _timeframe(timeframe)), {})[file] = content
        try:
            for spec, parts in sets.items():
                manifest = parts.pop(MANIFEST)
                self._shelf.put(spec, BarFiles(parts, manifest), lambda: None)
        except OSError as error:
            raise self._unavailable("write", error) from None

    def keep_only(self, files: Mapping[str, bytes]) -> None:
        """Forget every set that is not among these files."""
        kept = {tuple(name.split("/")[:2]) for name in files}
        for spec in self.symbols():
            if (spec.symbol, spec.timeframe) not in kept:
                self.remove(spec)

    def orphans(self) -> list[str]:
        """Files of bars that belong to no set: left by who died while saving, or by who saves now."""
        try:
            return list(self._shelf.orphans())
        except OSError as error:
            raise self._unavailable("read", error) from None

    def remove_orphans(self) -> None:
        """Nobody may be saving. Raises Unavailable."""
        try:
            self._shelf.remove_orphans()
        except OSError as error:
            raise self._unavailable("remove", error) from None

    def _read(self, spec: BarSpec, manifest: bytes) -> Bars:
        try:
            about = bar_files.description_of(manifest)
            parts = [self._partition(spec, named) for named in about["partitions"]]
            values = {name: np.concatenate([part[name] for part in parts]) for name in bar_files.COLUMNS}
            return bar_files.bars_of(spec, values, about)
        except (ValueError, KeyError, TypeError, DataUnavailable):
            raise self._damaged(spec) from None

    def _partition(self, spec: BarSpec, named: Mapping[str, Any]) -> bar_files.Values:
        content = self._shelf.partition(spec, named["file"], named["sha256"])
        if hashlib.sha256(content).hexdigest() != named["sha256"]:
            raise self._damaged(spec)
        return bar_files.columns_of(content)

    def _load_first_format(self, spec: BarSpec) -> Bars:
        content = self._shelf.first_format(spec)
        if content is None:
            raise self._none(spec)
        try:
            return bar_files.bars_of(spec, *bar_files.first_format(content))
        except (ValueError, KeyError, TypeError, DataUnavailable):
            raise self._damaged(spec) from None

    def _standing(self, spec: BarSpec) -> Replaced | None:
        if spec not in self.symbols():
            return None
        try:
            bars = self.load(spec)
        except DataUnavailable:
            return Replaced(0, "", "")  # damaged: importing again is the cure, not a reason to refuse
        return Replaced(len(bars), bars.date(0), bars.date(-1))

    def _fingerprint(self, spec: BarSpec) -> str:
        """Of what stands now; empty where nothing readable does."""
        try:
            manifest = self._shelf.manifest(spec)
            if manifest is None:
                return self._load_first_format(spec).fingerprint
            return str(bar_files.description_of(manifest)["fingerprint"])
        except (DataUnavailable, ValueError, KeyError):
            return ""

    def _none(self, spec: BarSpec) -> DataUnavailable:
        return DataUnavailable(f"no {spec.timeframe} bars of {spec.symbol} have been imported")

    def _damaged(self, spec: BarSpec) -> DataUnavailable:
        return DataUnavailable(
            f"the stored {spec.timeframe} bars of {spec.symbol} are damaged or were changed ({self._shelf.place(spec)}); import or fetch them again"
        )

    def _unavailable(self, verb: str, error: OSError) -> Unavailable:
        return Unavailable(f"cannot {verb} bars in {self._shelf.where}: {error.strerror or error}; {self._shelf.mend}")


def _timeframe(text: str) -> Timeframe:
    return next(timeframe for timeframe in TIMEFRAMES if timeframe == text)
