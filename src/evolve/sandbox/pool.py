"""Children, ready and locked down before anyone asks: one loader, its zygotes, and a few forked children of each size.

A thread of this process, the keeper, starts the loader and listens to it. It lives as long as the pool, because the kernel
ends the loader when the *thread* that started it ends; so a service that is killed leaves nothing behind.
"""

from __future__ import annotations

import array
import contextlib
import json
import math
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from evolve.errors import Unavailable
from evolve.sandbox import channel
from evolve.sandbox.zygote import ENVIRONMENT, SIZES, Size

LOAD_S = 90.0  # a cold disk and two busy cores; loading takes 0.3 s to 3 s
FORK_S = 10.0
EXIT_MS = 200  # a process closes its descriptors a little before it counts as ended
NOTICES_KEPT = 512
SMALL_RUN_MIB = (
    4.0  # up to here pages touched are counted: beyond, a loop that frees what it takes would count it twice
)
RESTARTS, RESTART_WINDOW_S = 5, 60.0
_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1])['path']; from evolve.sandbox.zygote import main; sys.exit(main(sys.argv[1:]))"  # fmt: skip

IsolationLevel = Literal["namespaces+landlock+seccomp", "landlock+seccomp", "seccomp", "none"]


@dataclass(frozen=True)
class Allowance:
    """What a child may use on top of what its zygote holds already."""

    memory_bytes: int
    cpu_s: int

    @classmethod
    def of(cls, timeout_s: float, memory_mb: int) -> Allowance:
        # Two seconds more than the wall clock: the kernel's own end to a run whose service is stuck.
        return cls(memory_mb << 20, math.ceil(timeout_s) + 2)


@dataclass(frozen=True)
class Notice:
    """How a child ended: its exit code (negative: the signal) and its peak resident memory."""

    status: int
    peak_kib: int
    lost: bool = False  # its zygote died with it: nothing the program did


@dataclass
class Child:
    """A locked-down process that waits for its one job."""

    connection: socket.socket
    pidfd: int
    pid: int  # as its own namespace counts
    size: Size
    isolation_level: IsolationLevel
    _pool: Pool
    _proc: str
    _base_faults: int
    _base_kib: int
    killed: bool = False

    def kill(self) -> None:
        """End it now. The zygote reaps it."""
        if not self.killed:
            self.killed = True
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            os.close(self.pidfd)
            self.connection.close()

    def ended(self) -> Notice | None:
        """How it ended, after it hung up; None when it is still there and only closed its channel."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(EXIT_MS):
            return None
        return self._pool.notice(self, within_s=FORK_S) or Notice(-signal.SIGKILL, 0, lost=True)

    def peak_mib(self) -> float:
        """Peak memory that the run added, as the kernel counts it; 0 when the process is gone."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            status = _read(f"{self._proc}/status")
            added = self.added_mib(int(status.split(b"VmHWM:")[1].split(None, 1)[0]))
            # A page shared with the zygote and then written to is the run's own, but does not change the resident size.
            touched = (_usage(self._proc)[0] - self._base_faults) * _PAGE_KIB / 1024
            return round(max(added, min(touched, SMALL_RUN_MIB)), 3)
        return 0.0

    def added_mib(self, peak_kib: int) -> float:
        return round(max(0, peak_kib - self._base_kib) / 1024, 3)


def isolation_level(made_of: dict[str, Any]) -> IsolationLevel:
    """The name of a wall by what it is made of."""
    if not made_of["seccomp"]:
        return "none"
    if not made_of["landlock"]:
        return "seccomp"
    return "namespaces+landlock+seccomp" if made_of["namespaces"] else "landlock+seccomp"


@dataclass
class _Zygote:
    control: socket.socket
    state: Literal["loading", "ready", "failed"] = "loading"
    why: str = ""
    sending: threading.Lock = field(default_factory=threading.Lock)


class Pool:
    """Hands out locked-down children; starts the zygotes at the first request, and again when they died."""

    def __init__(self, *, sandbox: bool, namespaces: bool, landlock: bool, spare: int) -> None:
        self._options = {"sandbox": sandbox, "namespaces": namespaces, "landlock": landlock}
        self._spare = spare
        self._changed = threading.Condition()
        self._running = False
        self._starts: deque[float] = deque(maxlen=RESTARTS)
        self._owner = 0
        self._zygotes: dict[Size, _Zygote] = {}
        self._notices: OrderedDict[tuple[Size, int], Notice] = OrderedDict()
        self._waiting: dict[tuple[Size, Allowance], deque[socket.socket]] = {}
        self._loader: socket.socket | None = None
        self._keeper: threading.Thread | None = None
        self._failure = ""

    # --- for callers ---

    def start(self) -> None:
        """Start loading, if nothing is running; returns at once."""
        with self._changed:
            if self._running and self._owner == os.getpid():
                return
            now = time.monotonic()
            if len(self._starts) == RESTARTS and now - self._starts[0] < RESTART_WINDOW_S:
                raise Unavailable(f"the sandbox died {RESTARTS} times within {RESTART_WINDOW_S:g} s: {self._failure}")
            self._starts.append(now)
            self._owner = os.getpid()
            self._notices.clear()
            for connections in self._waiting.values():
                for connection in connections:
                    connection.close()
            self._waiting = {}
            pairs = {size: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for size in SIZES}
            loader, theirs = socket.socketpair()
            self._zygotes = {size: _Zygote(ours) for size, (ours, _) in pairs.items()}
            self._loader = loader
            self._running = True
            handed = {size: other for size, (_, other) in pairs.items()}
            arguments = (loader, theirs, dict(self._zygotes), handed)
            self._keeper = threading.Thread(target=self._keep, args=arguments, name="sandbox keeper", daemon=True)
            self._keeper.start()

    def ready(self, size: Size) -> bool:
        """Wait until the zygote of this size is warm. False where its libraries are not installed.

        Raises Unavailable when it could not be started at all.
        """
        self.start()
        limit = time.monotonic() + LOAD_S
        with self._changed:
            zygote = self._zygotes[size]
            if size == "learning" and zygote.state == "loading" and not zygote.why:
                zygote.why = "asked for"
                self._order({"load": "learning"})
            while zygote.state == "loading" and self._running:
                if not self._changed.wait(limit - time.monotonic()):
                    raise Unavailable(f"the sandbox did not load its libraries ({size}) within {LOAD_S:g} s")
            if zygote.state == "ready":
                return True
            if zygote.state == "failed" and size == "learning":
                return False
            raise Unavailable(f"the sandbox could not start: {zygote.why or self._failure}")

    def take(self, size: Size, allowance: Allowance, *, pooled: bool) -> Child:
        """A child ready for a job. `pooled`: keep others like it waiting. Raises Unavailable."""
        self.ready(size)
        key = (size, allowance)
        with self._changed:
            waiting = self._waiting.setdefault(key, deque()) if pooled else deque()
            connection = waiting.popleft() if waiting else None
        if connection is None:
            connection = self._spawn(size, allowance)
        if pooled:
            try:
                self._fill(key)
            except Unavailable:
                connection.close()
                raise
        return self._receive(connection, size)

    def prepare(self, size: Size, allowance: Allowance) -> None:
        """Have children of this kind waiting."""
        if self.ready(size):
            self._fill((size, allowance))

    def notice(self, child: Child, *, within_s: float) -> Notice | None:
        """How a child that hung up ended; None when the zygote has not said so in time."""
        limit = time.monotonic() + within_s
        with self._changed:
            while (found := self._notices.pop((child.size, child.pid), None)) is None and self._running:
                if not self._changed.wait(limit - time.monotonic()):
                    return None
            return found

    def clear(self) -> None:
        """End the children that wait for a job."""
        with self._changed:
            waiting, self._waiting = self._waiting, {}
        for connections in waiting.values():
            for connection in connections:
                connection.close()  # the child reads the end of its channel and ends

    def close(self) -> None:
        """End everything this pool started and wait until it is gone."""
        self.clear()
        with self._changed:
            keeper, loader = self._keeper, self._loader
            self._keeper = self._loader = None
            if loader is not None and self._owner == os.getpid():
                with contextlib.suppress(OSError):
                    loader.shutdown(socket.SHUT_RDWR)
        if keeper is not None and self._owner == os.getpid():
            keeper.join(FORK_S)

    # --- inside ---

    def _order(self, message: dict[str, str]) -> None:
        if self._loader is not None:
            with contextlib.suppress(OSError):
                self._loader.sendall(json.dumps(message).encode())

    def _fill(self, key: tuple[Size, Allowance]) -> None:
        while True:
            with self._changed:
                waiting = self._waiting.setdefault(key, deque())
                if len(waiting) >= self._spare or not self._running:
                    return
                waiting.append(self._spawn(*key))

    def _spawn(self, size: Size, allowance: Allowance) -> socket.socket:
        """Ask the zygote for a child; it announces itself on the socket returned, in its own time."""
        zygote = self._zygotes[size]
        ours, theirs = socket.socketpair()
        request = json.dumps({"memory_bytes": allowance.memory_bytes, "cpu_s": allowance.cpu_s}).encode()
        try:
            with theirs, zygote.sending:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))]
                zygote.control.sendmsg([request], rights)
        except OSError as error:
            ours.close()
            raise Unavailable(f"the sandbox's zygote is gone ({error}); ask again") from None
        return ours

    def _receive(self, connection: socket.socket, size: Size) -> Child:
        """Wait for a child's pidfd and for its word that the wall stands. Raises Unavailable."""
        connection.settimeout(FORK_S)
        try:
            first, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
            if first != b"P" or not descriptors:
                raise Unavailable("a child of the sandbox ended before it was locked down")
            answered = _frame_of_trusted(connection)
            if answered is None or answered[0] != channel.LOCKED:
                os.close(descriptors[0])
                why = orjson.loads(answered[1])["error"] if answered else "it ended"
                raise Unavailable(f"the sandbox's wall could not be built: {why}")
        except OSError as error:
            connection.close()
            raise Unavailable(f"a child of the sandbox could not be started: {error}") from None
        except Unavailable:
            connection.close()
            raise
        made_of = orjson.loads(answered[1])
        try:
            proc = f"/proc/{_pid_of(descriptors[0])}"
            faults, resident_kib = _usage(proc)
        except OSError:  # it said that it was ready, and was ended since
            os.close(descriptors[0])
            connection.close()
            raise Unavailable("a waiting child of the sandbox was ended from outside; ask again") from None
        connection.setblocking(False)
        return Child(
            connection,
            descriptors[0],
            int(made_of["pid"]),
            size,
            isolation_level(made_of),
            self,
            proc,
            faults,
            resident_kib,
        )

    def _keep(
        self,
        loader: socket.socket,
        theirs: socket.socket,
        zygotes: dict[Size, _Zygote],
        handed: dict[Size, socket.socket],
    ) -> None:
        """The keeper: start the loader, pass on what it and the zygotes say, clear up when one of them ends."""
        with tempfile.TemporaryFile() as complaints, selectors.DefaultSelector() as selector:
            process = self._launch(theirs, handed, complaints)
            for end in (theirs, *handed.values()):
                end.close()
            selector.register(loader, selectors.EVENT_READ, None)
            for size, zygote in zygotes.items():
                selector.register(zygote.control, selectors.EVENT_READ, size)
            buffer = b""
            alive = True
            while alive:
                for key, _ in selector.select():
                    size = key.data
                    try:
                        data = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                    except OSError:
                        data = b""
                    if size is None:
                        alive = alive and bool(data)
                        *lines, buffer = (buffer + data).split(b"\n")
                        for line in lines:
                            self._heard(zygotes, json.loads(line))
                    elif data:
                        self._noticed(size, json.loads(data))
                    elif zygotes[size].state == "failed":
                        selector.unregister(key.fileobj)
                    else:
                        alive = False
            with self._changed:
                self._failure = self._failure or _tail(complaints) or "its loader ended"
                self._running = False
                for zygote in zygotes.values():
                    zygote.control.close()
                loader.close()
                self._changed.notify_all()
            process.kill()
            process.wait()

    def _launch(
        self, theirs: socket.socket, handed: dict[Size, socket.socket], complaints: Any
    ) -> subprocess.Popen[bytes]:
        descriptors = {size: end.fileno() for size, end in handed.items()}
        arguments = {
            **self._options,
            "connection": theirs.fileno(),
            "controls": descriptors,
            "path": [entry for entry in sys.path if Path(entry).is_absolute()],
        }
        # -I: nothing from the user's environment or current directory decides what is imported.
        return subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", "-c", _BOOT, json.dumps(arguments)],
            env=ENVIRONMENT,
            cwd="/",
            pass_fds=(theirs.fileno(), *descriptors.values()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            start_new_session=True,
        )

    def _heard(self, zygotes: dict[Size, _Zygote], message: dict[str, Any]) -> None:
        zygote = zygotes[message["size"]]
        with self._changed:
            zygote.state = "ready" if message.get("ready") else "failed"
            zygote.why = message.get("failed", "")
            self._changed.notify_all()

    def _noticed(self, size: Size, message: dict[str, int]) -> None:
        with self._changed:
            self._notices[size, message["pid"]] = Notice(message["status"], message["peak_kib"])
            while len(self._notices) > NOTICES_KEPT:
                self._notices.popitem(last=False)
            self._changed.notify_all()


def _frame_of_trusted(connection: socket.socket) -> tuple[bytes, bytes] | None:
    head = _exactly(connection, channel.HEADER.size)
    if head is None:
        return None
    kind, length = channel.HEADER.unpack(head)
    payload = _exactly(connection, min(length, 65_536))
    return None if payload is None else (kind, payload)


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            return None
        data += part
    return data


def _pid_of(pidfd: int) -> int:
    """The process's number as this process counts, whatever namespace it lives in."""
    return int(_read(f"/proc/self/fdinfo/{pidfd}").split(b"Pid:")[1].split(None, 1)[0])


def _usage(proc: str) -> tuple[int, int]:
    """(page faults so far, resident KiB) of a process."""
    fields = _read(f"{proc}/stat").rpartition(b")")[2].split()
    return int(fields[7]), int(fields[21]) * _PAGE_KIB


def _read(path: str) -> bytes:
    """A small file of /proc, without the buffers a Python file makes: four are read for each run."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 16_384)
    finally:
        os.close(descriptor)


_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


def _tail(complaints: Any) -> str:
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else ""
