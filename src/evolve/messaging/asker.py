"""How does one process ask many services at once and get each answer where it belongs?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import EvolveError, TimedOut, Unavailable
from evolve.messaging.bus import ALIVE_S, Bus, Lane
from evolve.messaging.envelope import RequestEnvelope, check_size, load, new_request_id
from evolve.messaging.tasks import end_tasks
from evolve.settings import Settings

ProgressCallback = Callable[[dict[str, Any]], None]
CHECK_S = 1.0  # how often a waiting ask looks whether the service still lives
MAX_REPLY_BYTES = 64 << 20

START_HINT = "start it with `evolve up`, or `python services/service_manager.py --action start --service {service}`"


class Asker:
    """Asks under one name; replies come to a stream of that name, so no other process sees them."""

    def __init__(
        self,
        bus: Bus,
        *,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        max_bytes: int = Settings.model_fields["max_message_bytes"].default,
    ) -> None:
        self._max_bytes = max_bytes
        self._bus = bus
        self.name = name or f"asker-{new_request_id()}"
        self._clock = clock
        self._waiting: dict[tuple[str, str], tuple[asyncio.Future[dict[str, Any]], ProgressCallback | None]] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._read_to: dict[str, str] = {}

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

        Raises TooLarge before anything is sent when no replica would read it.
        Raises Unavailable when no replica has been heard of for 5 s (with must_live), or the server is gone as long;
        TimedOut after `timeout_s` (None: wait for ever). In both cases the request stays queued, and the error has its id.
        """
        if envelope.request_id is None:
            raise ValueError("an asked request needs an id")
        raw = envelope.to_bytes()
        check_size(raw, max_bytes=self._max_bytes)
        key = (service, envelope.request_id)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        # Listen before sending: a reply can come within a millisecond.
        self._waiting[key] = (future, on_progress)
        self._ensure_reader(service)
        try:
            await self._bus.send(service, lane, raw, request_id=envelope.request_id, named=True)
            return await self._wait(service, envelope.request_id, future, timeout_s, must_live)
        finally:
            self._waiting.pop(key, None)

    async def _wait(
        self,
        service: str,
        request_id: str,
        future: asyncio.Future[dict[str, Any]],
        timeout_s: float | None,
        must_live: bool,
    ) -> dict[str, Any]:
        started = self._clock.monotonic()
        silent_since: float | None = None
        server_away, patience = False, 0.0
        pause = 0.05  # the first look comes early, so that a service that is down is reported at once
        while True:
            left = None if timeout_s is None else started + timeout_s - self._clock.monotonic()
            if left is not None and left <= 0:
                raise TimedOut(
                    f"{service} did not answer within {timeout_s:g} s; the request stays queued: "
                    f"`evolve reply {service} {request_id}` fetches the late reply, `evolve cancel {service} {request_id}` withdraws it",
                    service=service,
                    asked_id=request_id,
                )
            done, _ = await asyncio.wait([future], timeout=pause if left is None else min(pause, left))
            if done:
                return future.result()
            pause = CHECK_S
            if not must_live:
                continue
            try:
                if await self._bus.replicas(service):
                    silent_since, server_away = None, False
                    continue
                reason, away = _not_running(service), False
            except Unavailable as error:
                reason, away = error.message, True
            now = self._clock.monotonic()
            if silent_since is None or (server_away and not away):
                # A server that was away remembers old heartbeats: its replicas find it again a moment after we do.
                patience = 0.0 if silent_since is None and not away else ALIVE_S
                silent_since, server_away = now, away
            if now - silent_since >= patience:
                raise Unavailable(reason, service=service, asked_id=request_id)

    async def control(self, service: str, type: str, data: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """The first answer on the control channel. Raises Unavailable when nobody listens or answers in time."""
        request_id = new_request_id()
        message = RequestEnvelope(type, data, self._clock.now(), request_id=request_id, reply_to=self.name)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        key = (service, request_id)
        self._waiting[key] = (future, None)
        self._ensure_reader(service)
        try:
            await self._bus.publish_control(service, message.to_bytes())
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise Unavailable(
                f"{service} did not answer {type} within {timeout_s:g} s; {START_HINT.format(service=service)}",
                service=service,
            ) from None
        finally:
            self._waiting.pop(key, None)

    async def withdraw(self, service: str, request_id: str) -> bool:
        """End a request that is queued or running. False if it was done already."""
        return await self._bus.withdraw(service, request_id)

    def _ensure_reader(self, service: str) -> None:
        task = self._readers.get(service)
        if task is None or task.done():
            self._readers[service] = asyncio.create_task(self._read(service), name=f"replies of {service}")

    async def _read(self, service: str) -> None:
        while any(waiting_for == service for waiting_for, _ in self._waiting):
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

    def _deliver(self, service: str, raw: bytes) -> None:
        try:
            message = load(raw, max_bytes=MAX_REPLY_BYTES)
        except EvolveError:
            return  # not a reply of ours; the ask times out with its own message
        entry = self._waiting.get((service, str(message.get("request_id"))))
        if entry is None:
            return
        future, on_progress = entry
        if message.get("type") == "progress":
            if on_progress is not None:
                on_progress(message["data"])
        elif not future.done():
            future.set_result(message)

    async def close(self) -> None:
        await end_tasks(list(self._readers.values()))
        self._readers.clear()


def _not_running(service: str) -> str:
    return f"{service} is not running: no replica was heard of for {ALIVE_S:g} s. The request stays queued; " + (
        START_HINT.format(service=service)
    )
