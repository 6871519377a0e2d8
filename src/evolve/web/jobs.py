"""What became of work that takes longer than a request may? A job per request: its state, its steps, and its end.

A job's id is the id of its request on the bus, which keeps request and reply: this process may end and come back, and every
job is still found. Here stand only the steps of the last jobs, and who watches them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evolve.client.core import AsyncClient
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import Busy, EvolveError, InvalidRequest, RequestIdReused, Unavailable
from evolve.messaging.envelope import RequestEnvelope, error_in, load, new_request_id
from evolve.messaging.messages import Request
from evolve.messaging.tasks import end_tasks
from evolve.web.problems import NotFound, problem_of
from evolve.web.streams import Event, Signal, encoded

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
OPEN: tuple[State, ...] = ("queued", "running")
Origin = Literal["http", "bus"]

MAX_JOBS = 1_000
MAX_OPEN = 200  # each holds its request, to send it anew to a server that lost it
MAX_STEPS = 200
LARGE_BYTES = 1 << 20  # a stream carries smaller replies whole; a larger one is fetched
LOOK_S = 1.0


@dataclass
class Job:
    """One request at work. service and type: what was asked; type is empty for what others asked until its reply comes.

    created, updated: Unix seconds. progress: the last step, `{stage, done, total, message}`. waiting: why nothing happens, if
    nothing does. error: what it ended with.
    """

    id: str
    service: str
    type: str
    origin: Origin
    created: float
    updated: float
    state: State = "queued"
    progress: dict[str, Any] | None = None
    waiting: str = ""
    replaced: bool = False  # a replica was started since the last step
    reply_type: str = ""
    error: EvolveError | None = None
    content: str = ""  # hash of what was asked, to know it again
    steps: deque[Event] = field(default_factory=lambda: deque(maxlen=MAX_STEPS))
    next_step: int = 1
    changed: Signal = field(default_factory=Signal)

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    def document(self) -> dict[str, Any]:
        """The job as the API shows it, without its result."""
        return {
            "id": self.id,
            "service": self.service,
            "type": self.type or None,
            "origin": self.origin,
            "state": self.state,
            "created": self.created,
            "updated": self.updated,
            "progress": self.progress,
            "waiting": self.waiting or None,
            "reply_type": self.reply_type or None,
            "problem": None if self.error is None else problem_of(self.error, self.id),
            "links": {"self": f"/api/v1/jobs/{self.id}", "events": f"/api/v1/jobs/{self.id}/events"},
        }

    def note(self, name: str, data: object) -> None:
        """One more step for who watches."""
        self.steps.append(Event(self.next_step, name, encoded(data)))
        self.next_step += 1
        self.changed.send()


class Jobs:
    """The jobs of this process, and those that others asked for while it listened."""

    def __init__(
        self,
        client: AsyncClient,
        requests: Mapping[str, Mapping[str, type[Request[Any]]]],
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._client, self._clock = client, clock
        self._services = list(requests)
        # A reply's type says what was asked, where others asked and only the answer was heard.
        self._asked_by_reply = {
            (service, cls.reply_type.wire_type): wire
            for service, known in requests.items()
            for wire, cls in known.items()
        }
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.epoch = secrets.token_hex(4)

    # --- asking ---

    def submit(self, request: Request[Any], *, request_id: str | None = None, asked_by: str | None = None) -> Job:
        """Have a request worked on; returns at once. The same id and content: the same job. asked_by: see `AsyncClient.ask`.

        Raises RequestIdReused for the id of other content, Busy when too many jobs are open.
        """
        data = request.model_dump(mode="json")
        content = RequestEnvelope(request.wire_type, data).content_hash
        known = self._jobs.get(request_id) if request_id else None
        if known is not None and known.content:
            if (known.service, known.content) != (request.service, content):
                raise RequestIdReused(
                    f"the key {request_id} belongs to another request; take a new one", asked_id=request_id
                )
            if known.is_open or known.state == "succeeded":
                return known
        if sum(job.is_open and job.origin == "http" for job in self._jobs.values()) >= MAX_OPEN:
            raise Busy(f"{MAX_OPEN} jobs of this server are open; wait for some, or cancel them", retry_after_s=10)
        job = self._new(request_id or new_request_id(), request.service, request.wire_type, "http")
        job.content = content
        self._tasks[job.id] = asyncio.create_task(self._follow(job, data, asked_by), name=f"job {job.id}")
        return job

    async def _follow(self, job: Job, data: dict[str, Any], asked_by: str | None) -> None:
        try:
            envelope = await self._client.request(
                job.service, job.type, data, request_id=job.id, patient=True, asked_by=asked_by,
                on_progress=lambda step: self._step(job, step),
            )  # fmt: skip
        except EvolveError as error:
            if isinstance(error, Unavailable) and not isinstance(error, Busy):
                # It may have been sent before the server went away; then its reply is found by looking (`watch`).
                self._wait(job, error.message)
                job.content = ""
            else:
                self._end(job, "failed", error)
        else:
            self._settle(job, envelope)
        finally:
            self._tasks.pop(job.id, None)

    # --- what is heard ---

    def hear(self, service: str, message: dict[str, Any]) -> None:
        """A message of a service's output: a step or the end of what others asked, or a service that came or went."""
        kind, id = message.get("type"), message.get("request_id")
        if kind in ("service_started", "service_stopped"):
            self._came_or_went(service, started=kind == "service_started")
        if not isinstance(id, str) or id in self._tasks:
            return  # our own: its task hears by itself, also what is not published
        job = self._jobs.get(id)
        if kind == "progress":
            step = message.get("data")
            if isinstance(step, dict):
                self._step(job or self._new(id, service, "", "bus"), step)
        elif job is not None and job.is_open and (message.get("data") or {}).get("code") != RequestIdReused.code:
            self._settle(job, message)

    def _came_or_went(self, service: str, *, started: bool) -> None:
        for job in self._open_of(service):
            if started and not job.waiting:
                # A replica that was killed says nothing; the one that takes its place does.
                job.replaced = True
                self._wait(
                    job,
                    f"a replica of {service} was started; if the one at work died, this work begins again by itself",
                )
            elif started:
                self._wait(job, "")
            else:
                self._wait(job, f"a replica of {service} stopped; another takes its work over, as soon as there is one")

    async def watch(self) -> None:
        """Look after open jobs until cancelled: does their service live, and was a reply missed?"""
        while True:
            await asyncio.sleep(LOOK_S)
            for service in {job.service for job in self._jobs.values() if job.is_open}:
                try:
                    alive = bool(await self._client.bus.replicas(service))
                    for job in self._open_of(service):
                        if job.id not in self._tasks:
                            await self._look_up(job)
                        if not alive:
                            self._wait(
                                job, f"{service} is not running; what was asked waits for it: start it with `evolve up`"
                            )
                        elif job.waiting and not job.replaced:
                            self._wait(job, "")
                except Unavailable as error:
                    for job in self._open_of(service):
                        self._wait(job, error.message)

    def _open_of(self, service: str) -> list[Job]:
        return [job for job in self._jobs.values() if job.is_open and job.service == service]

    async def _look_up(self, job: Job) -> None:
        envelope = await self._client.late_reply(job.service, job.id)
        if envelope is not None and job.is_open:
            self._settle(job, envelope)

    # --- states ---

    def _step(self, job: Job, step: dict[str, Any]) -> None:
        job.state, job.progress, job.updated, job.replaced = "running", step, self._clock.now(), False
        if job.waiting:
            self._wait(job, "")
        job.note("progress", step)

    def _wait(self, job: Job, why: str) -> None:
        if job.waiting != why and job.is_open:
            job.waiting, job.updated = why, self._clock.now()
            job.note("state", {"state": "waiting" if why else job.state, "why": why})

    def _settle(self, job: Job, envelope: dict[str, Any]) -> None:
        job.reply_type = str(envelope.get("type"))
        job.type = job.type or self._asked_by_reply.get((job.service, job.reply_type), "")
        if envelope.get("status") == "error":
            error = error_in(envelope)
            job.type = job.type or str(error.details.get("request") or "")
            self._end(job, "cancelled" if error.code == "cancelled" else "failed", error, envelope)
        else:
            self._end(job, "succeeded", None, envelope)

    def _end(self, job: Job, state: State, error: EvolveError | None, envelope: dict[str, Any] | None = None) -> None:
        job.state, job.error, job.waiting, job.updated = state, error, "", self._clock.now()
        if envelope is None:
            data = None if error is None else {"error": error.message, "code": error.code, **error.details}
            envelope = {"status": "error", "type": "error", "data": data}
        said = {name: envelope.get(name) for name in ("status", "type", "data")}
        raw = encoded(said)
        job.note("reply", {**said, "data": None, "large": True} if len(raw) > LARGE_BYTES else said)

    # --- looking ---

    async def get(self, id: str) -> Job:
        """A job of this process or of any other. Raises NotFound."""
        if id not in self._jobs:
            await self._adopt(id)
        return self._jobs[id]

    def knows(self, id: str) -> bool:
        return id in self._jobs

    def forget(self, job: Job) -> None:
        """One that was never worked on, so that its id is found again for what it belongs to."""
        self._jobs.pop(job.id, None)

    async def _adopt(self, id: str) -> None:
        """Find on the bus what an earlier life of this process, or somebody else, asked for."""
        replies = await asyncio.gather(*(self._client.late_reply(service, id) for service in self._services))
        known = await asyncio.gather(*(self._client.bus.is_known(service, id) for service in self._services))
        for service, envelope, is_known in zip(self._services, replies, known, strict=True):
            if envelope is not None or is_known:
                job = self._new(id, service, "", "bus")
                if envelope is not None:
                    self._settle(job, envelope)
                return
        raise NotFound(f"there is no job {id[:128]!r} (any more): what is done is kept for a day")

    async def result(self, job: Job) -> dict[str, Any] | None:
        """The `data` of the reply of a job that succeeded, from where replies are kept; None when it is not there (any more)."""
        if job.state != "succeeded":
            return None
        raw = await self._client.bus.stored_reply(job.service, job.id)
        if raw is None:
            return None
        data = load(raw, max_bytes=self._client.settings.max_reply_bytes).get("data")
        return data if isinstance(data, dict) else None

    def list(self) -> list[Job]:
        """Newest first."""
        return sorted(self._jobs.values(), key=lambda job: (job.created, job.id), reverse=True)

    def counts(self) -> dict[str, int]:
        found = dict.fromkeys(("queued", "running", "succeeded", "failed", "cancelled"), 0)
        for job in self._jobs.values():
            found[job.state] += 1
        return found

    async def cancel(self, job: Job) -> bool:
        """Withdraw it, queued or running. False when it was done already."""
        return job.is_open and await self._client.cancel(job.service, job.id)

    async def done(self, job: Job, ending: asyncio.Event, within_s: float, *, patient: bool = True) -> bool:
        """Wait for its end; whether it came. Without patience, not for a service that is away."""
        try:
            async with asyncio.timeout(within_s):
                while job.is_open and not ending.is_set() and (patient or not job.waiting or job.replaced):
                    await job.changed.wait(ending, within_s)
        except TimeoutError:
            pass
        return not job.is_open

    async def read(self, job: Job, ending: asyncio.Event, *, after: int | None) -> AsyncIterator[bytes | None]:
        """Its steps so far and as they come, encoded; ends after its reply. after: the last that this reader saw."""
        if after is None:
            yield Event(0, "job", encoded(job.document())).encoded(self.epoch)
        place = after or 0
        while not ending.is_set():
            for event in [step for step in job.steps if step.number > place]:
                yield event.encoded(self.epoch)
                place = event.number
                if event.name == "reply":
                    return
            if not any(step.number > place for step in job.steps):
                if not job.is_open:
                    return
                if not await job.changed.wait(ending) and not ending.is_set():
                    yield None

    def _new(self, id: str, service: str, type: str, origin: Origin) -> Job:
        now = self._clock.now()
        job = Job(id, service, type, origin, now, now)
        self._jobs[id] = job
        self._jobs.move_to_end(id)
        if len(self._jobs) > MAX_JOBS:
            self._forget_one()
        return job

    def _forget_one(self) -> None:
        """The oldest that is done, else the oldest of others'; its reply stays on the bus."""
        for may_go in (lambda job: not job.is_open, lambda job: job.origin == "bus"):
            for id, job in self._jobs.items():
                if may_go(job):
                    del self._jobs[id]
                    return

    def wake(self) -> None:
        for job in self._jobs.values():
            job.changed.send()

    async def close(self) -> None:
        """Stop watching. What was asked goes on, and is found again by its id."""
        await end_tasks([*self._tasks.values()])


def checked_key(key: str) -> str:
    """An idempotency key that can stand in an address. Raises InvalidRequest."""
    if 0 < len(key) <= 128 and all(char.isascii() and (char.isalnum() or char in "._~:-") for char in key):
        return key
    raise InvalidRequest("Idempotency-Key has 1 to 128 letters, digits or any of . _ ~ : -")
