"""Which partitions of a shared store has this machine read before? Kept by their sha256, within a size, and checked when read again."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from evolve.files import write_whole


class BarCache:
    """A directory that may be deleted at any time. max_bytes 0: nothing is kept. Processes may share it."""

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self._directory, self._max_bytes = directory, max_bytes

    def get(self, sha256: str) -> bytes | None:
        path = self._directory / sha256
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != sha256:
                path.unlink()  # damaged here; the store has it whole
                return None
            os.utime(path)  # what was used last goes last
        except OSError:  # not there, or another process made room by it
            return None
        return content

    def put(self, sha256: str, content: bytes) -> None:
        if len(content) > self._max_bytes:
            return
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(len(content))
            write_whole(self._directory / sha256, content)
        except OSError as error:  # the bars are there all the same
            from evolve import logs  # with its library, which what merely draws a chart need not load

            logs.logger().warning("bars are not cached", where=str(self._directory), error=error.strerror)

    def _make_room(self, wanted: int) -> None:
        kept = []
        for entry in os.scandir(self._directory):
            with suppress(FileNotFoundError):
                about = entry.stat()
                kept.append((about.st_mtime_ns, about.st_size, entry.path))
        over = sum(size for _, size, _ in kept) + wanted - self._max_bytes
        for _, size, path in sorted(kept):
            if over <= 0:
                return
            with suppress(FileNotFoundError):
                os.unlink(path)
            over -= size
