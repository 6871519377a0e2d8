"""Where do artifacts lie? In a directory of this machine, or anywhere that fsspec reaches: `s3://bucket/evolve`, `memory://`.

A directory is written without fsspec: each file whole or not at all, and on disk before it counts. Elsewhere the backend's own
put is trusted with that; a file that arrived in part does not have the hash in its name, and is stored again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from evolve.errors import InvalidRequest, MissingExtra
from evolve.files import write_whole


class Folder(Protocol):
    """Files by name, `ab/abcd…`. Both methods raise OSError, FileNotFoundError for what is not there."""

    mend: str
    """What to do about a failed write, for the end of a sentence."""

    def where(self, name: str) -> str: ...

    def read(self, name: str) -> bytes: ...

    def write(self, name: str, content: bytes) -> None: ...


def folder(place: Path | str) -> Folder:
    """A path without `://` is a directory. Raises InvalidRequest for an address that fsspec does not know, MissingExtra for a missing backend."""
    if isinstance(place, Path) or "://" not in place:
        return Directory(Path(place).expanduser().absolute())
    return Remote(place)


class Directory:
    mend = "free space or set EVOLVE_HOME to a directory that you can write"

    def __init__(self, root: Path) -> None:
        self.root = root

    def where(self, name: str) -> str:
        return str(self.root / name)

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, content, durable=True)


class Remote:
    mend = "see that EVOLVE_ARTIFACTS_URL can be written from here"

    def __init__(self, url: str) -> None:
        # Imported here: a tenth of a second that who keeps artifacts at home need not spend.
        import fsspec

        try:
            self._files: Any
            self._files, self._root = fsspec.url_to_fs(url)
        except ImportError as error:
            raise MissingExtra(f"EVOLVE_ARTIFACTS_URL={url} needs a package: {error}") from None
        except ValueError as error:
            raise InvalidRequest(
                f"EVOLVE_ARTIFACTS_URL={url}: {error}; fsspec.readthedocs.io lists what it knows"
            ) from None
        self._url = url.rstrip("/")

    def where(self, name: str) -> str:
        return f"{self._url}/{name}"

    def read(self, name: str) -> bytes:
        content: bytes = self._files.cat_file(self._path(name))
        return content

    def write(self, name: str, content: bytes) -> None:
        self._files.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(self._path(name), content)

    def _path(self, name: str) -> str:
        return f"{str(self._root).rstrip('/')}/{name}"
