"""A replica of a service: takes requests, has them worked on, answers, and keeps answering `ping` meanwhile.

The front is one asyncio loop. Inline handlers run in it, light ones in threads, heavy ones in job processes. It leases
what it took, extends the leases, takes over what dead replicas left, and drains on SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import platform
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from evolve import logs
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import (
    Cancelled,
    DeadlineExceeded,
    EvolveError,
    Interrupted,
    JobDied,
    Malformed,
    RequestIdReused,
    Unavailable,
    UnknownType,
    error_for,
)
from evolve.messaging.asker import Asker
from evolve.messaging.bridge import Bridge
from evolve.messaging.bus import Bus, Delivery, Lane, ReplicaInfo, control_channel
from evolve.messaging.connection import bus_for
from evolve.messaging.envelope import (
    RequestEnvelope,
    dump,
    error_response,
    new_request_id,
    progress_event,
    read_request,
    response,
)
from evolve.messaging.forkserver import ForkServer
from evolve.messaging.jobs import JobPool, SlotGate, incoming, outgoing, run_request
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, Service
from evolve.settings import Settings

LIGHT_IN_FLIGHT = 64
LIGHT_THREADS = 8
JOB_NICE = 10  # the front then stalls ≤ 4 ms while jobs use every core
BLOCK_S = 1.0


def replica_name() -> str:
    """Unique for every incarnation: a restarted process must not inherit its predecessor's leases."""
    return f"{platform.node()}-{os.getpid()}-{time.time_ns() % 10**9:09d}"


@dataclass
class _Running:
    delivery: Delivery
    envelope: RequestEnvelope
    task: asyncio.Task[None]
    why: str = ""  # why it was stopped: cancelled, lost, drain


class Worker:
    """One replica. `serve` returns after `stop` was called and what was in work is answered or given back."""

    def __init__(
        self,
        service: type[Service],
        settings: Settings,
        bus: Bus,
        *,
        clock: Clock = SYSTEM_CLOCK,
        name: str | None = None,
        job_server: Path | None = None,
    ) -> None:
        self._cls = service
        self._settings = settings
        self._bus = bus
        self._clock = clock
        self.name = name or replica_name()
        self._service = service(settings=settings)
        self._log = logs.logger(service=service.name, replica=self.name)
        slots = settings.service(service.name, "slots", os.cpu_count() or 1)
        self._heavy = SlotGate(max(1, slots))
        self._light = SlotGate(settings.service(service.name, "in_flight", LIGHT_IN_FLIGHT))
        self._threads = ThreadPoolExecutor(LIGHT_THREADS, thread_name_prefix=service.name)
        path = f"{service.__module__}:{service.__qualname__}"
        forks = ForkServer(
            preload=("evolve.messaging.jobs", service.__module__, *service.preload), shared=job_server, nice=JOB_NICE
        )
        self._jobs = JobPool(path, settings, forks)
        self._asker = Asker(bus, clock=clock)
        self._running: dict[str, _Running] = {}
        self._stopping = asyncio.Event()
        self.ready = asyncio.Event()
        self._process = psutil.Process()
        self._background: set[asyncio.Task[Any]] = set()

    # --- life ---

    def stop(self) -> None:
        self._stopping.set()

    async def serve(self) -> None:
        """Answer until `stop`. Raises Unavailable when the server cannot be reached at the start."""
        await self._bus.open(self._cls.name)
        bridge = Bridge(self._bus, self._cls.name, self._lane_of, max_bytes=self._settings.max_message_bytes)
        control_ready = asyncio.Event()
        loops = [
            asyncio.create_task(bridge.serve()),
            asyncio.create_task(self._control(control_ready)),
            asyncio.create_task(self._repeat(self._settings.heartbeat_s, self._beat)),
            asyncio.create_task(self._repeat(self._settings.lease_s / 3, self._extend_leases)),
            asyncio.create_task(self._repeat(self._settings.lease_s / 2, self._reclaim)),
        ]
        readers = [asyncio.create_task(self._read(lane)) for lane in self._lanes()]
        try:
            await asyncio.wait_for(asyncio.gather(control_ready.wait(), bridge.listening.wait()), timeout=15.0)
            await self._beat()
            await self._announce("service_started")
            self.ready.set()
            self._log.info("started")
            await self._stopping.wait()
        finally:
            for task in readers:
                task.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            await self._drain()
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._leave()

    def _lanes(self) -> list[Lane]:
        # Both, always: whoever sends may belong to another version and use the other lane.
        return ["light", "heavy"]

    def _lane_of(self, _service: str, wire_type: str) -> Lane:
        handler = self._cls.handlers.get(wire_type)
        return "heavy" if handler is not None and handler.request.slot == "heavy" else "light"

    async def _drain(self) -> None:
        """Let work in hand finish for a set time; what is not done goes back to the group for another replica."""
        tasks = [running.task for running in self._running.values()]
        if tasks:
            self._log.info("draining", in_flight=len(tasks))
            await asyncio.wait(tasks, timeout=self._settings.drain_s)
        for running in list(self._running.values()):
            running.why = running.why or "drain"
            running.task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)

    async def _leave(self) -> None:
        with contextlib.suppress(Unavailable):
            await self._announce("service_stopped")
            await self._bus.retire(self._cls.name, self.name)
        await self._asker.close()
        await self._jobs.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._log.info("stopped")

    async def _repeat(self, every_s: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except Unavailable as error:
                self._log.warning("server not reached", error=error.message)
            # Jitter, so that replicas started together do not all ask at once.
            await asyncio.sleep(every_s * random.uniform(0.8, 1.0))

    async def _beat(self) -> None:
        self._jobs.retire_idle()
        cpu = self._process.cpu_times()
        rss = self._process.memory_info().rss
        await self._bus.heartbeat(
            self._cls.name,
            ReplicaInfo(
                replica=self.name,
                pid=os.getpid(),
                host=platform.node(),
                in_flight=len(self._running),
                cpu_s=round(cpu.user + cpu.system, 2),
                rss_mb=round(rss / 2**20, 1),
                state="stopping" if self._stopping.is_set() else "running",
                version=_version(),
            ),
        )

    async def _announce(self, wire_type: str) -> None:
        data = {"replica": self.name, "pid": os.getpid(), "host": platform.node()}
        await self._bus.announce(self._cls.name, self._reply(wire_type, data, None))

    # --- taking requests ---

    async def _read(self, lane: Lane) -> None:
        gate = self._heavy if lane == "heavy" else self._light
        pause = 0.1
        while True:
            # A place first: what this replica cannot work on soon is better left to another.
            places = await gate.acquire_some()
            try:
                deliveries = await self._bus.receive(self._cls.name, lane, self.name, places, block_s=BLOCK_S)
                pause = 0.1
            except Unavailable as error:
                self._log.warning("server not reached", error=error.message)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, 2.0)
                deliveries = []
            except asyncio.CancelledError:
                gate.release(places)
                raise
            gate.release(places - len(deliveries))
            for delivery in deliveries:
                self._take(delivery, gate)

    async def _reclaim(self) -> None:
        """Take over what replicas that died, or lost their lease, had in hand."""
        for lane in self._lanes():
            gate = self._heavy if lane == "heavy" else self._light
            places = gate.take_free()
            if not places:
                continue  # busy: another replica has room, or we will in a moment
            deliveries: list[Delivery] = []
            try:
                found = await self._bus.reclaim(
                    self._cls.name, lane, self.name, idle_s=self._settings.lease_s, count=places
                )
                # Our own, after we were paused for longer than the lease, go on as they are.
                deliveries = [delivery for delivery in found if delivery.entry not in self._running]
            finally:
                gate.release(places - len(deliveries))
            for delivery in deliveries:
                self._log.warning("took over", entry=delivery.entry, attempt=delivery.attempt)
                self._take(delivery, gate)

    def _take(self, delivery: Delivery, gate: SlotGate) -> None:
        try:
            envelope = read_request(delivery.raw, max_bytes=self._settings.max_message_bytes)
        except EvolveError as error:
            self._spawn(self._refuse(delivery, error, None))
            gate.release()
            return
        envelope = replace(envelope, request_id=envelope.request_id or delivery.request_id)
        task = asyncio.create_task(self._answer(delivery, envelope, gate))
        self._running[delivery.entry] = _Running(delivery, envelope, task)

    async def _answer(self, delivery: Delivery, envelope: RequestEnvelope, gate: SlotGate) -> None:
        try:
            begin = await self._bus.begin(delivery, self.name, envelope.content_hash, envelope.reply_to)
            if begin == "reused":
                error = RequestIdReused(
                    f"request_id {envelope.request_id!r} belongs to another request; use a new one, or none"
                )
                await self._refuse(delivery, error, envelope)
            elif begin == "cancelled":
                await self._finish(
                    delivery,
                    self._error(delivery, envelope, Cancelled(f"{envelope.type} was cancelled before it began")),
                )
            elif begin == "run":
                await self._run(delivery, envelope, gate)
        except Unavailable as error:
            # The reply could not be sent: the lease lapses and the request runs again, here or elsewhere.
            self._log.error("reply not sent", error=error.message, request_id=envelope.request_id)
        finally:
            self._running.pop(delivery.entry, None)
            gate.release()

    async def _run(self, delivery: Delivery, envelope: RequestEnvelope, gate: SlotGate) -> None:
        started = self._clock.monotonic()
        try:
            if delivery.attempt > self._settings.max_attempts:
                raise JobDied(
                    f"{envelope.type} was given up after {delivery.attempt - 1} attempts: each time the replica working on it died"
                )
            limit = None if envelope.deadline is None else envelope.deadline - self._clock.now()
            if limit is not None and limit <= 0:
                raise DeadlineExceeded(f"the deadline of {envelope.type} passed before it began")
            try:
                async with asyncio.timeout(limit):
                    frame = await self._work(delivery, envelope, gate)
            except TimeoutError:
                raise DeadlineExceeded(f"{envelope.type} was stopped at its deadline") from None
            reply = self._reply(frame["type"], frame["data"], envelope.request_id if delivery.named else None)
        except asyncio.CancelledError:
            why = self._running[delivery.entry].why
            if why == "lost":
                self._log.warning("lease lost; another replica has it", request_id=envelope.request_id)
                return
            if why != "cancelled":
                await self._bus.release(delivery, self.name)
                self._log.info("given back", request_id=envelope.request_id)
                return
            reply = self._error(delivery, envelope, Cancelled(f"{envelope.type} was cancelled"))
        except EvolveError as error:
            reply = self._error(delivery, envelope, error)
            if isinstance(error, JobDied):
                self._log.error("job died", error=error.message, request_id=envelope.request_id)
        sent = await self._finish(delivery, reply)
        self._log.info(
            "answered" if sent else "reply dropped: the lease is another's",
            request_id=envelope.request_id,
            request_type=envelope.type,
            seconds=round(self._clock.monotonic() - started, 4),
        )

    async def _work(self, delivery: Delivery, envelope: RequestEnvelope, gate: SlotGate) -> dict[str, Any]:
        handler = self._cls.handlers.get(envelope.type)
        if handler is None:
            self._cls.parse(envelope)  # raises UnknownType with the nearest names
            raise UnknownType(f"{self._cls.name} has no request {envelope.type!r}")

        def on_progress(event: dict[str, Any]) -> None:
            raw = dump(
                progress_event(
                    self._cls.name,
                    at=self._clock.now(),
                    request_id=envelope.request_id if delivery.named else None,
                    **event,
                )
            )
            self._spawn(self._bus.report(self._cls.name, envelope.reply_to, raw))

        async def ask_many(questions: list[dict[str, Any]], timeout_s: float | None) -> list[dict[str, Any]]:
            return await self._ask_many(envelope, questions, timeout_s, on_progress)

        if handler.request.slot == "heavy":
            self._cls.parse(envelope)  # a bad request is refused before it costs a process
            return await self._jobs.run(
                envelope, delivery.attempt, on_progress=on_progress, ask_many=ask_many, gate=gate
            )
        if handler.request.slot == "inline":
            frame = run_request(self._service, envelope, Job(envelope, _NoWire(), delivery.attempt))
        else:
            wire = _ThreadWire(asyncio.get_running_loop(), on_progress, ask_many)
            frame = await asyncio.get_running_loop().run_in_executor(
                self._threads, run_request, self._service, envelope, Job(envelope, wire, delivery.attempt)
            )
        if "error" in frame:
            problem = frame["error"]
            raise error_for(problem["code"])(problem["message"], **problem["details"])
        return dict(frame["reply"])

    async def _ask_many(
        self,
        parent: RequestEnvelope,
        questions: list[dict[str, Any]],
        timeout_s: float | None,
        on_progress: Callable[[dict[str, Any]], None],
    ) -> list[dict[str, Any]]:
        """Ask other services on behalf of a job. Its cancel, deadline and trace follow to the children."""

        async def one(number: int, question: dict[str, Any]) -> dict[str, Any]:
            # Derived from the parent: when this job runs again after a crash, its children are found done, not run twice.
            child = RequestEnvelope(
                type=question["type"],
                data=question["data"],
                timestamp=self._clock.now(),
                request_id=child_id(parent.request_id or "", number, question),
                parent=parent.request_id,
                reply_to=self._asker.name,
                deadline=parent.deadline,
                sender=self._cls.name,
            )
            service, lane = question["service"], "heavy" if question["slot"] == "heavy" else "light"
            try:
                return await self._asker.ask(
                    service,
                    lane,  # type: ignore[arg-type]
                    child,
                    timeout_s=timeout_s,
                    on_progress=lambda event: on_progress({**event, "stage": f"{service}: {event['stage']}"}),
                )
            except asyncio.CancelledError:
                with contextlib.suppress(Unavailable):
                    await self._asker.withdraw(service, child.request_id or "")
                raise
            except EvolveError as error:
                return error_response(
                    service, error, request_type=child.type, at=self._clock.now(), request_id=child.request_id
                )

        return list(await asyncio.gather(*(one(number, question) for number, question in enumerate(questions))))

    # --- answering ---

    def _reply(self, wire_type: str, data: dict[str, Any], request_id: str | None) -> bytes:
        return dump(response(self._cls.name, wire_type, data, at=self._clock.now(), request_id=request_id))

    def _error(self, delivery: Delivery, envelope: RequestEnvelope | None, error: EvolveError) -> bytes:
        return dump(
            error_response(
                self._cls.name,
                error,
                request_type=envelope.type if envelope else None,
                at=self._clock.now(),
                request_id=envelope.request_id if envelope and delivery.named else None,
            )
        )

    async def _finish(self, delivery: Delivery, reply: bytes) -> bool:
        return await self._bus.finish(delivery, self.name, reply)

    async def _refuse(self, delivery: Delivery, error: EvolveError, envelope: RequestEnvelope | None) -> None:
        keep = f"{error.code}: {error.message}" if envelope is None else None
        reply_to = envelope.reply_to if envelope else None
        with contextlib.suppress(Unavailable):
            await self._bus.refuse(delivery, self._error(delivery, envelope, error), reply_to, reason=keep)

    # --- leases and control ---

    async def _extend_leases(self) -> None:
        if not self._running:
            return
        report = await self._bus.extend(
            self._cls.name, [running.delivery for running in self._running.values()], self.name
        )
        for entry in report.lost:
            self._interrupt(entry, "lost")
        for entry in report.cancelled:
            self._interrupt(entry, "cancelled")

    def _interrupt(self, entry: str, why: str) -> None:
        running = self._running.get(entry)
        if running is not None and not running.why:
            running.why = why
            running.task.cancel()

    async def _control(self, ready: asyncio.Event) -> None:
        while True:
            try:
                async for channel, raw in self._bus.listen([control_channel(self._cls.name)]):
                    if not channel:
                        ready.set()
                        continue
                    try:
                        await self._obey(read_request(raw, max_bytes=self._settings.max_message_bytes))
                    except EvolveError as error:
                        if await self._leads():
                            await self._refuse(Delivery(self._cls.name, "light", "0-0", raw, named=False), error, None)
            except Unavailable:
                await asyncio.sleep(0.5)

    async def _obey(self, message: RequestEnvelope) -> None:
        if message.type == "ping":
            await self._tell(message, "pong", {"replica": self.name})
        elif message.type in ("status", "start"):
            if await self._leads():
                await self._tell(message, "status", await self._status())
        elif message.type == "stop":
            if message.data.get("replica") in (None, self.name):
                await self._tell(message, "status", {**await self._status(), "state": "stopping"})
                self.stop()
        elif message.type == "cancel":
            await self._cancel(message)
        else:
            raise UnknownType(f"control has no {message.type!r}; it has ping, status, start, stop and cancel")

    async def _cancel(self, message: RequestEnvelope) -> None:
        wanted = message.data.get("request_id")
        if not isinstance(wanted, str) or not wanted:
            raise Malformed('cancel needs data {"request_id": "…"}')
        if message.sender != "withdraw" and await self._leads():
            # Published by hand: mark it, so that it ends also when it is still queued.
            await self._bus.withdraw(self._cls.name, wanted)
        for entry, running in list(self._running.items()):
            if running.envelope.request_id == wanted:
                self._interrupt(entry, "cancelled")

    async def _tell(self, message: RequestEnvelope, wire_type: str, data: dict[str, Any]) -> None:
        await self._bus.report(self._cls.name, message.reply_to, self._reply(wire_type, data, message.request_id))

    async def _leads(self) -> bool:
        """Whether this replica speaks for all of them: the first by name among the living."""
        living = [info.replica for info in await self._bus.replicas(self._cls.name)]
        return not living or living[0] == self.name or self.name not in living

    async def _status(self) -> dict[str, Any]:
        return await service_status(self._bus, self._cls.name)

    def _spawn(self, coroutine: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._background.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any] | asyncio.Future[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.warning("background step failed", error=str(task.exception()))


class _NoWire:
    """Inline handlers run in the event loop: they can neither wait nor report."""

    def progress(self, stage: str, done: int, total: int, message: str) -> None:
        raise Interrupted("an inline handler cannot report progress; declare its request slot='light'")

    def ask_all(self, requests: Sequence[Request[Any]], timeout_s: float | None) -> list[Reply | BaseException]:
        raise Interrupted("an inline handler cannot ask; declare its request slot='light'")


class _ThreadWire:
    """A light handler's way from its thread to the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_progress: Any, ask_many: Any) -> None:
        self._loop, self._on_progress, self._ask_many = loop, on_progress, ask_many

    def progress(self, stage: str, done: int, total: int, message: str) -> None:
        event = {"stage": stage, "done": done, "total": total, "message": message}
        self._loop.call_soon_threadsafe(self._on_progress, event)

    def ask_all(self, requests: Sequence[Request[Any]], timeout_s: float | None) -> list[Reply | BaseException]:
        questions = [outgoing(request) for request in requests]
        answers = asyncio.run_coroutine_threadsafe(self._ask_many(questions, timeout_s), self._loop).result()
        return [incoming(request, answer) for request, answer in zip(requests, answers, strict=True)]


def child_id(parent: str, number: int, question: dict[str, Any]) -> str:
    """The id of a job's question: equal when the same job asks the same again after a crash."""
    content = dump([parent, number, question["service"], question["type"], question["data"]])
    return hashlib.blake2b(content, digest_size=16).hexdigest()


async def service_status(bus: Bus, service: str) -> dict[str, Any]:
    """The `status` data of the contract, from what the server knows."""
    replicas, queue = await asyncio.gather(bus.replicas(service), bus.queue(service))
    state = "stopped" if not replicas else ("running" if any(r.state == "running" for r in replicas) else "stopping")
    fields = ("replica", "pid", "host", "in_flight", "cpu_s", "rss_mb")
    return {
        "state": state,
        "queued": queue.queued,
        "oldest_s": round(queue.oldest_s, 3),
        "dead": queue.dead,
        "replicas": [{name: getattr(info, name) for name in fields} for info in replicas],
    }


def _version() -> str:
    from evolve.version import VERSION

    return VERSION


# --- running one ---


async def _serve(
    cls: type[Service], settings: Settings, job_server: Path | None, on_worker: Callable[[Worker], None]
) -> None:
    bus = bus_for(settings)
    try:
        worker = Worker(cls, settings, bus, job_server=job_server)
        on_worker(worker)
        await worker.serve()
    finally:
        await bus.close()


def run_service(cls: type[Service], settings: Settings, *, job_server: Path | None = None) -> int:
    """Run one replica in the foreground until SIGTERM, SIGINT or a `stop` message. Returns the exit code."""
    try:
        logs.configure(cls.name, directory=settings.logs, level=settings.log_level)
    except EvolveError as error:
        print(error.message, file=sys.stderr)
        return 1

    def on_worker(worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)

    try:
        asyncio.run(_serve(cls, settings, job_server, on_worker))
    except EvolveError as error:
        logs.logger(service=cls.name).error("stopped", error=error.message)
        print(f"{cls.name}: {error.message}", file=sys.stderr)
        return 1
    return 0


def front(connection: socket.socket, *, service_path: str, settings: dict[str, Any], job_server: str | None) -> int:
    """A front forked by the supervisor's fork server; its socket only tells that the supervisor lives."""
    from evolve.messaging.service import load_service

    del connection
    return run_service(
        load_service(service_path), Settings.load(**settings), job_server=Path(job_server) if job_server else None
    )


class BackgroundWorker:
    """A replica in a thread of this process, for `Service.start`."""

    def __init__(self, cls: type[Service], settings: Settings) -> None:
        self._cls, self._settings = cls, settings
        self._thread = threading.Thread(target=self._main, name=f"{cls.name} service", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def start(self, *, wait_s: float = 20.0) -> None:
        self._thread.start()
        if not self._ready.wait(wait_s) and self._failure is None:
            raise Unavailable(f"{self._cls.name} was not ready within {wait_s:g} s")
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        if self._loop is not None and self._worker is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._worker.stop)
        self._thread.join(self._settings.drain_s + 15.0)

    def is_running(self) -> bool:
        return self._thread.is_alive() and self._failure is None

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that called start()
            self._failure = error
        finally:
            self._ready.set()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()

        def on_worker(worker: Worker) -> None:
            self._worker = worker
            announcer = asyncio.ensure_future(worker.ready.wait())
            announcer.add_done_callback(lambda _: self._ready.set())

        await _serve(self._cls, self._settings, None, on_worker)


__all__ = ["BackgroundWorker", "Worker", "front", "new_request_id", "run_service", "service_status"]
