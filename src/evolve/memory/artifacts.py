"""Is this file the one that was written? Files named by their content: what is read back is what was stored, or an error.

Bytes, JSON and arrays (npz without pickle, ever). Equal content is one file, so storing twice is storing once.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evolve.errors import InvalidRequest, Unavailable
from evolve.folders import folder
from evolve.memory.canonical import canonical_json
from evolve.security_events import report
from evolve.settings import Settings

_HASH = re.compile(r"[0-9a-f]{64}")


class ArtifactStore:
    """Files under `<place>/<first two hex digits>/<sha256>`; place: a directory, or an address of fsspec's (`folders.py`)."""

    def __init__(self, place: Path | str) -> None:
        self._folder = folder(place)

    @classmethod
    def open(cls, settings: Settings) -> ArtifactStore:
        """EVOLVE_ARTIFACTS_URL, else the directory `artifacts` of the home. Raises InvalidRequest or MissingExtra for an address."""
        return cls(settings.artifacts_url or settings.home.absolute() / "artifacts")

    def put_bytes(self, content: bytes) -> str:
        """Store and return the sha256 (hex). Written whole or not at all. Raises Unavailable when it cannot be written."""
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.holds(sha256):  # a damaged file of that name is replaced
            self._write(sha256, content)
        return sha256

    def put_json(self, value: object) -> str:
        return self.put_bytes(canonical_json(value).encode())

    def put_arrays(self, arrays: Mapping[str, NDArray[np.generic]]) -> str:
        """Store named arrays. Raises InvalidRequest for arrays of Python objects, which only pickle could hold."""
        objects = [name for name, array in arrays.items() if array.dtype.hasobject]
        if objects:
            raise InvalidRequest(
                f"array {objects[0]!r} holds Python objects; store numbers, booleans or fixed-width text"
            )
        buffer = io.BytesIO()
        # Sorted, uncompressed, and without times: equal arrays give equal bytes, whatever zlib the machine has.
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in sorted(arrays):
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.asarray(arrays[name], order="C"), allow_pickle=False)
        return self.put_bytes(buffer.getvalue())

    def get_bytes(self, sha256: str) -> bytes:
        """The content. Raises Unavailable when the file is missing or its content no longer has that hash."""
        try:
            content = self._folder.read(_name(sha256), is_whole=lambda content: _sha256(content) == sha256)
        except FileNotFoundError:
            raise Unavailable(
                f"artifact {sha256[:12]}… is missing from {self.where(sha256)}; build the model again to store it anew"
            ) from None
        except OSError as error:
            raise Unavailable(
                f"cannot read {self.where(sha256)}: {error.strerror or error}; mend its permissions, disk or network"
            ) from None
        if _sha256(content) != sha256:
            report("tampered_artifact", path=self.where(sha256))
            raise Unavailable(
                f"{self.where(sha256)} is damaged: its content does not have the hash in its name; build the model again to store it anew"
            )
        return content

    def get_json(self, sha256: str) -> object:
        return json.loads(self.get_bytes(sha256))

    def get_arrays(self, sha256: str) -> dict[str, NDArray[np.generic]]:
        content = self.get_bytes(sha256)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (ValueError, zipfile.BadZipFile, AttributeError) as error:
            raise Unavailable(f"artifact {sha256[:12]}… is no set of arrays ({error}); build the model again") from None

    def holds(self, sha256: str) -> bool:
        """True when the file is there and undamaged."""
        try:
            self.get_bytes(sha256)
        except Unavailable:
            return False
        return True

    def names(self) -> Iterator[str]:
        """The sha256 of all that is stored, in no order. Raises Unavailable when the place cannot be read."""
        try:
            for name in self._folder.names():
                sha256 = name.rpartition("/")[2]
                if _HASH.fullmatch(sha256) and name == _name(sha256):
                    yield sha256
        except OSError as error:
            raise Unavailable(
                f"cannot read {self._folder.where('')}: {error.strerror or error}; {self._folder.mend}"
            ) from None

    def remove(self, sha256: str) -> None:
        """Forget one that nothing names; no error when it is gone already. Raises Unavailable."""
        try:
            self._folder.remove(_name(sha256))
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unavailable(
                f"cannot remove {self.where(sha256)}: {error.strerror or error}; {self._folder.mend}"
            ) from None

    def where(self, sha256: str) -> str:
        """The path or address of an artifact. Raises InvalidRequest for what is no sha256."""
        return self._folder.where(_name(sha256))

    def _write(self, sha256: str, content: bytes) -> None:
        try:
            self._folder.write(_name(sha256), content)
        except OSError as error:
            raise Unavailable(
                f"cannot write {self.where(sha256)}: {error.strerror or error}; {self._folder.mend}"
            ) from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _name(sha256: str) -> str:
    if not _HASH.fullmatch(sha256):
        raise InvalidRequest(f"{sha256!r} is not the sha256 of an artifact: 64 hex digits")
    return f"{sha256[:2]}/{sha256}"
