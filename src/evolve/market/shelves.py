"""Where do sets of bars stand? In a directory of one machine (or a volume that many mount), or in an object store that many reach.

In a directory writers of one set take turns by a lock. An object store knows no locks: there each writer's partitions have names of
their own, nobody deletes what another may be about to name, and the manifest, one object that is put whole, says which ones count. So
the last whole set wins; a writer that was overtaken is told.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from evolve.errors import Busy
from evolve.files import PREFIX, write_whole
from evolve.folders import Folder
from evolve.market.bar_cache import BarCache
from evolve.market.bar_files import BarFiles, is_whole, partitions_named_by
from evolve.market.sources.base import BarSpec
from evolve.market.types import TIMEFRAMES, Timeframe

MANIFEST = "manifest.json"
# A writer that has not named its partitions an hour after the last set was named has died: the largest set is put within minutes.
ABANDONED_S = 3600.0
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.\-]{0,19}")
_OLD_FILE = re.compile(r"(?P<symbol>[A-Z0-9][A-Z0-9.\-]{0,19})_(?P<timeframe>[0-9]+[mhdw])\.parquet")


class Shelf(Protocol):
    """Files of sets. All methods raise OSError for a place that fails."""

    @property
    def where(self) -> str: ...

    @property
    def mend(self) -> str:
        """What to do about a place that fails, for the end of a sentence."""

    def place(self, spec: BarSpec) -> str:
        """Where this set stands, for sentences."""

    def generation(self) -> str:
        """What the partitions of the next set are named by, beside their content."""

    def specs(self) -> set[BarSpec]: ...

    def manifest(self, spec: BarSpec) -> bytes | None: ...

    def partition(self, spec: BarSpec, file: str, sha256: str) -> bytes:
        """Raises FileNotFoundError; who reads checks the hash."""

    def first_format(self, spec: BarSpec) -> bytes | None:
        """A set in one file, as version 0.1 wrote it."""

    def put(self, spec: BarSpec, files: BarFiles, check: Callable[[], None]) -> None:
        """Put a set in the place of what stands. `check` is called right before, and what it raises leaves all as it was."""

    def remove(self, spec: BarSpec) -> bool:
        """False when there was none."""

    def orphans(self) -> Iterator[str]:
        """Partitions that no manifest names, by where they are."""

    def remove_orphans(self) -> None: ...


class DirectoryShelf:
    mend = "set EVOLVE_HOME to a directory that this user may read and write"

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def where(self) -> str:
        return str(self.directory)

    def place(self, spec: BarSpec) -> str:
        place = self._place(spec)
        return str(place if place.exists() else self._old_path(spec))

    def generation(self) -> str:
        return ""  # a year that is the same stays as it is

    def specs(self) -> set[BarSpec]:
        found: set[BarSpec] = set()
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return found
        for name in names:
            if (match := _OLD_FILE.fullmatch(name)) and match["timeframe"] in TIMEFRAMES:
                found.add(BarSpec(match["symbol"], _timeframe(match["timeframe"])))
            elif is_symbol(name) and (self.directory / name).is_dir():
                found |= {
                    BarSpec(name, timeframe)
                    for timeframe in TIMEFRAMES
                    if (self.directory / name / timeframe / MANIFEST).is_file()
                }
        return found

    def manifest(self, spec: BarSpec) -> bytes | None:
        try:
            return (self._place(spec) / MANIFEST).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def partition(self, spec: BarSpec, file: str, sha256: str) -> bytes:
        return (self._place(spec) / file).read_bytes()

    def first_format(self, spec: BarSpec) -> bytes | None:
        try:
            return self._old_path(spec).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, spec: BarSpec, files: BarFiles, check: Callable[[], None]) -> None:
        place = self._place(spec)
        place.mkdir(parents=True, exist_ok=True)
        with _locked(place):
            check()
            for name, content in files.partitions.items():
                path = place / name
                # An untouched year stays as it is; one whose content no longer fits its name was damaged, and is mended.
                if not path.is_file() or path.read_bytes() != content:
                    write_whole(path, content, durable=True)
            write_whole(place / MANIFEST, files.manifest, durable=True)
            for path in place.glob("*.parquet"):
                if path.name not in files.partitions:
                    path.unlink(missing_ok=True)
        self._old_path(spec).unlink(missing_ok=True)

    def remove(self, spec: BarSpec) -> bool:
        found = False
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
        return found

    def orphans(self) -> Iterator[str]:
        for path in sorted(self.directory.glob("*/*/*.parquet")):
            spec = BarSpec(path.parts[-3], _timeframe(path.parts[-2]))
            manifest = self.manifest(spec)
            if not path.name.startswith(PREFIX) and path.name not in partitions_named_by(manifest or b""):
                yield str(path)

    def remove_orphans(self) -> None:
        for path in list(self.orphans()):
            Path(path).unlink(missing_ok=True)

    def _place(self, spec: BarSpec) -> Path:
        return self.directory / spec.symbol / spec.timeframe

    def _old_path(self, spec: BarSpec) -> Path:
        return self.directory / f"{spec.symbol}_{spec.timeframe}.parquet"


class SharedShelf:
    """`sets/AAPL/1d.json` and `parts/AAPL/1d/2013-….parquet`: one listing of `sets` tells all that there is."""

    mend = "see that EVOLVE_BARS_URL can be read and written from here"

    def __init__(self, folder: Folder, cache: BarCache) -> None:
        self._folder, self._cache = folder, cache

    @property
    def where(self) -> str:
        return self._folder.where("")

    def place(self, spec: BarSpec) -> str:
        return self._folder.where(_set(spec))

    def generation(self) -> str:
        return f".{uuid.uuid4().hex[:12]}"

    def specs(self) -> set[BarSpec]:
        found = set()
        for name in self._folder.names("sets"):
            parts = name.removesuffix(".json").split("/")
            if len(parts) == 3 and is_symbol(parts[1]) and parts[2] in TIMEFRAMES:
                found.add(BarSpec(parts[1], _timeframe(parts[2])))
        return found

    def manifest(self, spec: BarSpec) -> bytes | None:
        try:
            return self._folder.read(_set(spec), is_whole=is_whole)
        except FileNotFoundError:
            return None

    def partition(self, spec: BarSpec, file: str, sha256: str) -> bytes:
        kept = self._cache.get(sha256)
        if kept is not None:
            return kept
        content = self._folder.read(_parts(spec) + file, is_whole=lambda content: _sha256(content) == sha256)
        if _sha256(content) == sha256:
            self._cache.put(sha256, content)
        return content

    def first_format(self, spec: BarSpec) -> bytes | None:
        return None

    def put(self, spec: BarSpec, files: BarFiles, check: Callable[[], None]) -> None:
        began = time.monotonic()
        for name, content in files.partitions.items():
            self._folder.write(_parts(spec) + name, content)
        try:
            check()
            if time.monotonic() - began > ABANDONED_S / 2:  # others may take them for abandoned before they are named
                raise Busy(f"{self.where} is too slow to save {len(files.partitions)} years of bars to; try again")
        except Busy:
            self._forget(spec, set(files.partitions))
            raise
        before = self.manifest(spec)
        self._folder.write(_set(spec), files.manifest)
        self._tidy(spec, also=partitions_named_by(before or b""))
        if self.manifest(spec) != files.manifest:
            self._forget(spec, set(files.partitions))
            raise Busy(
                f"another machine saved or removed {spec.timeframe} bars of {spec.symbol} at the same time, and that stands; do it again"
            )

    def remove(self, spec: BarSpec) -> bool:
        before = self.manifest(spec)
        if before is not None:
            self._folder.remove(_set(spec))
        # What is young and unnamed is perhaps being saved by somebody.
        self._forget(spec, partitions_named_by(before or b""))
        return before is not None

    def orphans(self) -> Iterator[str]:
        return (self._folder.where(name) for name in self._unnamed())

    def remove_orphans(self) -> None:
        for name in self._unnamed():
            with suppress(FileNotFoundError):
                self._folder.remove(name)

    def _unnamed(self) -> list[str]:
        stored = set(self._folder.names("parts"))
        named = {
            _parts(spec) + file for spec in self.specs() for file in partitions_named_by(self.manifest(spec) or b"")
        }
        return sorted(stored - named)

    def _tidy(self, spec: BarSpec, *, also: set[str]) -> None:
        """Forget `also`, and what writers left behind that died; all but what the manifest names now."""
        named = partitions_named_by(self.manifest(spec) or b"")
        if named:
            unnamed = {name.rpartition("/")[2] for name in self._folder.names(_parts(spec))} - named
            self._forget(spec, {file for file in unnamed if file in also or self._is_abandoned(spec, file)})

    def _is_abandoned(self, spec: BarSpec, file: str) -> bool:
        try:  # both times are the store's own
            return self._folder.modified(_set(spec)) - self._folder.modified(_parts(spec) + file) > ABANDONED_S
        except FileNotFoundError:  # another machine tidies too
            return False

    def _forget(self, spec: BarSpec, files: set[str]) -> None:
        for file in files:
            with suppress(FileNotFoundError):
                self._folder.remove(_parts(spec) + file)


def is_symbol(name: str) -> bool:
    return _SYMBOL.fullmatch(name) is not None


def _set(spec: BarSpec) -> str:
    return f"sets/{spec.symbol}/{spec.timeframe}.json"


def _parts(spec: BarSpec) -> str:
    return f"parts/{spec.symbol}/{spec.timeframe}/"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """One writer at a time: a second one would clear away partitions that the first has yet to name."""
    with (place / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _timeframe(text: str) -> Timeframe:
    return next(timeframe for timeframe in TIMEFRAMES if timeframe == text)
