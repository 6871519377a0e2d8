"""Where do files lie? In a directory of this machine, or anywhere that fsspec reaches: `s3://bucket/evolve`, `memory://`.

A directory is written without fsspec: each file whole or not at all, and on disk before it counts. Elsewhere the backend's own
put is trusted with that, and reading is patient: what fails, or comes in part, is asked for again with growing pauses.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from evolve.errors import InvalidRequest, MissingExtra
from evolve.files import PREFIX, write_whole

Result = TypeVar("Result")
IsWhole = Callable[[bytes], bool]
# Five attempts within 1.5 s, beside the backend's own: a store that says 503 for longer is down, and the caller is told.
PAUSES_S = (0.1, 0.2, 0.4, 0.8)


def unchecked(_: bytes) -> bool:
    return True


class Folder(Protocol):
    """Files by name, `ab/abcd…`. All methods raise OSError, FileNotFoundError for what is not there."""

    mend: str
    """What to do about a failed write, for the end of a sentence."""

    def where(self, name: str) -> str: ...

    def read(self, name: str, is_whole: IsWhole = unchecked) -> bytes:
        """The content; from afar again and again until `is_whole`, and then the last that came."""

    def write(self, name: str, content: bytes) -> None: ...

    def names(self, under: str = "") -> Iterator[str]:
        """All files, or those of the folder `under`, in no order; none where it is yet to be made."""

    def remove(self, name: str) -> None: ...

    def modified(self, name: str) -> float:
        """When a file was last written, Unix seconds by the clock of who keeps it."""


def folder(place: Path | str, *, variable: str = "EVOLVE_ARTIFACTS_URL") -> Folder:
    """A path without `://`, or with `file://` before it, is a directory. Raises InvalidRequest for an address that fsspec does not know, MissingExtra for a missing backend."""
    if isinstance(place, Path) or "://" not in place:
        return Directory(Path(place).expanduser().absolute())
    if place.startswith("file://"):
        return Directory(Path("/" + place.removeprefix("file://").lstrip("/")))
    return Remote(place, variable)


class Directory:
    mend = "free space or set EVOLVE_HOME to a directory that you can write"

    def __init__(self, root: Path) -> None:
        self.root = root

    def where(self, name: str) -> str:
        return str(self.root / name)

    def read(self, name: str, is_whole: IsWhole = unchecked) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, content, durable=True)

    def names(self, under: str = "") -> Iterator[str]:
        for place, _, files in os.walk(self.root / under):
            for name in files:
                if not name.startswith(PREFIX):  # locks, and what is still being written
                    yield str((Path(place) / name).relative_to(self.root))

    def remove(self, name: str) -> None:
        (self.root / name).unlink()

    def modified(self, name: str) -> float:
        return (self.root / name).stat().st_mtime


class Remote:
    def __init__(self, url: str, variable: str) -> None:
        self._url, self._variable = url.rstrip("/"), variable
        self.mend = f"see that {variable} can be written from here"
        self._pid = 0
        self._files: Any = None
        self._open()

    def where(self, name: str) -> str:
        return f"{self._url}/{name}"

    def read(self, name: str, is_whole: IsWhole = unchecked) -> bytes:
        def once() -> bytes:
            content: bytes = self._open().cat_file(self._path(name))
            return content

        content = self._patiently(once)
        for pause in PAUSES_S:
            if is_whole(content):
                break
            time.sleep(pause)
            content = self._patiently(once)
        return content

    def write(self, name: str, content: bytes) -> None:
        def once() -> None:
            files = self._open()
            files.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)
            files.pipe_file(self._path(name), content)

        self._patiently(once)

    def names(self, under: str = "") -> Iterator[str]:
        def once() -> list[str]:
            files = self._open()
            files.invalidate_cache()  # other machines write too
            return list(files.find(self._path(under) if under else self._root))

        root = str(self._root).strip("/") + "/"
        for path in self._patiently(once):
            yield path.lstrip("/").removeprefix(root)

    def remove(self, name: str) -> None:
        self._patiently(lambda: self._open().rm_file(self._path(name)))

    def modified(self, name: str) -> float:
        def once() -> float:
            files = self._open()
            files.invalidate_cache(files._parent(self._path(name)))
            return float(files.modified(self._path(name)).timestamp())

        return self._patiently(once)

    def _open(self) -> Any:
        """The backend of this process: its connections and threads do not outlive a fork."""
        if self._pid == os.getpid():
            return self._files
        # Imported here: a tenth of a second that who keeps files at home need not spend.
        import fsspec

        try:
            self._files, self._root = fsspec.url_to_fs(self._url, skip_instance_cache=self._pid != 0)
        except ImportError as error:
            raise MissingExtra(f"{self._variable}={self._url} needs a package: {error}") from None
        except ValueError as error:
            raise InvalidRequest(
                f"{self._variable}={self._url}: {error}; fsspec.readthedocs.io lists what it knows"
            ) from None
        self._pid = os.getpid()
        return self._files

    def _path(self, name: str) -> str:
        return f"{str(self._root).rstrip('/')}/{name}"

    def _patiently(self, once: Callable[[], Result]) -> Result:
        for pause in PAUSES_S:
            try:
                return once()
            except FileNotFoundError:
                raise
            except _network_errors():
                time.sleep(pause)
        try:
            return once()
        except OSError:
            raise
        except _network_errors() as error:
            raise OSError(f"{type(error).__name__}: {error}") from None


def _network_errors() -> tuple[type[Exception], ...]:
    """OSError, and what the libraries below fsspec raise beside it; those that are not loaded raise nothing."""
    known = (
        ("aiohttp", "ClientError"),
        ("botocore.exceptions", "BotoCoreError"),
        ("botocore.exceptions", "ClientError"),
    )
    return (OSError, *(getattr(sys.modules[module], name) for module, name in known if module in sys.modules))
