"""Where does heavy work run? In job processes that can be killed, while the service's front keeps answering.

A job process is forked from a server that imported the libraries before. It runs one request at a time, keeps its agent
warm for the next, and speaks to its front in length-prefixed JSON frames: `run` comes in; `progress`, `ask` and at last
`reply` or `error` go out. Cancelling is killing: nothing in the process needs to cooperate.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from evolve import logs
from evolve.errors import EvolveError, Internal, JobDied, TooLarge, Unavailable
from evolve.messaging.bus import Delivery
from evolve.messaging.envelope import RequestEnvelope, dump, error_in, load
from evolve.messaging.forkserver import SERVER_GONE, Child, ForkServer
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, Service, load_service
from evolve.security_events import taken
from evolve.settings import Settings

MAX_FRAME = 256 << 20
IDLE_S = 300.0  # a warm process spares seconds of imports; after five minutes its memory matters more
MAX_RUNS = 200  # then replaced: whatever a library leaks stays bounded
PROGRESS_INTERVAL_S = 0.05
LENGTH = struct.Struct("!I")


class Ears(Protocol):
    """Who hears what a running job says: its process, its progress, its questions, and the security events it met."""

    def began(self, pid: int) -> None: ...
    def progress(self, event: dict[str, Any]) -> None: ...
    def met(self, events: dict[str, int]) -> None: ...
    async def ask_many(self, questions: list[dict[str, Any]], timeout_s: float | None) -> list[dict[str, Any]]: ...


class JobsGone(Exception):
    """The process that forks job processes died, and all it had forked with it: no request is to blame."""


class SlotGate:
    """How many jobs may work at once. A job that waits for another service holds no slot."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._free = slots
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        # First come, first served, also when a place is free: a waiting job must not starve behind new ones.
        if self._free > 0 and not self._waiters:
            self._free -= 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()
            else:
                self._waiters.remove(waiter)
            raise

    async def acquire_some(self) -> int:
        """Wait for one place, then take all that are free. Returns how many."""
        await self.acquire()
        return 1 + self.take_free()

    def take_free(self) -> int:
        taken = max(0, self._free)
        self._free -= taken
        return taken

    def release(self, places: int = 1) -> None:
        for _ in range(places):
            if self._free < 0 or not self._hand_on():
                self._free += 1

    def _hand_on(self) -> bool:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return True
        return False

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Give the slot away for the time of the block, then wait for one again.

        Who is cancelled meanwhile does not wait: it goes on holding a slot that is not there, a debt that its own
        release pays.
        """
        self.release()
        try:
            yield
            await self.acquire()
        except BaseException:
            self._free -= 1
            raise


@dataclass
class _Process:
    child: Child
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    runs: int = 0
    idle_since: float = field(default_factory=time.monotonic)

    async def send(self, frame: dict[str, Any]) -> None:
        raw = dump(frame)
        self.writer.write(LENGTH.pack(len(raw)) + raw)
        await self.writer.drain()

    async def receive(self) -> dict[str, Any]:
        length = LENGTH.unpack(await self.reader.readexactly(LENGTH.size))[0]
        return dict(load(await self.reader.readexactly(length), max_bytes=MAX_FRAME))

    def close(self) -> None:
        self.child.kill()
        self.writer.close()


class JobPool:
    """The job processes of one service's front."""

    def __init__(self, service_path: str, settings: Settings, server: ForkServer) -> None:
        self._path = service_path
        self._settings = settings
        self._server = server
        self._idle: list[_Process] = []
        self._all: set[int] = set()

    async def run(self, envelope: RequestEnvelope, delivery: Delivery, ears: Ears, gate: SlotGate) -> dict[str, Any]:
        """The reply's type and data. Raises the job's typed error, JobDied when its process ended, or JobsGone.

        Cancelling this coroutine kills the process.
        """
        process = self._warm() or await self._spawn()
        finished = False
        ears.began(process.child.pid)
        try:
            await process.send({"run": asdict(envelope), "attempt": delivery.attempt, "entry": delivery.entry})
            while True:
                frame = await process.receive()
                if "progress" in frame:
                    ears.progress(frame["progress"])
                elif "ask" in frame:
                    async with gate.lent():
                        answers = await ears.ask_many(frame["ask"], frame.get("timeout_s"))
                    await process.send({"answers": answers})
                else:
                    finished = True
                    break
        except (asyncio.IncompleteReadError, ConnectionError, BrokenPipeError):
            raise JobDied(await self._post_mortem(process, envelope.type)) from None
        finally:
            process.runs += 1
            if finished and process.runs < MAX_RUNS:
                process.idle_since = time.monotonic()
                self._idle.append(process)
            else:
                self._all.discard(process.child.pid)
                process.close()
        ears.met(frame.get("events") or {})
        if "error" in frame:
            problem = frame["error"]
            raise error_in({"data": {**problem["details"], "error": problem["message"], "code": problem["code"]}})
        return dict(frame["reply"])

    def _warm(self) -> _Process | None:
        """An idle process that lives: one that the kernel killed meanwhile must not cost a request its answer."""
        while self._idle:
            process = self._idle.pop()
            if not process.child.exited.done() and not process.reader.at_eof():
                return process
            self._all.discard(process.child.pid)
            process.close()
        return None

    async def _spawn(self) -> _Process:
        try:
            child = await self._server.spawn(
                "evolve.messaging.jobs:main",
                {"service_path": self._path, "settings": self._settings.model_dump(mode="json")},
            )
        except Unavailable as error:
            raise JobsGone(error.message) from None
        try:
            reader, writer = await asyncio.open_connection(sock=child.connection, limit=1 << 20)
        except BaseException:
            child.kill()
            child.connection.close()
            raise
        self._all.add(child.pid)
        return _Process(child, reader, writer)

    async def _post_mortem(self, process: _Process, what: str) -> str:
        try:
            status = await asyncio.wait_for(asyncio.shield(process.child.exited), timeout=2.0)
        except TimeoutError:
            return f"the process working on {what} closed its connection and hangs; it was killed"
        if status == SERVER_GONE:
            raise JobsGone(f"the process that forks jobs died while one worked on {what}")
        if status == -signal.SIGKILL:
            return f"the process working on {what} was killed (SIGKILL): usually the machine ran out of memory; ask for less or free some"
        if status < 0:
            return f"the process working on {what} died of {signal.Signals(-status).name}; the service goes on"
        return f"the process working on {what} exited with status {status} without an answer; see the service's log"

    def retire_idle(self) -> None:
        """End processes nobody needed for a while."""
        now = time.monotonic()
        for process in [p for p in self._idle if now - p.idle_since > IDLE_S]:
            self._idle.remove(process)
            self._all.discard(process.child.pid)
            process.close()

    def pids(self) -> list[int]:
        return sorted(self._all)

    async def close(self) -> None:
        for process in self._idle:
            process.close()
        self._idle.clear()
        await self._server.close()


# --- in the job process ---


class _FrameSocket:
    """Blocking frames over a socket; the job process has no event loop and no second thread."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(True)
        self._connection = connection

    def send(self, frame: dict[str, Any]) -> None:
        raw = dump(frame)
        if len(raw) > MAX_FRAME:
            raise TooLarge(f"the reply of {len(raw):,} bytes is over the limit of {MAX_FRAME:,}")
        self._connection.sendall(LENGTH.pack(len(raw)) + raw)

    def receive(self) -> dict[str, Any] | None:
        head = self._exactly(LENGTH.size)
        if head is None:
            return None
        body = self._exactly(LENGTH.unpack(head)[0])
        return None if body is None else dict(load(body, max_bytes=MAX_FRAME))

    def _exactly(self, count: int) -> bytes | None:
        chunks = bytearray()
        while len(chunks) < count:
            chunk = self._connection.recv(min(count - len(chunks), 1 << 20))
            if not chunk:
                return None
            chunks += chunk
        return bytes(chunks)


class _ProcessWire:
    def __init__(self, frames: _FrameSocket) -> None:
        self._frames = frames
        self._last: tuple[str, float] = ("", 0.0)

    def progress(self, stage: str, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        # A loop may report every microsecond; people and buses need twenty a second, and always the last of a stage.
        if stage == self._last[0] and now - self._last[1] < PROGRESS_INTERVAL_S and done < total:
            return
        self._last = (stage, now)
        self._frames.send({"progress": {"stage": stage, "done": done, "total": total, "message": message}})

    def ask_all(self, requests: Sequence[Request[Any]], timeout_s: float | None) -> list[Reply | BaseException]:
        self._frames.send({"ask": [outgoing(request) for request in requests], "timeout_s": timeout_s})
        frame = self._frames.receive()
        if frame is None:
            raise SystemExit(1)  # the front is gone, and with it whoever wanted the answer
        return [incoming(request, answer) for request, answer in zip(requests, frame["answers"], strict=True)]


def outgoing(request: Request[Any]) -> dict[str, Any]:
    """A request as a frame carries it from a job to its front."""
    return {
        "service": request.service,
        "type": request.wire_type,
        "slot": request.slot,
        "data": request.model_dump(mode="json"),
    }


def incoming(request: Request[Any], envelope: dict[str, Any]) -> Reply | BaseException:
    """The typed reply in a response envelope, or the typed error."""
    if envelope.get("status") == "error":
        return error_in(envelope)
    return request.reply_type.model_validate(envelope.get("data") or {})


def run_request(service: Service, envelope: RequestEnvelope, job: Job) -> dict[str, Any]:
    """The frame that answers `envelope`: a reply, a typed error, or `internal` for a bug of ours."""
    with logs.about(envelope.request_id):
        return _answered(service, envelope, job)


def _answered(service: Service, envelope: RequestEnvelope, job: Job) -> dict[str, Any]:
    try:
        request = service.parse(envelope)
        reply = service.handle(request, job)
        return {"reply": {"type": reply.wire_type, "data": reply.model_dump(mode="json")}}
    except EvolveError as error:
        return {"error": {"code": error.code, "message": error.message, "details": error.details}}
    except Exception as error:  # noqa: BLE001 - the handler's boundary: a bug becomes an `internal` reply, its traceback is logged
        logs.logger().exception("handler failed", request_type=envelope.type, request_id=envelope.request_id)
        bug = Internal(
            f"{envelope.type} failed by a bug of ours ({type(error).__name__}); its traceback is in the log of {service.name}"
        )
        return {"error": {"code": bug.code, "message": bug.message, "details": bug.details}}


def main(connection: socket.socket, *, service_path: str, settings: dict[str, Any]) -> int:
    """A job process's life: requests one after the other, until the front closes the connection."""
    frames = _FrameSocket(connection)
    configured = Settings.load(**settings)
    cls = load_service(service_path)
    logs.configure(
        cls.name,
        directory=configured.logs,
        level=configured.log_level,
        form=configured.log_format,
        secrets=configured.secrets,
    )
    service = cls(settings=configured)
    wire = _ProcessWire(frames)
    while (frame := frames.receive()) is not None:
        envelope = RequestEnvelope(**frame["run"])
        answer = run_request(service, envelope, Job(envelope, wire, int(frame["attempt"]), frame["entry"]))
        events = taken()
        if events:
            answer["events"] = events
        try:
            try:
                frames.send(answer)
            except TooLarge as error:
                frames.send({"error": {"code": error.code, "message": error.message, "details": error.details}})
            except TypeError:
                logs.logger().exception(
                    "the answer is no JSON", request_type=envelope.type, request_id=envelope.request_id
                )
                text = f"{envelope.type} answered with what no JSON can hold, a bug of ours; see the log of {cls.name}"
                frames.send({"error": {"code": Internal.code, "message": text, "details": {}}})
        except (BrokenPipeError, ConnectionError):
            return 0
    return 0
