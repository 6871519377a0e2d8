"""A replica of a service: takes requests, has them worked on, answers, and keeps answering `ping` meanwhile.

The front is one asyncio loop. Inline handlers run in it, light ones in threads, heavy ones in job processes. It leases
what it took, extends the leases, takes over what dead replicas left, and drains on SIGTERM.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hashlib
import itertools
import os
import platform
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from evolve import logs
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import (
    Cancelled,
    DeadlineExceeded,
    EvolveError,
    Internal,
    InvalidRequest,
    JobDied,
    Malformed,
    RequestIdReused,
    TooLarge,
    Unavailable,
    UnknownType,
)
from evolve.messaging.asker import Asker
from evolve.messaging.bridge import Bridge
from evolve.messaging.bus import Bus, Delivery, Lane, ReplicaInfo, control_channel
from evolve.messaging.connection import bus_for
from evolve.messaging.envelope import (
    RequestEnvelope,
    dump,
    error_in,
    error_response,
    new_request_id,
    progress_event,
    read_request,
    response,
)
from evolve.messaging.forkserver import ForkServer
from evolve.messaging.jobs import PROGRESS_INTERVAL_S, JobPool, SlotGate, incoming, outgoing, run_request
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, Service
from evolve.messaging.tasks import end_tasks
from evolve.messaging.threads import DaemonThreads
from evolve.settings import Settings

LIGHT_IN_FLIGHT = 64
LIGHT_THREADS = 8
JOB_NICE = 10  # the front then stalls ≤ 4 ms while jobs use every core
BLOCK_S = 1.0
RECLAIM_S = 1.0  # how often a replica with room looks for what others left
READY_S = 15.0
NO_ENTRY = "0-0"  # of a message that came on the control channel and stands in no stream


def replica_name() -> str:
    """Unique for every incarnation: a restarted process must not inherit its predecessor's leases."""
    return f"{platform.node()}-{os.getpid()}-{time.time_ns() % 10**9:09d}"


Why = Literal["", "cancelled", "lost", "drain"]  # why a request was stopped from outside


@dataclass
class _Running:
    delivery: Delivery
    envelope: RequestEnvelope
    task: asyncio.Task[None] | None = None
    why: Why = ""
    working: bool = False  # only then its task may be cancelled: a step before or after must not be cut in two

    @property
    def request_id(self) -> str | None:
        """The id as a reply shows it: only one that the sender gave."""
        return self.envelope.request_id if self.delivery.named else None


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
        self._threads = DaemonThreads(LIGHT_THREADS, service.name)
        path = f"{service.__module__}:{service.__qualname__}"
        forks = ForkServer(
            preload=("evolve.messaging.jobs", service.__module__, *service.preload), shared=job_server, nice=JOB_NICE
        )
        self._jobs = JobPool(path, settings, forks)
        self._reclaim_every_s = min(RECLAIM_S, settings.lease_s / 2)
        self._asker = Asker(bus, clock=clock, max_bytes=settings.max_message_bytes)
        self._running: dict[str, _Running] = {}
        self._stopping = asyncio.Event()
        self.ready = asyncio.Event()
        self._process = psutil.Process()
        self._background: set[asyncio.Task[Any]] = set()

    # --- life ---

    def stop(self) -> None:
        self._stopping.set()

    async def serve(self) -> None:
        """Answer until `stop`. Raises Unavailable when the server cannot be reached at the start.

        Raises whatever ends one of its loops: a replica that no longer extends leases or hears its control channel
        must end, so that another one is started in its place.
        """
        await self._bus.open(self._cls.name)
        bridge = Bridge(self._bus, self._cls.name, self._lane_of, max_bytes=self._settings.max_message_bytes)
        control_ready = asyncio.Event()
        loops = [
            asyncio.create_task(bridge.serve()),
            asyncio.create_task(self._control(control_ready)),
            asyncio.create_task(self._repeat(self._settings.heartbeat_s, self._beat)),
            asyncio.create_task(self._repeat(self._settings.lease_s / 3, self._extend_leases)),
        ]
        readers = [asyncio.create_task(self._read(lane)) for lane in self._lanes()]
        try:
            listening = asyncio.ensure_future(asyncio.gather(control_ready.wait(), bridge.listening.wait()))
            if not await _first(listening, [*loops, *readers], within_s=READY_S):
                raise Unavailable(f"{self._cls.name} could not listen on its channels within {READY_S:g} s")
            await self._beat()
            await self._announce("service_started")
            self.ready.set()
            self._log.info("started")
            await _first(asyncio.ensure_future(self._stopping.wait()), [*loops, *readers], within_s=None)
        finally:
            await end_tasks(readers)
            await self._drain()
            if not await end_tasks(loops):
                self._log.error("a loop did not end; leaving without it")
            await self._leave()

    def _lanes(self) -> list[Lane]:
        # Both, always: whoever sends may belong to another version and use the other lane.
        return ["light", "heavy"]

    def _lane_of(self, _service: str, wire_type: str) -> Lane:
        handler = self._cls.handlers.get(wire_type)
        return "heavy" if handler is not None and handler.request.slot == "heavy" else "light"

    async def _drain(self) -> None:
        """Let work in hand finish for a set time; what is not done goes back to the group for another replica."""
        tasks = [running.task for running in self._running.values() if running.task is not None]
        if tasks:
            self._log.info("draining", in_flight=len(tasks))
            await asyncio.wait(tasks, timeout=self._settings.drain_s)
        for entry in list(self._running):
            self._interrupt(entry, "drain")
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)

    async def _leave(self) -> None:
        with contextlib.suppress(Unavailable):
            await self._announce("service_stopped")
            await self._bus.retire(self._cls.name, self.name)
        await self._asker.close()
        await self._jobs.close()
        self._threads.close()
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
        reclaim_at, pause = 0.0, 0.1
        while True:
            # A place first: what this replica cannot work on soon is better left to another.
            places = await gate.acquire_some()
            deliveries: list[Delivery] = []
            try:
                # Here and not in a loop of its own: this reader holds the free places nearly always.
                if self._clock.monotonic() >= reclaim_at:
                    deliveries = await self._reclaim(lane, places)
                    reclaim_at = self._clock.monotonic() + self._reclaim_every_s * random.uniform(0.8, 1.0)
                if not deliveries:
                    block_s = min(BLOCK_S, max(0.01, reclaim_at - self._clock.monotonic()))
                    deliveries = await self._bus.receive(self._cls.name, lane, self.name, places, block_s=block_s)
                pause = 0.1
            except Unavailable as error:
                self._log.warning("server not reached", error=error.message)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, 2.0)
            finally:
                gate.release(places - len(deliveries))
            for delivery in deliveries:
                self._take(delivery, gate)

    async def _reclaim(self, lane: Lane, places: int) -> list[Delivery]:
        """Take over what replicas that died, lost their lease or left had in hand."""
        found = await self._bus.reclaim(self._cls.name, lane, self.name, idle_s=self._settings.lease_s, count=places)
        # Our own, after we were paused for longer than the lease, go on as they are.
        deliveries = [delivery for delivery in found if delivery.entry not in self._running]
        for delivery in deliveries:
            self._log.warning("took over", entry=delivery.entry, attempt=delivery.attempt)
        return deliveries

    def _take(self, delivery: Delivery, gate: SlotGate) -> None:
        try:
            envelope = read_request(delivery.raw, max_bytes=self._settings.max_message_bytes)
        except EvolveError as error:
            self._spawn(self._refuse(delivery, error, None, keep=True))
            gate.release()
            return
        envelope = replace(envelope, request_id=envelope.request_id or delivery.request_id)
        running = _Running(delivery, envelope)
        self._running[delivery.entry] = running
        running.task = asyncio.create_task(self._answer(running, gate))

    async def _answer(self, running: _Running, gate: SlotGate) -> None:
        delivery, envelope = running.delivery, running.envelope
        try:
            try:
                await self._begin(running, gate)
            except asyncio.CancelledError:
                await self._let_go(running)
        except Unavailable as error:
            # The reply could not be sent: the lease lapses and the request runs again, here or elsewhere.
            self._log.error("reply not sent", error=error.message, request_id=envelope.request_id)
        except Exception:  # noqa: BLE001 - the worker's boundary: a bug is answered and logged, else the request would run for ever
            self._log.exception("request failed", request_id=envelope.request_id, request_type=envelope.type)
            bug = Internal(f"{envelope.type} failed by a bug of ours; its traceback is in the log of {self._cls.name}")
            with contextlib.suppress(Unavailable):
                await self._bus.finish(delivery, self.name, self._error(delivery, envelope, bug))
        finally:
            self._running.pop(delivery.entry, None)
            gate.release()

    async def _begin(self, running: _Running, gate: SlotGate) -> None:
        delivery, envelope = running.delivery, running.envelope
        begin = await self._bus.begin(delivery, self.name, envelope.content_hash, envelope.reply_to)
        if begin == "reused":
            error = RequestIdReused(
                f"request_id {envelope.request_id!r} belongs to another request; use a new one, or none"
            )
            await self._refuse(delivery, error, envelope)
        elif begin == "cancelled":
            cancelled = Cancelled(f"{envelope.type} was cancelled before it began")
            await self._bus.finish(delivery, self.name, self._error(delivery, envelope, cancelled))
        elif begin == "run":
            await self._run(running, gate)

    async def _let_go(self, running: _Running) -> None:
        """What remains to be done for a request that was stopped from outside, begun or not."""
        delivery, envelope = running.delivery, running.envelope
        if running.why == "cancelled":
            error = Cancelled(f"{envelope.type} was cancelled")
            await self._bus.finish(delivery, self.name, self._error(delivery, envelope, error))
            self._log.info("cancelled", request_id=envelope.request_id)
        elif running.why == "lost":
            self._log.warning("lease lost; another replica has it", request_id=envelope.request_id)
        else:
            await self._bus.release(delivery, self.name)
            self._log.info("given back", request_id=envelope.request_id)

    async def _run(self, running: _Running, gate: SlotGate) -> None:
        delivery, envelope = running.delivery, running.envelope
        started = self._clock.monotonic()
        link = _Link(self._cls.name, running, self._bus, self._asker, self._clock)
        dead: str | None = None
        try:
            try:
                running.working = True
                if running.why:
                    raise asyncio.CancelledError  # it was stopped while it began
                frame = await self._work(running, link, gate)
            finally:
                running.working = False
                await link.close()
            reply = self._reply(frame["type"], frame["data"], running.request_id)
        except EvolveError as error:
            reply = self._error(delivery, envelope, error)
            if envelope.type not in self._cls.handlers or delivery.attempt > self._settings.max_attempts:
                dead = f"{error.code}: {error.message}"
            if isinstance(error, JobDied):
                self._log.error("job died", error=error.message, request_id=envelope.request_id)
        sent = await self._bus.finish(delivery, self.name, reply, dead=dead)
        self._log.info(
            "answered" if sent else "reply dropped: the lease is another's",
            request_id=envelope.request_id,
            request_type=envelope.type,
            seconds=round(self._clock.monotonic() - started, 4),
        )

    async def _work(self, running: _Running, link: _Link, gate: SlotGate) -> dict[str, Any]:
        """The type and data of the reply. Raises what the handler raised, JobDied or DeadlineExceeded."""
        delivery, envelope = running.delivery, running.envelope
        if delivery.attempt > self._settings.max_attempts:
            raise JobDied(
                f"{envelope.type} was given up after {delivery.attempt - 1} attempts: each time the replica working on it died"
            )
        limit = None if envelope.deadline is None else envelope.deadline - self._clock.now()
        if limit is not None and limit <= 0:
            raise DeadlineExceeded(f"the deadline of {envelope.type} passed before it began")
        try:
            async with asyncio.timeout(limit):
                return await self._handled(delivery, envelope, link, gate)
        except TimeoutError:
            raise DeadlineExceeded(f"{envelope.type} was stopped at its deadline") from None

    async def _handled(
        self, delivery: Delivery, envelope: RequestEnvelope, link: _Link, gate: SlotGate
    ) -> dict[str, Any]:
        handler = self._cls.handlers.get(envelope.type)
        if handler is None:
            self._cls.parse(envelope)  # raises UnknownType with the nearest names
            raise UnknownType(f"{self._cls.name} has no request {envelope.type!r}")
        if handler.request.slot == "heavy":
            self._cls.parse(envelope)  # a bad request is refused before it costs a process
            return await self._jobs.run(
                envelope, delivery.attempt, on_progress=link.progress, ask_many=link.ask_many, gate=gate
            )
        if handler.request.slot == "inline":
            frame = run_request(self._service, envelope, Job(envelope, _NoWire(), delivery.attempt))
        else:
            wire = _ThreadWire(asyncio.get_running_loop(), link)
            frame = await self._threads.run(run_request, self._service, envelope, Job(envelope, wire, delivery.attempt))
        if "error" in frame:
            problem = frame["error"]
            raise error_in({"data": {**problem["details"], "error": problem["message"], "code": problem["code"]}})
        return dict(frame["reply"])

    # --- answering ---

    def _reply(self, wire_type: str, data: dict[str, Any], request_id: str | None) -> bytes:
        return dump(response(self._cls.name, wire_type, data, at=self._clock.now(), request_id=request_id))

    def _error(self, delivery: Delivery, envelope: RequestEnvelope | None, error: EvolveError) -> bytes:
        known = envelope.request_id if envelope else delivery.request_id

        def envelope_of(error: EvolveError) -> bytes:
            return dump(
                error_response(
                    self._cls.name,
                    error,
                    request_type=envelope.type if envelope else None,
                    at=self._clock.now(),
                    request_id=known if delivery.named else None,
                )
            )

        try:
            return envelope_of(error)
        except TypeError:
            self._log.exception("an error's details are no JSON", code=error.code, error=error.message)
            return envelope_of(Internal(f"{error.message} (its details are no JSON, a bug of ours)"))

    async def _refuse(
        self, delivery: Delivery, error: EvolveError, envelope: RequestEnvelope | None, *, keep: bool = False
    ) -> None:
        reason = f"{error.code}: {error.message}" if keep else None
        reply_to = envelope.reply_to if envelope else None
        with contextlib.suppress(Unavailable):
            await self._bus.refuse(delivery, self._error(delivery, envelope, error), reply_to, reason=reason)

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

    def _interrupt(self, entry: str, why: Why) -> None:
        running = self._running.get(entry)
        if running is not None and not running.why:
            running.why = why
            if running.working and running.task is not None:
                running.task.cancel()

    async def _control(self, ready: asyncio.Event) -> None:
        while True:
            try:
                async for channel, raw in self._bus.listen([control_channel(self._cls.name)]):
                    if not channel:
                        ready.set()
                        continue
                    await self._hear_control(raw)
            except Unavailable:
                await asyncio.sleep(0.5)

    async def _hear_control(self, raw: bytes) -> None:
        message: RequestEnvelope | None = None
        try:
            message = read_request(raw, max_bytes=self._settings.max_message_bytes)
            await self._obey(message)
        except Unavailable:
            raise
        except EvolveError as error:
            if await self._leads():
                named = message is not None and message.request_id is not None
                keep = isinstance(error, Malformed | TooLarge | UnknownType)
                await self._refuse(
                    Delivery(self._cls.name, "light", NO_ENTRY, raw, named=named), error, message, keep=keep
                )

    async def _obey(self, message: RequestEnvelope) -> None:
        if message.type == "ping":
            await self._tell(message, "pong", {"replica": self.name})
        elif message.type in ("status", "start"):
            if await self._leads():
                await self._tell(message, "status", await self._status())
        elif message.type == "stop":
            wanted = message.data.get("replica")
            if wanted not in (None, self.name):
                await self._check_replica(wanted)
            else:
                await self._tell(message, "status", {**await self._status(), "state": "stopping"})
                self.stop()
        elif message.type == "cancel":
            await self._cancel(message)
        else:
            raise UnknownType(f"control has no {message.type!r}; it has ping, status, start, stop and cancel")

    async def _check_replica(self, name: object) -> None:
        living = [info.replica for info in await self._bus.replicas(self._cls.name)]
        if name not in living:
            raise InvalidRequest(f"{self._cls.name} has no replica {name!r}; running: {', '.join(living)}")

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
        return not living or living[0] == self.name

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


class _Link:
    """What one running request says and asks, until it ends: nothing of it may come after its reply."""

    def __init__(self, service: str, running: _Running, bus: Bus, asker: Asker, clock: Clock) -> None:
        self._service, self._running = service, running
        self._bus, self._asker, self._clock = bus, asker, clock
        self._open = True
        self._reports: set[asyncio.Task[None]] = set()
        self._asks: set[asyncio.Task[Any]] = set()
        self._asked = itertools.count()
        self._last: tuple[object, float] = (None, 0.0)

    def progress(self, event: dict[str, Any]) -> None:
        """Publish a progress event, unless one of the same stage went out a moment ago."""
        now = self._clock.monotonic()
        recently = event["stage"] == self._last[0] and now - self._last[1] < PROGRESS_INTERVAL_S
        if not self._open or (recently and event["done"] < event["total"]):
            return
        self._last = (event["stage"], now)
        shown = progress_event(self._service, at=self._clock.now(), request_id=self._running.request_id, **event)
        task = asyncio.create_task(
            self._bus.report(self._service, self._running.envelope.reply_to, dump(shown)), name="progress"
        )
        self._reports.add(task)

    async def ask_many(self, questions: list[dict[str, Any]], timeout_s: float | None) -> list[dict[str, Any]]:
        """Ask other services on behalf of the job. Its cancel, deadline and trace follow to the children."""
        if not self._open:
            raise Cancelled("the request that asked was stopped")
        me = asyncio.current_task()
        if me is not None:
            self._asks.add(me)
        try:
            return list(await asyncio.gather(*(self._ask(next(self._asked), one, timeout_s) for one in questions)))
        finally:
            if me is not None:
                self._asks.discard(me)

    async def _ask(self, number: int, question: dict[str, Any], timeout_s: float | None) -> dict[str, Any]:
        parent, service = self._running.envelope, question["service"]
        # Derived from the parent: when this job runs again after a crash, its children are found done, not run twice.
        child = RequestEnvelope(
            type=question["type"],
            data=question["data"],
            timestamp=self._clock.now(),
            request_id=child_id(parent.request_id or "", number, question),
            parent=parent.request_id,
            reply_to=self._asker.name,
            deadline=parent.deadline,
            sender=self._service,
        )
        lane: Lane = "heavy" if question["slot"] == "heavy" else "light"
        try:
            return await self._asker.ask(
                service,
                lane,
                child,
                timeout_s=timeout_s,
                on_progress=lambda event: self.progress({**event, "stage": f"{service}: {event['stage']}"}),
            )
        except asyncio.CancelledError:
            # A job that goes on elsewhere asks the same again: its children must be there for it.
            if self._running.why not in ("lost", "drain"):
                with contextlib.suppress(Unavailable):
                    await self._asker.withdraw(service, child.request_id or "")
            raise
        except EvolveError as error:
            return error_response(
                service, error, request_type=child.type, at=self._clock.now(), request_id=child.request_id
            )

    async def close(self) -> None:
        """Say no more, ask no more; returns when what was said is out."""
        self._open = False
        for task in self._asks:
            task.cancel()
        await asyncio.gather(*self._asks, *self._reports, return_exceptions=True)


async def _first(wanted: asyncio.Future[Any], loops: Sequence[asyncio.Task[Any]], *, within_s: float | None) -> bool:
    """Wait for `wanted`. False if it did not come in time. Raises what a loop raised that ended meanwhile."""
    try:
        ended, _ = await asyncio.wait([wanted, *loops], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        for task in ended - {wanted}:
            task.result()
            raise RuntimeError(f"{task!r} ended, which it never should")
        return wanted in ended
    finally:
        wanted.cancel()


class _NoWire:
    """Inline handlers run in the event loop: they can neither wait nor report. One that tries has a bug."""

    def progress(self, stage: str, done: int, total: int, message: str) -> None:
        raise RuntimeError("an inline handler cannot report progress; declare its request slot='light'")

    def ask_all(self, requests: Sequence[Request[Any]], timeout_s: float | None) -> list[Reply | BaseException]:
        raise RuntimeError("an inline handler cannot ask; declare its request slot='light'")


class _ThreadWire:
    """A light handler's way from its thread to the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, link: _Link) -> None:
        self._loop, self._link = loop, link

    def progress(self, stage: str, done: int, total: int, message: str) -> None:
        event = {"stage": stage, "done": done, "total": total, "message": message}
        with contextlib.suppress(RuntimeError):  # the loop has ended; this thread outlived its request
            self._loop.call_soon_threadsafe(self._link.progress, event)

    def ask_all(self, requests: Sequence[Request[Any]], timeout_s: float | None) -> list[Reply | BaseException]:
        questions = [outgoing(request) for request in requests]
        try:
            answers = asyncio.run_coroutine_threadsafe(self._link.ask_many(questions, timeout_s), self._loop).result()
        except concurrent.futures.CancelledError:
            raise Cancelled("the request that asked was stopped") from None
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
