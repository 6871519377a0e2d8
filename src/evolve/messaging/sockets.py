"""Where may a Unix socket of this home stand? In a directory only its user can enter, at a path short enough."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from evolve.errors import Unavailable

MAX_PATH_BYTES = 100  # the kernel allows 107 (Linux) or 103 (macOS)


def private_socket(directory: Path, name: str) -> Path:
    """`directory/name`, or a path in the temporary directory when that is too long for a socket."""
    path = directory.absolute() / name
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(directory.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"evolve-{os.getuid()}-{digest}" / name


def make_private(directory: Path) -> None:
    """Make `directory` with mode 0700. Raises Unavailable when it cannot be written or belongs to another user."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = directory.stat()
        if status.st_uid != os.getuid():
            raise Unavailable(f"{directory} belongs to another user; set EVOLVE_HOME to a directory of your own")
        directory.chmod(0o700)
    except OSError as error:
        raise Unavailable(
            f"cannot write to {directory}: {error.strerror}; set EVOLVE_HOME to a writable directory"
        ) from None
