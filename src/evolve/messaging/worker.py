"""A replica of a service: takes requests, has them worked on, answers, and keeps answering `ping` meanwhile.

The front is one asyncio loop. Inline handlers run in it, light ones in threads, heavy ones in job processes. It leases
what it took, extends the leases, takes over what dead replicas left, and drains on SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import psutil

from evolve import logs
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import (
    Cancelled,
    DeadlineExceeded,
    EvolveError,
    Internal,
    JobDied,
    RateLimited,
    RequestIdReused,
    Unavailable,
    UnknownType,
)
from evolve.messaging.answers import Answers
from evolve.messaging.asker import Asker
from evolve.messaging.bridge import Bridge
from evolve.messaging.bus import LANES, Bus, Delivery, Finish, Lane, ReplicaInfo
from evolve.messaging.consumption import Meter
from evolve.messaging.control import Control
from evolve.messaging.envelope import (
    RequestEnvelope,
    dump,
    error_in,
    exemplar_labels,
    new_request_id,
    progress_event,
    read_request,
)
from evolve.messaging.figures import (
    DEAD,
    EVENTS,
    JOB_DEATHS,
    LEASES_LOST,
    RETRIES,
    TAKEN_OVER,
    VERDICTS,
    Figures,
)
from evolve.messaging.forkserver import ForkServer
from evolve.messaging.job_link import Link, NoWire, Running, ThreadWire, Why
from evolve.messaging.jobs import JobPool, JobsGone, SlotGate, run_request
from evolve.messaging.service import Job, Service
from evolve.messaging.tasks import end_tasks
from evolve.messaging.threads import DaemonThreads
from evolve.messaging.tracing import OFF, Attribute, passed, tracer_for
from evolve.security_events import report, taken
from evolve.settings import Settings
from evolve.version import VERSION

LIGHT_IN_FLIGHT = 64
LIGHT_THREADS = 8
JOB_NICE = 10  # the front then stalls ≤ 4 ms while jobs use every core
BLOCK_S = 1.0
RECLAIM_S = 1.0  # how often a replica with room looks for what others left, and for what is due again
READY_S = 15.0
SUSPECT = 3  # from this attempt on, a request whose replicas died is put off before it may take the next with it
LONGEST_DELAY_S = 60.0
QUIET_BEATS = 10  # figures of a replica that does nothing change little: they are noted at every tenth heartbeat

SentT = TypeVar("SentT")


def replica_name() -> str:
    """Unique for every incarnation: a restarted process must not inherit its predecessor's leases."""
    return f"{platform.node()}-{os.getpid()}-{time.time_ns() % 10**9:09d}"


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
        self._answers = Answers(service.name, clock, max_bytes=settings.max_reply_bytes)
        self._heavy = SlotGate(settings.service(service.name, "slots", os.cpu_count() or 1, at_least=1))
        self._light = SlotGate(settings.service(service.name, "in_flight", LIGHT_IN_FLIGHT, at_least=1))
        self._per_minute = settings.service(service.name, "rate", settings.rate)
        self._threads = DaemonThreads(LIGHT_THREADS, service.name)
        path = f"{service.__module__}:{service.__qualname__}"
        forks = ForkServer(
            preload=("evolve.messaging.jobs", service.__module__, *service.preload), shared=job_server, nice=JOB_NICE
        )
        self._jobs = JobPool(path, settings, forks)
        self._figures = Figures(service.handlers, clock)
        self._tracer = tracer_for(settings, service.name, self.name)
        self._meters, self._beats = (Meter(), Meter()), 0
        self._reclaim_every_s = min(RECLAIM_S, settings.lease_s / 2)
        self._asker = Asker(
            bus, name=f"{service.name}-{new_request_id()}", clock=clock, max_bytes=settings.max_message_bytes
        )
        self._running: dict[str, Running] = {}
        self._behind_s = 0.0  # the server's clock less this host's, at the last heartbeat
        self._stopping = asyncio.Event()
        self._leaving = asyncio.Event()
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
        max_bytes = self._settings.max_message_bytes
        bridge = Bridge(self._bus, self._cls.name, self._lane_of, max_bytes=max_bytes)
        control = Control(
            self._cls.name, self.name, self._bus, self._answers,
            max_bytes=max_bytes, on_stop=self.stop, on_cancel=self._cancel,
        )  # fmt: skip
        loops = [
            asyncio.create_task(bridge.serve(), name="bridge"),
            asyncio.create_task(control.serve(), name="control"),
            asyncio.create_task(self._repeat(self._settings.heartbeat_s, self._beat), name="heartbeat"),
            asyncio.create_task(self._repeat(self._settings.lease_s / 3, self._extend_leases), name="leases"),
        ]
        # Both lanes, always: whoever sends may belong to another version and use the other one.
        readers = [asyncio.create_task(self._read(lane), name=f"reader of {lane}") for lane in LANES]
        try:
            listening = asyncio.ensure_future(asyncio.gather(control.listening.wait(), bridge.listening.wait()))
            if not await _first(listening, [*loops, *readers], within_s=READY_S):
                raise Unavailable(f"{self._cls.name} could not listen on its channels within {READY_S:g} s")
            await self._beat()
            await self._announce("service_started")
            self.ready.set()
            self._log.info("started")
            await _first(asyncio.ensure_future(self._stopping.wait()), [*loops, *readers], within_s=None)
        finally:
            await self._end(readers)
            await self._drain()
            await self._end(loops)
            await self._leave()

    async def _end(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        for task in await end_tasks(tasks):
            self._log.error("a loop did not end; leaving without it", loop=task.get_name(), at=repr(task))

    def _lane_of(self, _service: str, wire_type: str) -> Lane:
        handler = self._cls.handlers.get(wire_type)
        return "heavy" if handler is not None and handler.request.slot == "heavy" else "light"

    async def _drain(self) -> None:
        """Let work in hand finish for a set time; what is not done goes back to the group for another replica."""
        tasks = [running.task for running in self._running.values() if running.task is not None]
        if tasks:
            self._log.info("draining", in_flight=len(tasks))
            await asyncio.wait(tasks, timeout=self._settings.drain_s)
        self._leaving.set()
        for entry in list(self._running):
            self._interrupt(entry, "drain")
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)

    async def _leave(self) -> None:
        with contextlib.suppress(Unavailable):
            await self._announce("service_stopped")
            await self._note_figures(now=True)
            await self._bus.retire(self._cls.name, self.name)
        await self._asker.close()
        await self._jobs.close()
        self._threads.close()
        if self._tracer is not OFF:
            await asyncio.to_thread(self._tracer.flush)
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
        at = await self._bus.heartbeat(
            self._cls.name,
            ReplicaInfo(
                replica=self.name,
                pid=os.getpid(),
                host=platform.node(),
                in_flight=len(self._running),
                cpu_s=round(cpu.user + cpu.system, 2),
                rss_mb=round(rss / 2**20, 1),
                state="stopping" if self._stopping.is_set() else "running",
                version=VERSION,
            ),
        )
        self._behind_s = at - self._clock.now()
        await self._note_figures()

    def _now(self) -> float:
        """By the server's clock, which all hosts share: one that is an hour ahead must not refuse what has an hour left."""
        return self._clock.now() + self._behind_s

    async def _note_figures(self, *, now: bool = False) -> None:
        self._count_events(taken())
        self._beats += 1
        if not (now or self._figures.changed or self._beats % QUIET_BEATS == 1):
            return
        front, jobs = self._meters
        await self._figures.note(
            self._bus, self._cls.name, self.name, front.read([self._process]), jobs.read(_processes(self._jobs.pids()))
        )

    async def _announce(self, wire_type: str) -> None:
        data = {"replica": self.name, "pid": os.getpid(), "host": platform.node()}
        await self._bus.announce(self._cls.name, self._answers.event(wire_type, data))

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
            at_once = [running for delivery in deliveries if (running := self._take(delivery, gate)) is not None]
            if at_once:
                # Shielded: who stops this reader lets what it took finish. What comes meanwhile waits in the stream, and makes
                # a batch too.
                await asyncio.shield(self._answer_inline(at_once, gate))

    async def _reclaim(self, lane: Lane, places: int) -> list[Delivery]:
        """Take over what replicas that died, lost their lease or left had in hand."""
        await self._bus.resume(self._cls.name)
        found = await self._bus.reclaim(self._cls.name, lane, self.name, idle_s=self._settings.lease_s, count=places)
        # Our own, after we were paused for longer than the lease, go on as they are.
        deliveries = [delivery for delivery in found if delivery.entry not in self._running]
        for delivery in deliveries:
            self._log.warning(
                "took over", entry=delivery.entry, request_id=delivery.request_id, attempt=delivery.attempt
            )
            if delivery.attempt > 1:  # else it was given back in order, by one that left
                self._figures.count(TAKEN_OVER)
        return deliveries

    def _take(self, delivery: Delivery, gate: SlotGate) -> Running | None:
        """Begin a task for the request; returns it instead when it can be answered at once."""
        try:
            envelope = read_request(delivery.raw, max_bytes=self._settings.max_message_bytes)
        except EvolveError as error:
            self._spawn(self._refuse(delivery, error, None, keep=True))
            gate.release()
            return None
        if envelope.request_id is None:
            envelope = replace(envelope, request_id=delivery.request_id)
        running = self._begun(delivery, envelope)
        self._running[delivery.entry] = running
        if self._is_inline(envelope) and delivery.fresh and envelope.deadline is None and not self._per_minute:
            return running
        running.task = asyncio.create_task(self._answer(running, gate))
        return None

    def _begun(self, delivery: Delivery, envelope: RequestEnvelope) -> Running:
        """With the span of this attempt, and one of how long the request waited for it."""
        if self._tracer is OFF:
            return Running(delivery, envelope, span=passed(envelope.traceparent))
        about: dict[str, Attribute] = {
            "messaging.message.id": envelope.request_id or "",
            "evolve.attempt": delivery.attempt,
            "evolve.lane": delivery.lane,
        }
        parent = envelope.traceparent
        span = self._tracer.span(f"{self._cls.name}.{envelope.type}", kind="consumer", parent=parent, attributes=about)
        if envelope.timestamp:
            sent = min(envelope.timestamp, self._clock.now())
            self._tracer.span(
                "queue", kind="internal", parent=parent or span.traceparent, attributes=about, at=sent
            ).end()
        # Published by hand it belongs to no trace yet: its own is what logs and exemplars name.
        return Running(delivery, replace(envelope, traceparent=parent or span.traceparent), span=span)

    def _forget(self, running: Running) -> None:
        """It is over here, whatever came of it."""
        self._running.pop(running.delivery.entry, None)
        if running.failed or running.why:
            running.span.fail(running.failed or running.why)
        running.span.end()

    def _is_inline(self, envelope: RequestEnvelope) -> bool:
        handler = self._cls.handlers.get(envelope.type)
        return handler is not None and handler.request.slot == "inline"

    # --- working on them ---

    def _answer_inline(self, batch: list[Running], gate: SlotGate) -> asyncio.Task[None]:
        """Requests that take microseconds, answered together. Nobody had them before, so they need not begin."""
        task = asyncio.create_task(self._finish_inline(batch, gate))
        for running in batch:
            running.task = task
        return task

    async def _finish_inline(self, batch: list[Running], gate: SlotGate) -> None:
        started = self._clock.monotonic()
        answered = [(running, self._inline_reply(running)) for running in batch]
        try:
            finished = await self._until_sent(
                lambda: self._bus.finish_many([(running.delivery, raw) for running, raw in answered], self.name)
            )
            for (running, _), finish in zip(answered, finished, strict=True):
                if finish == "cancelled":
                    await self._let_go(running, "cancelled")
                else:
                    self._note(running, finish, started)
        except Unavailable as error:
            self._log.error("replies not sent", error=error.message, requests=len(batch))
        finally:
            for running in batch:
                self._forget(running)
            gate.release(len(batch))

    def _inline_reply(self, running: Running) -> bytes:
        delivery, envelope = running.delivery, running.envelope
        try:
            frame = run_request(self._service, envelope, Job(envelope, NoWire(), delivery.attempt, delivery.entry))
            reply = _reply_in(frame)
            return self._answers.reply(reply["type"], reply["data"], running.request_id)
        except EvolveError as error:
            running.failed = error.code
            return self._answers.error(delivery, envelope, error)
        except TypeError:
            bug = self._bug(envelope)
            running.failed = bug.code
            return self._answers.error(delivery, envelope, bug)

    async def _answer(self, running: Running, gate: SlotGate) -> None:
        delivery, envelope = running.delivery, running.envelope
        logs.belongs(envelope.request_id)  # this task is the request's alone
        try:
            try:
                await self._begin(running, gate)
            except asyncio.CancelledError:
                await self._let_go(running, running.why)
        except Unavailable as error:
            # The reply could not be sent: the lease lapses and the request runs again, here or elsewhere.
            self._log.error("reply not sent", error=error.message, request_id=envelope.request_id)
        except Exception:  # noqa: BLE001 - the worker's boundary: a bug is answered and logged, else the request would run for ever
            bug = self._bug(envelope)
            self._figures.ended(envelope.type, bug.code)
            with contextlib.suppress(Unavailable):
                await self._bus.finish(delivery, self.name, self._answers.error(delivery, envelope, bug))
        finally:
            self._forget(running)
            gate.release()

    def _bug(self, envelope: RequestEnvelope) -> Internal:
        """To be called where an exception is handled."""
        self._log.exception("request failed", request_id=envelope.request_id, request_type=envelope.type)
        return Internal(f"{envelope.type} failed by a bug of ours; its traceback is in the log of {self._cls.name}")

    async def _begin(self, running: Running, gate: SlotGate) -> None:
        delivery, envelope = running.delivery, running.envelope
        if delivery.attempt - delivery.before > 1 and delivery.attempt >= SUSPECT and await self._put_off(running):
            return None
        too_fast = await self._too_fast(running)
        if too_fast is not None:
            return await self._refuse(delivery, too_fast, envelope)
        begin = await self._bus.begin(delivery, self.name, envelope.content_hash, envelope.reply_to)
        if begin == "reused":
            error = RequestIdReused(
                f"request_id {envelope.request_id!r} belongs to another request; use a new one, or none"
            )
            await self._refuse(delivery, error, envelope)
        elif begin == "cancelled":
            cancelled = Cancelled(f"{envelope.type} was cancelled before it began")
            await self._send(running, self._answers.error(delivery, envelope, cancelled), cancelled=True)
            self._figures.ended(envelope.type, cancelled.code)
        elif begin == "run":
            await self._run(running, gate)
        return None

    async def _put_off(self, running: Running) -> bool:
        """A request that may have killed two replicas waits before it gets a third: the others are answered meanwhile."""
        delivery, envelope = running.delivery, running.envelope
        if delivery.attempt > self._attempts(envelope):
            return False  # it is only to be given up
        delay_s = self._delay(delivery.attempt - SUSPECT)
        self._figures.count(RETRIES, "replica_died")
        self._log.warning(
            "put off: the replicas that had it died",
            request_id=envelope.request_id,
            attempt=delivery.attempt,
            delay_s=delay_s,
        )
        return await self._bus.postpone(delivery, self.name, delay_s=delay_s, made=delivery.attempt - 1)

    def _delay(self, number: int) -> float:
        """Exponential back-off with jitter: those that failed together must not all come back together."""
        longest = min(self._settings.retry_first_s * 2.0**number, LONGEST_DELAY_S)
        return round(longest * random.uniform(0.5, 1.0), 3)

    async def _too_fast(self, running: Running) -> RateLimited | None:
        delivery, envelope = running.delivery, running.envelope
        if not self._per_minute or delivery.attempt > 1:
            return None
        client = envelope.sender or envelope.reply_to or "anybody"
        wait_s = await self._bus.admit(self._cls.name, client, envelope.type, per_minute=self._per_minute)
        if not wait_s:
            return None
        report("rate_limited", service=self._cls.name, client=client, request=envelope.type)
        return RateLimited(
            f"{client} asks {self._cls.name} for {envelope.type} more than {self._per_minute} times a minute; "
            f"ask again in {wait_s:.1f} s (EVOLVE_{self._cls.name.upper()}_RATE sets the limit)",
            retry_after_s=wait_s,
        )

    def _attempts(self, envelope: RequestEnvelope) -> int:
        return self._settings.max_attempts + self._retries(envelope)

    def _retries(self, envelope: RequestEnvelope) -> int:
        handler = self._cls.handlers.get(envelope.type)
        return handler.request.retries if handler is not None else 0

    async def _let_go(self, running: Running, why: Why) -> None:
        """What remains to be done for a request that was stopped from outside, begun or not."""
        delivery, envelope = running.delivery, running.envelope
        if why == "cancelled":
            error = Cancelled(f"{envelope.type} was cancelled")
            await self._send(running, self._answers.error(delivery, envelope, error), cancelled=True)
            self._log.info("cancelled", **_traced(running))
            self._figures.ended(envelope.type, "cancelled")
        elif why == "lost":
            self._figures.count(LEASES_LOST)
            self._log.warning("lease lost; another replica has it", request_id=envelope.request_id)
        else:
            await self._bus.release(delivery, self.name)
            self._log.info("given back", request_id=envelope.request_id)

    async def _run(self, running: Running, gate: SlotGate) -> None:
        delivery, envelope = running.delivery, running.envelope
        started = self._clock.monotonic()
        link = Link(
            self._cls.name,
            running,
            self._bus,
            self._asker,
            self._clock,
            tracer=self._tracer,
            on_events=self._count_events,
        )
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
            reply = self._answers.reply(frame["type"], frame["data"], running.request_id)
            running.verdict = self._cls.verdict_of(frame["data"])
        except JobsGone as gone:
            return await self._again(running, str(gone))
        except EvolveError as error:
            if isinstance(error, Unavailable) and await self._retried(running, error):
                return None
            running.failed = error.code
            reply = self._answers.error(delivery, envelope, error)
            if envelope.type not in self._cls.handlers or delivery.attempt > self._attempts(envelope):
                dead = f"{error.code}: {error.message}"
            if isinstance(error, JobDied):
                self._figures.count(JOB_DEATHS)
                self._log.error("job died", error=error.message, request_id=envelope.request_id)
        finish = await self._send(running, reply, dead=dead)
        if finish == "cancelled":
            await self._let_go(running, "cancelled")
        else:
            self._note(running, finish, started)
            if dead is not None and finish == "sent":
                self._figures.count(DEAD)
        return None

    async def _again(self, running: Running, why: str) -> None:
        """A request that lost its process by no fault of its own is put off: it runs again, here or elsewhere."""
        delivery = running.delivery
        delay_s = self._delay(delivery.attempt - 1)
        self._figures.count(RETRIES, "job_process_gone")
        self._log.error("put off", error=why, request_id=running.envelope.request_id, delay_s=delay_s)
        await self._bus.postpone(delivery, self.name, delay_s=delay_s, made=delivery.attempt)

    async def _retried(self, running: Running, error: Unavailable) -> bool:
        """Whether a request that failed for want of somebody else is put off to be tried again."""
        delivery, envelope = running.delivery, running.envelope
        retries = self._retries(envelope)
        if delivery.attempt > retries:
            return False
        delay_s = self._delay(delivery.attempt - 1)
        if envelope.deadline is not None and self._now() + delay_s >= envelope.deadline:
            return False
        told = f"{error.message}; attempt {delivery.attempt + 1} of {retries + 1} in {delay_s:.1f} s"
        event = progress_event(
            self._cls.name,
            "retry",
            delivery.attempt,
            retries + 1,
            told,
            at=self._clock.now(),
            request_id=running.request_id,
        )
        await self._bus.report(self._cls.name, envelope.reply_to, dump(event))
        self._figures.count(RETRIES, "unavailable")
        self._log.warning("put off", request_id=envelope.request_id, error=error.message, delay_s=delay_s)
        return await self._bus.postpone(delivery, self.name, delay_s=delay_s, made=delivery.attempt)

    async def _work(self, running: Running, link: Link, gate: SlotGate) -> dict[str, Any]:
        """The type and data of the reply. Raises what the handler raised, JobDied or DeadlineExceeded."""
        delivery, envelope = running.delivery, running.envelope
        if delivery.attempt > self._attempts(envelope):
            raise JobDied(
                f"{envelope.type} was given up after {delivery.attempt - 1} attempts: each time the replica working on it died"
            )
        limit = None if envelope.deadline is None else envelope.deadline - self._now()
        if limit is not None and limit <= 0:
            raise DeadlineExceeded(f"the deadline of {envelope.type} passed before it began")
        try:
            async with asyncio.timeout(limit):
                return await self._handled(delivery, envelope, link, gate)
        except TimeoutError:
            raise DeadlineExceeded(f"{envelope.type} was stopped at its deadline") from None

    async def _handled(
        self, delivery: Delivery, envelope: RequestEnvelope, link: Link, gate: SlotGate
    ) -> dict[str, Any]:
        handler = self._cls.handlers.get(envelope.type)
        if handler is None:
            self._cls.parse(envelope)  # raises UnknownType with the nearest names
            raise UnknownType(f"{self._cls.name} has no request {envelope.type!r}")
        if handler.request.slot == "heavy":
            self._cls.parse(envelope)  # a bad request is refused before it costs a process
            with link.job() as handed:
                return await self._jobs.run(handed, delivery, link, gate)
        if handler.request.slot == "inline":
            return _reply_in(
                run_request(self._service, envelope, Job(envelope, NoWire(), delivery.attempt, delivery.entry))
            )
        wire = ThreadWire(asyncio.get_running_loop(), link)
        job = Job(envelope, wire, delivery.attempt, delivery.entry)
        return _reply_in(await self._threads.run(run_request, self._service, envelope, job))

    def _count_events(self, events: Mapping[str, int]) -> None:
        for event, times in events.items():
            self._figures.count(EVENTS, event, by=times)

    # --- answering ---

    async def _send(
        self, running: Running, reply: bytes, *, dead: str | None = None, cancelled: bool = False
    ) -> Finish:
        return await self._until_sent(
            lambda: self._bus.finish(running.delivery, self.name, reply, dead=dead, cancelled=cancelled)
        )

    async def _until_sent(self, send: Callable[[], Awaitable[SentT]]) -> SentT:
        """What `send` returns, tried again while the server is away or full: work that is done is not thrown away.

        Raises Unavailable when this replica leaves meanwhile.
        """
        pause = 0.05
        while True:
            try:
                return await send()
            except Unavailable as error:
                if self._leaving.is_set():
                    raise
                self._log.warning("reply waits for the server", error=error.message)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.5, 1.0)):
                    await self._leaving.wait()
            pause = min(2 * pause, 1.0)

    def _note(self, running: Running, finish: Finish, started: float) -> None:
        envelope = running.envelope
        seconds = self._clock.monotonic() - started
        waited = max(0.0, self._now() - seconds - envelope.timestamp) if envelope.timestamp else 0.0
        self._log.info(
            "answered" if finish == "sent" else "reply dropped: the lease is another's",
            **_traced(running),
            seconds=round(seconds, 4),
            waited=round(waited, 4),
        )
        if finish == "lost":
            self._figures.count(LEASES_LOST)
            return
        self._figures.ended(envelope.type, running.failed or "ok")
        self._figures.took(envelope.type, running.delivery.lane, seconds, waited, exemplar_labels(envelope))
        if running.verdict:
            self._figures.count(VERDICTS, running.verdict)

    async def _refuse(
        self, delivery: Delivery, error: EvolveError, envelope: RequestEnvelope | None, *, keep: bool = False
    ) -> None:
        reason = f"{error.code}: {error.message}" if keep else None
        self._figures.ended(envelope.type if envelope else "", error.code)
        if keep:
            self._figures.count(DEAD)
        reply_to = envelope.reply_to if envelope else None
        with contextlib.suppress(Unavailable):
            reply = self._answers.error(delivery, envelope, error)
            await self._bus.refuse(delivery, self.name, reply, reply_to, reason=reason)

    # --- leases ---

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

    def _cancel(self, request_id: str) -> None:
        for entry, running in list(self._running.items()):
            if running.envelope.request_id == request_id:
                self._interrupt(entry, "cancelled")

    def _interrupt(self, entry: str, why: Why) -> None:
        running = self._running.get(entry)
        if running is not None and not running.why:
            running.why = why
            if running.working and running.task is not None:
                running.task.cancel()

    def _spawn(self, coroutine: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._background.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any] | asyncio.Future[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.warning("background step failed", error=str(task.exception()))


def _processes(pids: Sequence[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)


def _traced(running: Running) -> dict[str, object]:
    """What a line of the log says of a request, so that its life can be told from the logs of all services."""
    envelope, attempt = running.envelope, running.delivery.attempt
    said: dict[str, object] = {"request_id": envelope.request_id, "request_type": envelope.type}
    if envelope.parent is not None:
        said["parent"] = envelope.parent
    if envelope.sender is not None:
        said["sender"] = envelope.sender
    if envelope.trace_id is not None:
        said["trace_id"] = envelope.trace_id
    if attempt > 1:
        said["attempt"] = attempt
    if running.failed:
        said["code"] = running.failed
    return said


def _reply_in(frame: dict[str, Any]) -> dict[str, Any]:
    """The reply in a handler's answer; raises its error."""
    if "error" in frame:
        problem = frame["error"]
        raise error_in({"data": {**problem["details"], "error": problem["message"], "code": problem["code"]}})
    return dict(frame["reply"])


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
