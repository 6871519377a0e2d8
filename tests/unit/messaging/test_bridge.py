"""What is published by hand enters the stream once, whoever of several bridges holds the lease."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import orjson

from contracts.bus_contract import eventually, heard
from evolve.errors import Unavailable
from evolve.messaging.bridge import Bridge
from evolve.messaging.bus import Lane, input_channel, output_channel
from evolve.messaging.memory_bus import MemoryBus

INPUT = input_channel("svc")
MAX_BYTES = 1000


def lane_of(service: str, wire_type: str) -> Lane:
    return "heavy" if wire_type == "heavy_one" else "light"


@contextlib.asynccontextmanager
async def bridge(bus: MemoryBus, name: str) -> AsyncIterator[Bridge]:
    one = Bridge(bus, "svc", lane_of, max_bytes=MAX_BYTES, name=name)
    task = asyncio.create_task(one.serve())
    await asyncio.wait_for(one.listening.wait(), 10)
    try:
        yield one
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def entered(bus: MemoryBus, count: int, lane: Lane = "light") -> list[tuple[bytes, bool]]:
    """The first `count` messages of the stream, and that no more come: what was sent, and whether it was named."""
    taken: list[tuple[bytes, bool]] = []

    async def take() -> bool:
        taken.extend((d.raw, d.named) for d in await bus.receive("svc", lane, "r", 100, block_s=0.05))
        return len(taken) >= count

    await eventually(take, within_s=20, what=f"{count} messages, have {taken}")
    await take()
    return taken


def message(text: str = "", **fields: object) -> bytes:
    return orjson.dumps({"type": "count", "data": {"text": text}, **fields})


async def test_a_published_request_enters_the_stream_as_it_was_sent() -> None:
    bus = MemoryBus()
    async with bridge(bus, "one"):
        await bus.publish(INPUT, message("a"))
        await bus.publish(INPUT, message("b", request_id="mine"))

        assert await entered(bus, 2) == [(message("a"), False), (message("b", request_id="mine"), True)]


async def test_a_request_enters_the_lane_of_its_type() -> None:
    bus = MemoryBus()
    async with bridge(bus, "one"):
        await bus.publish(INPUT, b'{"type":"heavy_one"}')

        assert len(await entered(bus, 1, "heavy")) == 1


async def test_two_bridges_enter_a_message_once_and_two_equal_messages_twice() -> None:
    bus = MemoryBus()
    async with bridge(bus, "one"), bridge(bus, "two"):
        await bus.publish(INPUT, message("same"))
        await bus.publish(INPUT, message("same"))

        assert len(await entered(bus, 2)) == 2


async def test_a_bridge_that_joins_late_doubles_nothing_and_swallows_nothing() -> None:
    bus = MemoryBus()
    async with bridge(bus, "one") as first:
        await bus.publish(INPUT, message("same"))
        assert len(await entered(bus, 1)) == 1
        async with bridge(bus, "two"):
            await bus.publish(INPUT, message("same"))
            assert len(await entered(bus, 1)) == 1
            assert first._holder


async def test_a_successor_enters_what_the_holder_heard_and_did_not_enter_and_nothing_else() -> None:
    bus = MemoryBus()
    await bus.hold_bridge("svc", "dead", lease_s=0.5)
    async with bridge(bus, "successor"):
        for text in ("entered", "heard", "heard"):
            await bus.publish(INPUT, message(text))
        # The holder enters one of three, and dies without a word.
        raw = message("entered")
        assert await bus.enter("svc", "light", "dead", raw, request_id="r", named=False, mark=mark_of(raw))

        raws = Counter(raw for raw, _ in await entered(bus, 3))

    assert raws == {message("entered"): 1, message("heard"): 2}


async def test_a_successor_does_not_reject_again_what_the_holder_rejected() -> None:
    bus = MemoryBus()
    await bus.hold_bridge("svc", "dead", lease_s=0.5)
    async with bridge(bus, "successor"), heard(bus, output_channel("svc")) as outputs:
        await bus.publish(INPUT, b"rejected")
        await bus.publish(INPUT, b"only heard")
        await bus.reject("svc", "dead", b"rejected", b"{}", reason="malformed", mark=mark_of(b"rejected"))
        await bus.publish(INPUT, message())
        await entered(bus, 1)

    assert [letter.raw for letter in await bus.dead_letters("svc")] == [b"only heard", b"rejected"]
    assert len(outputs.raw) == 2


async def test_binary_junk_and_what_is_too_large_are_dead_letters_and_the_bridge_lives() -> None:
    bus = MemoryBus()
    async with bridge(bus, "one"), heard(bus, output_channel("svc")) as outputs:
        for raw in (b"\x00\xff\xfe", b"[" * 900, message("x" * 5 * MAX_BYTES)):
            await bus.publish(INPUT, raw)
        await bus.publish(INPUT, message("good"))

        assert await entered(bus, 1) == [(message("good"), False)]

    assert [orjson.loads(raw)["data"]["code"] for raw in outputs.raw] == ["malformed", "malformed", "too_large"]
    letters = await bus.dead_letters("svc")
    assert [len(letter.raw) for letter in letters] == [MAX_BYTES, 900, 3], "kept up to the limit, newest first"


class BreakingBus(MemoryBus):
    """The server goes away in the moment a message is entered, and comes back."""

    broken = 0

    async def enter(self, *arguments: object, **options: object) -> bool:
        if self.broken:
            self.broken -= 1
            raise Unavailable("the server is restarting")
        return await super().enter(*arguments, **options)  # type: ignore[arg-type]


async def test_a_message_heard_while_the_server_goes_away_is_entered_when_it_is_back() -> None:
    bus = BreakingBus()
    async with bridge(bus, "one"):
        await bus.publish(INPUT, message("before"))
        assert len(await entered(bus, 1)) == 1
        bus.broken = 1
        await bus.publish(INPUT, message("in the moment"))

        assert await entered(bus, 1) == [(message("in the moment"), False)]


class SlowToLetGo(MemoryBus):
    """The server is lost, and whoever asked for the lease takes a moment to end."""

    def __init__(self) -> None:
        super().__init__()
        self.ending, self.may_end = asyncio.Event(), asyncio.Event()

    async def hold_bridge(self, service: str, bridge: str, *, lease_s: float) -> bool:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ending.set()
            await self.may_end.wait()
            raise
        return False

    async def listen(self, channels: Sequence[str]) -> AsyncIterator[tuple[str, bytes]]:
        yield "", b""
        await asyncio.sleep(0.02)
        raise Unavailable("the server is gone")


async def test_a_bridge_that_is_ended_while_it_cleans_up_after_a_lost_server_ends() -> None:
    """It went on for ever, and a replica told to stop in that moment had to be killed."""
    bus = SlowToLetGo()
    serving = asyncio.create_task(Bridge(bus, "svc", lane_of, max_bytes=MAX_BYTES).serve())
    await asyncio.wait_for(bus.ending.wait(), 10)

    serving.cancel()
    await asyncio.sleep(0)
    bus.may_end.set()
    _, pending = await asyncio.wait([serving], timeout=2)

    assert not pending


def mark_of(raw: bytes) -> str:
    """How a bridge tells equal messages: what it notes with an entry."""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()
