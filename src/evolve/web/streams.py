"""How do events reach a browser? As a server-sent event stream: numbered, kept alive by comments, and ended in order.

Source: the HTML Standard, 9.2 Server-sent events.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from evolve.errors import Busy
from evolve.web.metrics import Metrics

HEARTBEAT_S = 15.0  # proxies close what is silent for 30 to 60 s
RETRY_MS = 1_000
LAST_EVENT_ID = re.compile(r"[0-9a-f]{8}-[0-9]{1,15}")
MAX_STREAMS = 500
MAX_STREAMS_EACH = 100


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it stands in the stream."""

    number: int
    name: str
    data: bytes

    def encoded(self, epoch: str) -> bytes:
        # JSON has no bare line breaks, so one data line holds it.
        return b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (epoch.encode(), self.number, self.name.encode(), self.data)


def last_seen(request: Request, epoch: str) -> int | None:
    """The number of the last event that a reader who comes back has seen; None for a new reader, and for one of another life of ours."""
    given = request.headers.get("last-event-id") or request.query_params.get("last_event_id") or ""
    if not LAST_EVENT_ID.fullmatch(given):
        return None
    life, _, number = given.partition("-")
    return int(number) if life == epoch else None


class Streams:
    """Counts the open streams, and ends them all when the server ends."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._open: dict[str, int] = {}
        self.ending = asyncio.Event()
        self.wakers: list[Callable[[], None]] = []

    def response(self, events: AsyncIterator[bytes | None], who: str) -> Response:
        """A response that sends the encoded events as they come; None is a heartbeat. Raises Busy when too many are open."""
        if sum(self._open.values()) >= MAX_STREAMS or self._open.get(who, 0) >= MAX_STREAMS_EACH:
            raise Busy(
                f"too many open streams: {MAX_STREAMS_EACH} for each who asks, {MAX_STREAMS} in all; close some pages"
            )
        return _EventStream(self, events, who)

    def end(self) -> None:
        """End them all: whoever waits for the next event is woken to see it."""
        self.ending.set()
        for wake in self.wakers:
            wake()

    def opened(self, who: str) -> None:
        self._open[who] = self._open.get(who, 0) + 1
        self._metrics.streams += 1

    def closed(self, who: str) -> None:
        self._metrics.streams -= 1
        self._open[who] -= 1
        if not self._open[who]:
            del self._open[who]


class _EventStream(StreamingResponse):
    def __init__(self, streams: Streams, events: AsyncIterator[bytes | None], who: str) -> None:
        # no-transform: a proxy that compresses would hold events back; X-Accel-Buffering says the same to nginx.
        headers = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}
        super().__init__(_written(events), 200, headers=headers, media_type="text/event-stream")
        self._streams, self._who = streams, who

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams.opened(self._who)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.closed(self._who)


async def _written(events: AsyncIterator[bytes | None]) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % RETRY_MS
    async for event in events:
        yield b": still here\n\n" if event is None else event


def encoded(data: object) -> bytes:
    return orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS)


class Signal:
    """Something changed: wakes all who wait, whether one or a hundred, and keeps nothing for anybody."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def send(self) -> None:
        waiting, self._event = self._event, asyncio.Event()
        waiting.set()

    async def wait(self, ending: asyncio.Event, timeout_s: float = HEARTBEAT_S) -> bool:
        """True after a signal, False after `timeout_s` without one or when all ends."""
        event = self._event
        if ending.is_set():
            return False
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return False
        return True
