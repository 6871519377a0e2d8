"""A fresh EVOLVE_HOME for a test, and proof that nothing of it is left running afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import psutil

from evolve.errors import EvolveError
from evolve.messaging import embedded

T = TypeVar("T")

# What a user may have set in the shell that runs the tests, and what must not reach them.
CONFIGURED = ("REDIS_", "EVOLVE_", "OPENAI_", "SAFE_EXECUTOR_", "LOG_LEVEL")
PATIENCE_S = 30.0  # a deadline, not a duration: two shared cores may stall a process for seconds
END_S = 15.0


def cleaned(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without anything that configures Evolve."""
    return {name: value for name, value in environment.items() if not name.startswith(CONFIGURED)}


def environment_of(home: Path, **extra: str) -> dict[str, str]:
    """The environment of a process that belongs to `home` and can import the tests' services."""
    tests = str(Path(__file__).resolve().parent)
    return {
        **cleaned(os.environ),
        "EVOLVE_HOME": str(home),
        "EVOLVE_LOG_DIR": str(home / "logs"),
        "PYTHONPATH": tests,
        **extra,
    }


@contextlib.contextmanager
def fresh_home() -> Iterator[Path]:
    """An empty home at a short path (a Unix socket's has at most 107 bytes); at the end all its processes are ended.

    Fails the test when one of them outlives the orderly end.
    """
    home = Path(tempfile.mkdtemp(prefix="ev-")).resolve()
    home.rmdir()  # the home makes itself, private to its user
    try:
        yield home
    finally:
        left = end(home)
        shutil.rmtree(home, ignore_errors=True)
        assert not left, f"outlived the end of their home {home}: {left}"


def end(home: Path) -> list[str]:
    """End supervisor, services and server of `home` in order. Returns what had to be killed: the command lines."""
    supervisor = home / "run" / "supervisor.pid"
    with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
        process = psutil.Process(int(supervisor.read_text()))
        if process in processes_of(home):
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(END_S)
    if embedded.directory(home).exists():
        with contextlib.suppress(EvolveError):
            embedded.stop(home)
    limit = time.monotonic() + END_S
    while (left := processes_of(home)) and time.monotonic() < limit:
        time.sleep(0.02)
    commands = []
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            commands.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
            process.kill()
    return commands


def processes_of(home: Path) -> list[psutil.Process]:
    """Living processes that were started for `home`: it stands in their environment or on their command line."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if pid != os.getpid() and _is_of(pid, os.fsencode(home)):
                found.append(psutil.Process(pid))
    return found


def _is_of(pid: int, home: bytes) -> bool:
    try:
        # Looked at after every test and while something ends: a tenth of what psutil takes. Both are empty for a zombie.
        environment, command = (Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline"))
    except FileNotFoundError:  # no such process, or no such files here
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        environment = b"EVOLVE_HOME=" + os.fsencode(process.environ().get("EVOLVE_HOME", "")) + b"\0"
        command = os.fsencode(" ".join(process.cmdline()))
    return b"EVOLVE_HOME=" + home + b"\0" in environment or home in command


def until(condition: Callable[[], T], *, within_s: float = PATIENCE_S, what: str = "the condition") -> T:
    """The first true value of `condition`; fails the test when it does not come in time."""
    limit = time.monotonic() + within_s
    while time.monotonic() < limit:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {within_s:g} s for {what}")
