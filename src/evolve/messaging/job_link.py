"""What can a running request say and ask, and when must it fall silent? The link between a job and its replica's front."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from evolve.clock import Clock
from evolve.errors import Cancelled, EvolveError, Unavailable
from evolve.messaging.asker import Asker
from evolve.messaging.bus import Bus, Delivery, Lane
from evolve.messaging.envelope import RequestEnvelope, dump, error_in, error_response, progress_event
from evolve.messaging.jobs import PROGRESS_INTERVAL_S, incoming, outgoing
from evolve.messaging.messages import Reply, Request
from evolve.messaging.tracing import NO_SPAN, Span, Tracer

Why = Literal["", "cancelled", "lost", "drain"]  # why a request was stopped from outside


@dataclass
class Running:
    delivery: Delivery
    envelope: RequestEnvelope
    task: asyncio.Task[None] | None = None
    why: Why = ""
    verdict: str = ""  # what the service says of the run that it answered
    failed: str = ""  # the code of the error it was answered with
    span: Span = NO_SPAN  # of this attempt
    working: bool = False  # only then its task may be cancelled: a step before or after must not be cut in two

    @property
    def request_id(self) -> str | None:
        """The id as a reply shows it: only one that the sender gave."""
        return self.envelope.request_id if self.delivery.named else None


class Link:
    """What one running request says and asks, until it ends: nothing of it may come after its reply."""

    def __init__(
        self,
        service: str,
        running: Running,
        bus: Bus,
        asker: Asker,
        clock: Clock,
        *,
        tracer: Tracer,
        on_events: Callable[[Mapping[str, int]], None],
    ) -> None:
        self._service, self._running = service, running
        self._bus, self._asker, self._clock = bus, asker, clock
        self._tracer, self._on_events = tracer, on_events
        self._span = running.span  # what asks belong to: the attempt, or its job process
        self._open = True
        self._reports: set[asyncio.Task[None]] = set()
        self._asks: set[asyncio.Task[Any]] = set()
        self._asked = itertools.count()
        self._last: tuple[object, float] = (None, 0.0)

    @contextlib.contextmanager
    def job(self) -> Iterator[RequestEnvelope]:
        """The span of a job process, made here so that it needs none of it; yields the envelope as the process gets it."""
        envelope = self._running.envelope
        span = self._tracer.span(
            f"job {self._service}.{envelope.type}",
            kind="internal",
            parent=self._running.span.traceparent,
            attributes={"messaging.message.id": envelope.request_id or ""},
        )
        before, self._span = self._span, span
        try:
            yield replace(envelope, traceparent=span.traceparent)
        except EvolveError as error:
            span.fail(error.code)
            raise
        except asyncio.CancelledError:
            span.fail(self._running.why or "deadline_exceeded")
            raise
        finally:
            self._span = before
            span.end()

    def began(self, pid: int) -> None:
        self._span.note({"process.pid": pid})

    def met(self, events: dict[str, int]) -> None:
        self._on_events(events)

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
        span = self._tracer.span(
            f"ask {service}.{question['type']}",
            kind="client",
            parent=self._span.traceparent,
            attributes={"messaging.destination.name": service},
        )
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
            traceparent=span.traceparent,
        )
        span.note({"messaging.message.id": child.request_id or ""})
        lane: Lane = "heavy" if question["slot"] == "heavy" else "light"
        try:
            reply = await self._asker.ask(
                service,
                lane,
                child,
                timeout_s=timeout_s,
                on_progress=lambda event: self.progress({**event, "stage": f"{service}: {event['stage']}"}),
            )
            if reply.get("status") == "error":
                span.fail(error_in(reply).code)
            return reply
        except asyncio.CancelledError:
            span.fail(Cancelled.code)
            # A job that goes on elsewhere asks the same again: its children must be there for it.
            if self._running.why not in ("lost", "drain"):
                with contextlib.suppress(Unavailable):
                    await self._asker.withdraw(service, child.request_id or "")
            raise
        except EvolveError as error:
            span.fail(error.code)
            return error_response(
                service, error, request_type=child.type, at=self._clock.now(), request_id=child.request_id
            )
        finally:
            span.end()

    async def close(self) -> None:
        """Say no more, ask no more; returns when what was said is out."""
        self._open = False
        for task in self._asks:
            task.cancel()
        await asyncio.gather(*self._asks, *self._reports, return_exceptions=True)


class NoWire:
    """Inline handlers run in the event loop: they can neither wait nor report. One that tries has a bug."""

    def progress(self, stage: str, done: int, total: int, message: str) -> None:
        raise RuntimeError("an inline handler cannot report progress; declare its request slot='light'")

    def ask_all(self, requests: Sequence[Request[Any]], timeout_s: float | None) -> list[Reply | BaseException]:
        raise RuntimeError("an inline handler cannot ask; declare its request slot='light'")


class ThreadWire:
    """A light handler's way from its thread to the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, link: Link) -> None:
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
