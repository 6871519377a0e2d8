"""The feed: one subscription for all readers, bounded whoever reads slowly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from evolve.messaging.memory_bus import MemoryBus
from evolve.settings import Settings
from evolve.web import feed as feeds
from evolve.web.feed import Feed


@dataclass
class Client:
    """What a feed needs of a client."""

    bus: MemoryBus = field(default_factory=MemoryBus)
    settings: Settings = field(default_factory=Settings)


@dataclass
class Heard:
    feed: Feed
    bus: MemoryBus
    ending: asyncio.Event
    task: asyncio.Task[None]
    said: int = 0

    async def say(self, service: str = "echo", **data: Any) -> None:
        await self.bus.publish(f"{service}_output", orjson.dumps({"type": "said", "service": service, "data": data}))
        await self.until_heard()

    async def until_heard(self) -> None:
        """One more message than before."""
        self.said += 1
        while self.feed.counts["heard"] < self.said:
            await asyncio.sleep(0)

    def reader(self, **options: Any) -> AsyncIterator[bytes | None]:
        return self.feed.read(self.ending, **options)


async def listening() -> Heard:
    client = Client()
    feed = Feed(client, ["echo", "other"])  # type: ignore[arg-type]
    task = asyncio.create_task(feed.listen())
    while not feed.connected:
        await asyncio.sleep(0)
    return Heard(feed, client.bus, asyncio.Event(), task)


def fields(raw: bytes | None) -> tuple[int, str, dict[str, Any]]:
    assert raw is not None
    lines = dict(line.split(": ", 1) for line in raw.decode().strip().split("\n"))
    return int(lines["id"].rpartition("-")[2]), lines["event"], orjson.loads(lines["data"])


async def first(reader: AsyncIterator[bytes | None]) -> tuple[int, str, dict[str, Any]]:
    return fields(await anext(reader))


async def test_every_reader_gets_what_is_said_from_now_on() -> None:
    heard = await listening()
    await heard.say(n=0)
    readers = [heard.reader(), heard.reader()]
    coming = [asyncio.ensure_future(first(reader)) for reader in readers]
    await asyncio.sleep(0)

    await heard.say(n=1)

    for number, name, data in await asyncio.gather(*coming):
        assert (name, data["data"], data["service"]) == ("message", {"n": 1}, "echo")
        assert number == 3  # after the connection, and what was said before
    heard.task.cancel()


async def test_who_comes_back_gets_what_was_missed() -> None:
    heard = await listening()
    for n in range(4):
        await heard.say(n=n)

    reader = heard.reader(after=3)

    assert [(await first(reader))[2]["data"]["n"] for _ in range(2)] == [2, 3]
    heard.task.cancel()


async def test_who_is_too_slow_is_told_so_and_goes_on_with_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MAX_EVENTS", 5)
    heard = await listening()
    reader = heard.reader(after=1)
    await heard.say(n=0)
    assert (await first(reader))[2]["data"] == {"n": 0}

    for n in range(1, 20):
        await heard.say(n=n)
    number, name, data = await first(reader)
    await heard.say(n=20)

    assert (name, data) == ("resync", {"missed": 19})
    assert (await first(reader))[2]["data"] == {"n": 20}
    assert number == 21
    assert heard.feed.counts["resync"] == 1
    heard.task.cancel()


async def test_the_ring_is_bounded_in_bytes_and_large_messages_come_without_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeds, "MAX_RING_BYTES", 20_000)
    heard = await listening()
    for n in range(30):
        await heard.say(n=n, text="x" * 3_000)
    reader = heard.reader()
    coming = asyncio.ensure_future(first(reader))
    await asyncio.sleep(0)

    await heard.say(text="x" * feeds.LARGE_BYTES)

    assert sum(len(event.data) for event in heard.feed._ring) <= 20_000
    data = (await coming)[2]
    assert data["data"] is None
    assert data["bytes"] > feeds.LARGE_BYTES
    heard.task.cancel()


async def test_a_reader_may_want_some_services_only_and_all_end_together() -> None:
    heard = await listening()
    await heard.say("other", n=1)
    await heard.say("echo", n=2)

    reader = heard.reader(after=1, services=frozenset({"echo"}))

    assert (await first(reader))[2]["data"] == {"n": 2}
    ending = asyncio.ensure_future(anext(reader, None))
    await asyncio.sleep(0)
    heard.ending.set()
    heard.feed.wake()
    assert await ending is None
    heard.task.cancel()


async def test_what_is_no_message_is_passed_over() -> None:
    heard = await listening()
    for raw in (b"not json", b"[1]", b"\xff"):
        await heard.bus.publish("echo_output", raw)
        await heard.until_heard()

    await heard.say(n=1)

    assert (await first(heard.reader(after=1)))[2]["data"] == {"n": 1}
    heard.task.cancel()
