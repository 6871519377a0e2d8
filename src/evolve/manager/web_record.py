"""Where does a web server of this home answer? A file per server, locked while it lives: whoever can lock it knows it died."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from evolve.errors import Unavailable
from evolve.messaging.sockets import make_private


@dataclass(frozen=True, slots=True)
class WebRecord:
    """A web server that runs. url: for a browser on this machine. login: the address that signs a browser in, which holds a secret."""

    pid: int
    url: str
    login: str = ""


def directory(home: Path) -> Path:
    return home / "run" / "web"


@contextlib.contextmanager
def announced(home: Path, record: WebRecord) -> Iterator[None]:
    """Keep the record for as long as this process serves. Only its user can read it."""
    make_private(home / "run")
    make_private(directory(home))
    path = directory(home) / f"{record.pid}.json"
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}; set EVOLVE_HOME to a writable directory") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.write(handle, json.dumps(asdict(record)).encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def running(home: Path) -> list[WebRecord]:
    """The web servers of this home that live; what dead ones left is cleared away."""
    found: list[WebRecord] = []
    for path in sorted(directory(home).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(WebRecord(**json.loads(file.read())))
                continue
            path.unlink(missing_ok=True)
    return found
