"""What do the services say right now? One subscription for all readers, each of whom reads at a pace of their own.

The last messages are kept once, encoded, in a ring that is bounded in number and bytes. A reader has a place in it and no
queue: one that is slower than the ring is long is told so (`resync`) and goes on with what is new.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from evolve import logs
from evolve.client.core import AsyncClient
from evolve.errors import EvolveError, Unavailable
from evolve.messaging.bus import output_channel
from evolve.messaging.envelope import load
from evolve.web.streams import Event, Signal, encoded

MAX_EVENTS = 500
MAX_RING_BYTES = 2 << 20
LARGE_BYTES = 16 << 10  # a page shows that it came; who wants it all asks for it
AGAIN_S = 0.5

Listener = Callable[[str, dict[str, Any]], None]


class Feed:
    """services: whose outputs are heard. listener: is told every message, whole, as it comes: service and envelope."""

    def __init__(self, client: AsyncClient, services: list[str]) -> None:
        self._client = client
        self._channels = {output_channel(name): name for name in services}
        self._ring: deque[Event] = deque()
        self._bytes = 0
        self._next = 1
        self._changed = Signal()
        self._listeners: list[Listener] = []
        self.epoch = secrets.token_hex(4)  # numbers of another life of this process mean nothing here
        self.connected = False
        self.counts = {"heard": 0, "resync": 0}
        self._log = logs.logger(service="web")

    def wake(self) -> None:
        self._changed.send()

    def tell(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def listen(self) -> None:
        """Hear the services until cancelled; over every end of the server, and of the connection to it."""
        while True:
            try:
                async for channel, raw in self._client.bus.listen(list(self._channels)):
                    if not channel:
                        self._connect(True, "")
                    else:
                        self._hear(self._channels[channel], raw)
            except Unavailable as error:
                self._connect(False, error.message)
            await asyncio.sleep(AGAIN_S)

    def _connect(self, connected: bool, why: str) -> None:
        if connected != self.connected:
            self.connected = connected
            self._keep("bus", {"connected": connected, "why": why})

    def _hear(self, service: str, raw: bytes) -> None:
        self.counts["heard"] += 1
        try:
            message = load(raw, max_bytes=self._client.settings.max_reply_bytes)
        except EvolveError as error:
            self._log.warning("not a message", channel=output_channel(service), why=error.message)
            return
        if not isinstance(message, dict):
            return  # published by hand on an output: nobody answered it
        for listener in self._listeners:
            listener(service, message)
        small = len(raw) <= LARGE_BYTES
        self._keep(
            "message",
            {
                "service": service,
                "type": message.get("type"),
                "status": message.get("status"),
                "request_id": message.get("request_id"),
                "timestamp": message.get("timestamp"),
                "data": message.get("data") if small else None,
                "bytes": len(raw),
            },
        )

    def _keep(self, name: str, data: dict[str, Any]) -> None:
        event = Event(self._next, name, encoded(data))
        self._next += 1
        self._ring.append(event)
        self._bytes += len(event.data)
        while len(self._ring) > MAX_EVENTS or self._bytes > MAX_RING_BYTES:
            self._bytes -= len(self._ring.popleft().data)
        self._changed.send()

    async def read(
        self, ending: asyncio.Event, *, after: int | None = None, services: frozenset[str] = frozenset()
    ) -> AsyncIterator[bytes | None]:
        """Events as they come, encoded; None where nothing came for a while. after: the last that this reader saw; None: from now on.

        services: only theirs; empty for all.
        """
        place = self._next - 1 if after is None else min(after, self._next - 1)
        while not ending.is_set():
            if place < self._next - 1:
                first = self._ring[0].number if self._ring else self._next
                if place < first - 1:
                    self.counts["resync"] += 1
                    missed = self._next - 1 - place
                    place = self._next - 1
                    yield Event(place, "resync", encoded({"missed": missed})).encoded(self.epoch)
                    continue
                event = self._ring[place + 1 - first]
                place += 1
                if not services or event.name != "message" or orjson.loads(event.data)["service"] in services:
                    yield event.encoded(self.epoch)
            elif not await self._changed.wait(ending) and not ending.is_set():
                yield None
