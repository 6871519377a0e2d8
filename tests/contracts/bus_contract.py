"""What both buses promise, and the grounds on which they are held to it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import orjson

from evolve.clock import FrozenClock
from evolve.messaging.bus import LANES, Bus, Delivery, Lane, output_channel
from evolve.messaging.memory_bus import MemoryBus
from evolve.messaging.redis_bus import RedisBus

T = TypeVar("T")

BLOCK_S = 5.0  # a deadline for what is there already or on its way
SOON_S = 0.02  # how long to look for what must not come


class Ground(ABC):
    """A bus, a service name of its own, and a hand on its clock."""

    bus: Bus
    service: str

    @abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Age leases, heartbeats and the bridge's lease, without waiting."""

    async def send(self, request_id: str, raw: bytes = b"{}", *, lane: Lane = "light", named: bool = True) -> None:
        await self.bus.send(self.service, lane, raw, request_id=request_id, named=named)

    async def take(self, replica: str = "a", *, lane: Lane = "light") -> Delivery:
        """The next message, which must be there or come."""
        [delivery] = await self.bus.receive(self.service, lane, replica, 1, block_s=BLOCK_S)
        return delivery

    async def nothing_for(self, replica: str = "b", *, lane: Lane = "light") -> bool:
        return not await self.bus.receive(self.service, lane, replica, 10, block_s=SOON_S)

    async def begun(self, request_id: str, replica: str = "a", *, reply_to: str | None = None) -> Delivery:
        """A message sent, taken and begun."""
        await self.send(request_id)
        delivery = await self.take(replica)
        assert await self.bus.begin(delivery, replica, "content", reply_to) == "run"
        return delivery

    async def reclaim(self, replica: str, *, idle_s: float = 10.0, lane: Lane = "light") -> list[Delivery]:
        return await self.bus.reclaim(self.service, lane, replica, idle_s=idle_s, count=10)

    async def replies(self, reader: str) -> list[bytes]:
        return [raw for _, raw in await self.bus.read_replies(self.service, reader, "0-0", block_s=SOON_S)]

    @contextlib.asynccontextmanager
    async def outputs(self) -> AsyncIterator[Heard]:
        """What is published on the service's output while the block runs."""
        async with heard(self.bus, output_channel(self.service)) as messages:
            yield messages


@dataclass
class Heard:
    messages: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def raw(self) -> list[bytes]:
        return [raw for _, raw in self.messages]

    async def wait_for(self, count: int) -> list[bytes]:
        await eventually(lambda: _truth(len(self.messages) >= count), what=f"{count} messages, heard {self.raw}")
        return self.raw


@contextlib.asynccontextmanager
async def heard(bus: Bus, *channels: str) -> AsyncIterator[Heard]:
    """Subscribe to `channels`; the block starts once the subscription stands."""
    messages, standing = Heard(), asyncio.Event()

    async def listen() -> None:
        async for channel, raw in bus.listen(channels):
            if channel:
                messages.messages.append((channel, raw))
            else:
                standing.set()

    task = asyncio.create_task(listen())
    await asyncio.wait_for(standing.wait(), BLOCK_S)
    try:
        yield messages
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _truth(value: bool) -> bool:
    return value


async def eventually(
    condition: Callable[[], Awaitable[T]], *, within_s: float = BLOCK_S, what: str = "the condition"
) -> T:
    """The first true value of `condition`; fails when it does not come in time."""
    limit = time.monotonic() + within_s
    while time.monotonic() < limit:
        if value := await condition():
            return value
        await asyncio.sleep(0.005)
    raise AssertionError(f"waited {within_s:g} s for {what}")


class MemoryGround(Ground):
    def __init__(self, service: str) -> None:
        self.service, self.clock = service, FrozenClock()
        self.bus = MemoryBus(clock=self.clock)

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)


class RedisGround(Ground):
    """Time passes by making what is stored older: the server's own clock cannot be set."""

    def __init__(self, bus: RedisBus, service: str) -> None:
        self.bus, self.service, self.redis = bus, service, bus._redis

    async def command(self, *words: object) -> object:
        return await self.redis.execute_command(*words)  # type: ignore[no-untyped-call]

    def key(self, name: str) -> str:
        return f"evolve:{{{self.service}}}:{name}"

    async def pass_time(self, seconds: float) -> None:
        for lane in LANES:
            key = self.key(f"requests:{lane}")
            if not await self.command("EXISTS", key):
                continue
            for entry, holder, idle, _ in await self.command("XPENDING", key, "replicas", "-", "+", 1000):  # type: ignore[attr-defined]
                older = int(idle) + int(seconds * 1000)
                await self.command("XCLAIM", key, "replicas", holder, 0, entry, "IDLE", older, "JUSTID")
        delayed = await self.command("ZRANGE", self.key("delayed"), 0, -1)
        for id in delayed:  # type: ignore[attr-defined]
            await self.command("ZINCRBY", self.key("delayed"), -seconds * 1000, id)
        heartbeats = await self.command("HGETALL", self.key("replicas"))
        for replica, value in _pairs(heartbeats):
            info = orjson.loads(value)
            info["at"] -= seconds
            await self.command("HSET", self.key("replicas"), replica, orjson.dumps(info))
        lease = int(await self.command("PTTL", self.key("bridge")))  # type: ignore[call-overload]
        if lease > 0:
            await self.command("PEXPIRE", self.key("bridge"), max(0, lease - int(seconds * 1000)))


def _pairs(flat: object) -> Iterator[tuple[bytes, bytes]]:
    assert isinstance(flat, list)
    return zip(flat[::2], flat[1::2], strict=True)
