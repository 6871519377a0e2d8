"""A process that forks others: ready in a millisecond, sharing the memory of what it imported once.

It is freshly exec'd, single-threaded, and never opens a server or database connection, so that what it forks starts clean.
Who connects asks for a child by naming a function; the child gets one end of the asker's socket and runs the function.
When the asker's connection closes, its children are killed: no process outlives who wanted it.

Requests and answers are JSON lines; the child's socket travels beside the request (SCM_RIGHTS).
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import ctypes
import gc
import importlib
import itertools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evolve.errors import EvolveError, Unavailable

PR_SET_PDEATHSIG = 1
# One thread per process: a BLAS or OpenMP pool would not survive the fork, and parallel work runs in several processes.
SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")  # fmt: skip
MAX_LINE = 1 << 20


# --- the asking side (asyncio) ---


@dataclass
class Child:
    """A forked process: its pid, our end of its socket, and a future that becomes its exit status."""

    pid: int
    connection: socket.socket
    exited: asyncio.Future[int]

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)  # its own process group, so that what it forked ends with it


SERVER_GONE = 256  # in place of a child's exit status, which is less: its fork server died, and took it along


@dataclass
class ForkServer:
    """A handle on a fork server: its own child, or a shared one that listens on a Unix socket."""

    preload: tuple[str, ...] = ()
    shared: Path | None = None
    nice: int = 0
    _writer: socket.socket | None = None
    _process: subprocess.Popen[bytes] | None = None
    _reader: asyncio.Task[None] | None = None
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _answers: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _exits: dict[int, asyncio.Future[int]] = field(default_factory=dict)

    async def spawn(self, function: str, arguments: dict[str, Any], *, death_signal: int = signal.SIGKILL) -> Child:
        """Fork a child that runs `package.module:function(socket, **arguments)`.

        Raises Unavailable when the fork server cannot be reached or refuses.
        """
        async with self._connecting:
            await self._connect()
        ours, theirs = socket.socketpair()
        # Answers are told apart by number: one that comes after its asker gave up must not be taken for the next.
        number = next(self._numbers)
        coming: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = coming
        request = {
            "spawn": function,
            "ask": number,
            "arguments": arguments,
            "death_signal": death_signal,
            "nice": self.nice,
        }
        try:
            with theirs:
                self._send(json.dumps(request).encode() + b"\n", theirs)
            async with asyncio.timeout(30.0):
                answer = await coming
            if "error" in answer:
                raise Unavailable(f"the fork server could not start {function}: {answer['error']}")
        except (OSError, TimeoutError) as error:
            ours.close()
            raise Unavailable(f"the fork server does not answer: {error}") from None
        except BaseException:
            ours.close()
            if coming.done() and not coming.cancelled():
                self._kill_unwanted(coming.result())
            raise
        finally:
            self._answers.pop(number, None)
        pid = int(answer["pid"])
        ours.setblocking(False)
        return Child(pid, ours, answer["exited"])

    def _send(self, line: bytes, handed: socket.socket) -> None:
        if self._writer is None:
            raise Unavailable("the fork server is gone")
        # Blocking, but never for long: the line fits the socket's buffer and the server reads at once.
        self._writer.setblocking(True)
        self._writer.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [handed.fileno()]))])
        self._writer.setblocking(False)

    def _kill_unwanted(self, answer: dict[str, Any]) -> None:
        """End a child whose asker was cancelled before it heard of it."""
        if "pid" in answer:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(int(answer["pid"]), signal.SIGKILL)

    def _exit_of(self, pid: int) -> asyncio.Future[int]:
        if pid not in self._exits:
            self._exits[pid] = asyncio.get_running_loop().create_future()
        return self._exits[pid]

    async def _connect(self) -> None:
        if self._writer is not None and self._reader is not None and not self._reader.done():
            return
        await self.close()
        if self.shared is not None and self.shared.exists():
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(str(self.shared))
            except OSError:
                connection.close()  # its owner died; run our own instead, which costs memory but answers
                connection = self._launch()
        else:
            connection = self._launch()
        connection.setblocking(False)
        self._writer = connection
        self._reader = asyncio.create_task(self._read(connection), name="fork server")

    def _launch(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = launch(["--connection", str(theirs.fileno())], self.preload, pass_fds=(theirs.fileno(),))
        return ours

    async def _read(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        buffer = b""
        while True:
            try:
                chunk = await loop.sock_recv(connection, 65_536)
            except OSError:
                chunk = b""
            if not chunk:
                break
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "exit" in message:
                    future = self._exit_of(int(message["exit"]))
                    if not future.done():
                        future.set_result(int(message["status"]))
                    self._exits.pop(int(message["exit"]), None)
                else:
                    self._answer(message)
        self._gone(SERVER_GONE)

    def _answer(self, message: dict[str, Any]) -> None:
        if "pid" in message:
            # Now, and not when its asker goes on: the child's end may be the next line.
            message["exited"] = self._exit_of(int(message["pid"]))
        coming = self._answers.get(int(message["ask"]))
        if coming is None or coming.done():
            self._kill_unwanted(message)
        else:
            coming.set_result(message)

    def _gone(self, status: int = -signal.SIGKILL) -> None:
        """The server died, or we leave it: its children end with it, and who waits for an answer gets none."""
        for coming in self._answers.values():
            if not coming.done():
                coming.set_result({"error": "the fork server ended"})
        for future in self._exits.values():
            if not future.done():
                future.set_result(status)
        self._exits.clear()

    async def close(self) -> None:
        """Disconnect; the server then kills what it forked for us, and ends if it is ours alone."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._gone()
        if self._process is not None:
            process, self._process = self._process, None
            try:
                await asyncio.to_thread(process.wait, 5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)


def launch(
    where: list[str], preload: tuple[str, ...], *, pass_fds: tuple[int, ...] = (), stderr: Any = None
) -> subprocess.Popen[bytes]:
    """Start a fork server process; `where` is `--connection FD` or `--listen PATH`."""
    owner = ["--owner", str(os.getpid())]
    command = [sys.executable, "-m", "evolve.messaging.forkserver", *where, *owner, "--preload", ",".join(preload)]
    return subprocess.Popen(
        command,
        env={**os.environ, **SINGLE_THREADED},
        pass_fds=pass_fds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )


# --- the forking side (plain, single-threaded) ---


@dataclass
class _Peer:
    connection: socket.socket
    buffer: bytes = b""
    descriptors: list[int] = field(default_factory=list)
    children: dict[int, int] = field(default_factory=dict)  # pid → the signal it gets when we leave


class _Server:
    def __init__(self, *, listen: Path | None, connection: int | None) -> None:
        self.selector = selectors.DefaultSelector()
        self.peers: dict[int, _Peer] = {}
        self.private = connection is not None
        self.listener: socket.socket | None = None
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(self.wake_write, False)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.selector.register(self.wake_read, selectors.EVENT_READ, "wake")
        if connection is not None:
            self.admit(socket.socket(fileno=connection))
        if listen is not None:
            listen.unlink(missing_ok=True)
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(str(listen))
            listen.chmod(0o600)
            self.listener.listen(64)
            self.selector.register(self.listener, selectors.EVENT_READ, "listener")

    def admit(self, connection: socket.socket) -> None:
        connection.setblocking(True)
        self.peers[connection.fileno()] = _Peer(connection)
        self.selector.register(connection, selectors.EVENT_READ, "peer")

    def serve(self, preload: list[str], owner: int) -> int:
        # All imports before the first child: forked earlier, each would repeat them and share none of their memory.
        for module in preload:
            self.load(module)
        gc.collect()
        gc.freeze()  # else the first collection in a child copies every page it looks at
        while True:
            events = self.selector.select(5.0)
            for key, _ in events:
                if key.data == "wake":
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.wake_read, 4096)
                    self.reap()
                elif key.data == "listener" and self.listener is not None:
                    self.admit(self.listener.accept()[0])
                else:
                    self.read(self.peers[key.fd])
            if self.private and not self.peers:
                return 0
            if os.getppid() != owner:
                return 0  # our owner died; a shared server has no other sign of that

    def load(self, module: str) -> None:
        try:
            importlib.import_module(module)
        except (ImportError, EvolveError):
            # The job that needs it will say so to its asker; here it only means a slower start.
            traceback.print_exc()

    def read(self, peer: _Peer) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(peer.connection, 65_536, 8)
        except OSError:
            data, descriptors = b"", []
        peer.descriptors += descriptors
        if not data or len(peer.buffer) > MAX_LINE:
            return self.drop(peer)
        *lines, peer.buffer = (peer.buffer + data).split(b"\n")
        for line in lines:
            self.spawn(peer, json.loads(line))
        return None

    def drop(self, peer: _Peer) -> None:
        for pid, number in peer.children.items():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)
        self.selector.unregister(peer.connection)
        del self.peers[peer.connection.fileno()]
        peer.connection.close()

    def spawn(self, peer: _Peer, request: dict[str, Any]) -> None:
        handed = peer.descriptors.pop(0)
        threads = _os_threads()
        if threads != 1:
            os.close(handed)
            self.tell(
                peer,
                {
                    "ask": request["ask"],
                    "error": f"{threads} threads run in the fork server; forking now could deadlock the child",
                },
            )
            return
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self.become(request, handed)
        os.close(handed)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # here and in the child: whoever comes first, killpg finds the group
        peer.children[pid] = int(request["death_signal"])
        self.tell(peer, {"ask": request["ask"], "pid": pid})

    def become(self, request: dict[str, Any], handed: int) -> None:
        """In the child: let go of all that is the server's, run the function, exit. Never returns."""
        status = 70
        try:
            with contextlib.suppress(OSError):
                os.setpgid(0, 0)
            _die_with_parent(int(request["death_signal"]))
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            self.selector.close()
            for peer in self.peers.values():
                peer.connection.close()
            for descriptor in (self.wake_read, self.wake_write):
                os.close(descriptor)
            if self.listener is not None:
                self.listener.close()
            if request.get("nice"):
                os.nice(int(request["nice"]))
            module, _, name = str(request["spawn"]).partition(":")
            function = getattr(importlib.import_module(module), name)
            status = int(function(socket.socket(fileno=handed), **request["arguments"]) or 0)
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:  # noqa: BLE001 - the last frame of a process: nobody above could report it
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)  # not sys.exit: the server's own clean-up must not run twice

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)  # what the child left in its group
            code = os.waitstatus_to_exitcode(status)
            for peer in self.peers.values():
                if pid in peer.children:
                    del peer.children[pid]
                    self.tell(peer, {"exit": pid, "status": code})

    def tell(self, peer: _Peer, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # a peer that is gone is dropped at its next event
            peer.connection.sendall(json.dumps(message).encode() + b"\n")


def _os_threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except FileNotFoundError:
        import threading

        return threading.active_count()


def _die_with_parent(number: int) -> None:
    """Linux sends `number` to this process when its parent ends; elsewhere the closed socket is the sign."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def main(arguments: list[str]) -> int:
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    listen = options.get("--listen")
    connection = options.get("--connection")
    # Freed by the child's own exec-less start: PDEATHSIG of this process itself, should its owner be killed outright.
    _die_with_parent(signal.SIGKILL)
    owner = int(options["--owner"])
    if os.getppid() != owner:
        return 0  # it died before the kernel knew of our wish
    server = _Server(listen=Path(listen) if listen else None, connection=int(connection) if connection else None)
    return server.serve([name for name in options.get("--preload", "").split(",") if name], owner)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
