"""A file is there whole, or not at all: whoever reads it while it is written, and whoever dies writing it."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX, SUFFIX = ".", ".part"  # of a file in the making: hidden, and known as unfinished by who clears up


def write_whole(path: Path, content: bytes, *, durable: bool = False, mode: int = 0o600) -> None:
    """Put `content` at `path`, whose directory exists. durable: it outlives a power cut. Raises OSError, and then nothing has changed.

    Each writer has a temporary file of its own, so that processes and threads may write the same path at once: the last one wins.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=PREFIX, suffix=SUFFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:  # Ctrl-C too: an unfinished file must not stay; it is raised again
        with suppress(OSError):
            os.unlink(name)
        raise
    if durable:
        # The name is on disk only once its directory is.
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
