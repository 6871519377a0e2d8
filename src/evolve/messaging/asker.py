"""How does one process ask many services at once and get each answer where it belongs?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import EvolveError, TimedOut, Unavailable
from evolve.messaging.bus import ALIVE_S, Bus, Lane
from evolve.messaging.envelope import RequestEnvelope, check_size, load, new_request_id
from evolve.messaging.tasks import end_tasks
from evolve.settings import Settings

ProgressCallback = Callable[[dict[str, Any]], None]
FIRST_LOOK_S = 0.05  # early, so that a service that is down is reported at once
CHECK_S = 1.0  # how often a look is taken at a service that somebody waits for
REREAD_S = 3.0  # from then on a look is taken at the stored reply too: its way here may have been lost
REREAD_AT_ONCE = 128

START_HINT = "start it with `evolve up`, or `python services/service_manager.py --action start --service {service}`"


@dataclass(slots=True)
class _Waiting:
    future: asyncio.Future[dict[str, Any]]
    on_progress: ProgressCallback | None = None
    must_live: bool = False
    since: float = 0.0
    asked: tuple[Lane, RequestEnvelope] | None = (
        None  # a request, whose reply is stored; not one for the control channel
    )


class Asker:
    """Asks under one name; replies come to a stream of that name, so no other process sees them."""

    def __init__(
        self,
        bus: Bus,
        *,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        max_bytes: int = Settings.model_fields["max_message_bytes"].default,
        max_reply_bytes: int = Settings.model_fields["max_reply_bytes"].default,
    ) -> None:
        self._max_bytes, self._max_reply_bytes = max_bytes, max_reply_bytes
        self._bus = bus
        self.name = name or f"client-{new_request_id()}"
        self._clock = clock
        self._waiting: dict[str, dict[str, _Waiting]] = {}  # service → request id → who waits
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._read_to: dict[str, str] = {}
        self._seen_alive: dict[str, float] = {}

    async def ask(
        self,
        service: str,
        lane: Lane,
        envelope: RequestEnvelope,
        *,
        timeout_s: float | None,
        on_progress: ProgressCallback | None = None,
        must_live: bool = True,
    ) -> dict[str, Any]:
        """The reply envelope, success or error.

        Raises TooLarge before anything is sent when no replica would read it, and Busy when too many wait already.
        Raises Unavailable when no replica has been heard of for 5 s (with must_live), or the server is gone as long;
        TimedOut after `timeout_s` (None: wait for ever). In both cases the request stays queued, and the error has its id.
        """
        loop = asyncio.get_running_loop()
        request_id = envelope.request_id or ""
        waiting = _Waiting(loop.create_future(), on_progress, must_live, self._clock.monotonic(), (lane, envelope))
        # Listen before sending: a reply can come within a millisecond.
        self._listen(service, request_id, waiting)
        timer = (
            None
            if timeout_s is None
            else loop.call_later(timeout_s, _time_out, waiting, service, request_id, timeout_s)
        )
        try:
            await self.send(service, lane, envelope)
            return await waiting.future
        finally:
            if timer is not None:
                timer.cancel()
            self._waiting[service].pop(request_id, None)
            if waiting.future.done() and not waiting.future.cancelled():
                waiting.future.exception()  # seen: it may have come while `send` failed

    async def send(self, service: str, lane: Lane, envelope: RequestEnvelope, *, again: bool = False) -> None:
        """Queue a request whose reply comes to this asker. Raises TooLarge, Busy or Unavailable."""
        if envelope.request_id is None:
            raise ValueError("an asked request needs an id")
        raw = envelope.to_bytes()
        check_size(raw, max_bytes=self._max_bytes)
        await self._bus.send(
            service,
            lane,
            raw,
            request_id=envelope.request_id,
            content_hash=envelope.content_hash,
            reader=self.name,
            again=again,
        )

    def _listen(self, service: str, request_id: str, waiting: _Waiting) -> None:
        self._waiting.setdefault(service, {})[request_id] = waiting
        for tasks, work in ((self._readers, self._read), (self._watches, self._watch)):
            task = tasks.get(service)
            if task is None or task.done():
                tasks[service] = asyncio.create_task(work(service), name=f"{work.__name__} {service}")

    async def _watch(self, service: str) -> None:
        """One look a second for all who wait for a service: does it live, and was a reply stored that did not arrive?"""
        silent_since: float | None = None
        server_away, patience = False, 0.0
        pause = max(FIRST_LOOK_S, self._seen_alive.get(service, 0.0) + CHECK_S - self._clock.monotonic())
        while True:
            await asyncio.sleep(pause)
            if not self._waiting[service]:
                return
            pause = CHECK_S
            try:
                alive, away, reason = bool(await self._bus.replicas(service)), False, _not_running(service)
                await self._reread(service)
            except Unavailable as error:
                alive, away, reason = False, True, error.message
            now = self._clock.monotonic()
            if alive:
                silent_since, server_away = None, False
                self._seen_alive[service] = now
                continue
            if silent_since is None or (server_away and not away):
                # A server that was away remembers old heartbeats: its replicas find it again a moment after we do.
                patience = 0.0 if silent_since is None and not away else ALIVE_S
                silent_since, server_away = now, away
            if now - silent_since < patience:
                continue
            for request_id, waiting in self._waiting[service].items():
                if waiting.must_live and not waiting.future.done():
                    waiting.future.set_exception(Unavailable(reason, service=service, asked_id=request_id))

    async def _reread(self, service: str) -> None:
        """Fetch replies that were stored and did not arrive: their stream was trimmed, expired, or lost with its server.

        What the server no longer knows at all is sent again: it was emptied, or a replica of it took over too early.
        """
        late = self._clock.monotonic() - REREAD_S
        waiting = [(id, one) for id, one in self._waiting[service].items() if one.asked and one.since <= late]
        for request_id, one in waiting[:REREAD_AT_ONCE]:
            raw = await self._bus.stored_reply(service, request_id)
            if raw is not None:
                self._deliver(service, raw, request_id)
            elif one.asked and not one.future.done() and not await self._bus.is_known(service, request_id):
                await self.send(service, *one.asked, again=True)

    async def control(self, service: str, type: str, data: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """The first answer on the control channel. Raises Unavailable when nobody listens or answers in time."""
        request_id = new_request_id()
        message = RequestEnvelope(type, data, self._clock.now(), request_id=request_id, reply_to=self.name)
        waiting = _Waiting(asyncio.get_running_loop().create_future())
        self._listen(service, request_id, waiting)
        published = False
        try:
            async with asyncio.timeout(timeout_s):
                await self._bus.publish_control(service, message.to_bytes())
                published = True
                return await waiting.future
        except TimeoutError:
            if not published:  # not the service is down but what lies before it
                raise Unavailable(
                    f"the Redis server at {self._bus.address} took no message within {timeout_s:g} s; check that it runs"
                ) from None
            raise Unavailable(
                f"{service} did not answer {type} within {timeout_s:g} s; {START_HINT.format(service=service)}",
                service=service,
            ) from None
        finally:
            self._waiting[service].pop(request_id, None)

    async def withdraw(self, service: str, request_id: str) -> bool:
        """End a request that is queued or running. False if it was done already."""
        return await self._bus.withdraw(service, request_id)

    async def _read(self, service: str) -> None:
        while self._waiting[service]:
            try:
                messages = await self._bus.read_replies(
                    service, self.name, self._read_to.get(service, "0-0"), block_s=2.0
                )
            except Unavailable:
                await asyncio.sleep(0.2)  # the server is restarting; whoever waits decides when to give up
                continue
            for position, raw in messages:
                self._read_to[service] = position
                self._deliver(service, raw)

    def _deliver(self, service: str, raw: bytes, request_id: str | None = None) -> None:
        """Hand a message to who waits for it: under its own id, or under the one it was stored for."""
        try:
            message = load(raw, max_bytes=self._max_reply_bytes)
        except EvolveError:
            return  # not a reply of ours; the ask times out with its own message
        waiting = self._waiting[service].get(request_id or str(message.get("request_id")))
        if waiting is None or waiting.future.done():
            return
        if message.get("type") == "progress":
            if waiting.on_progress is not None:
                waiting.on_progress(message["data"])
        else:
            waiting.future.set_result(message)

    async def close(self) -> None:
        await end_tasks([*self._readers.values(), *self._watches.values()])
        self._readers.clear()
        self._watches.clear()


def _time_out(waiting: _Waiting, service: str, request_id: str, timeout_s: float) -> None:
    if not waiting.future.done():
        waiting.future.set_exception(
            TimedOut(
                f"{service} did not answer within {timeout_s:g} s; the request stays queued: "
                f"`evolve reply {service} {request_id}` fetches the late reply, `evolve cancel {service} {request_id}` withdraws it",
                service=service,
                asked_id=request_id,
            )
        )


def _not_running(service: str) -> str:
    return f"{service} is not running: no replica was heard of for {ALIVE_S:g} s. The request stays queued; " + (
        START_HINT.format(service=service)
    )
