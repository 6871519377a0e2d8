"""`evolve bus`: publish, subscribe and monitor where no redis-cli is installed."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence

from evolve.messaging.bus import control_channel, input_channel, output_channel
from evolve.messaging.connection import bus_for
from evolve.services import SERVICES
from evolve.settings import Settings


def publish(channel: str, message: str) -> None:
    async def run() -> int:
        bus = bus_for(Settings.load())
        try:
            return await bus.publish(channel, message.encode())
        finally:
            await bus.close()

    print(asyncio.run(run()))


def subscribe(channels: Sequence[str], count: int, seconds: float) -> None:
    asyncio.run(_listen(channels, count, seconds, with_channel=len(channels) > 1))


def monitor(count: int, seconds: float) -> None:
    channels = [make(name) for name in SERVICES for make in (input_channel, control_channel, output_channel)]
    asyncio.run(_listen(channels, count, seconds, with_channel=True))


async def _listen(channels: Sequence[str], count: int, seconds: float, *, with_channel: bool) -> None:
    bus = bus_for(Settings.load())
    heard = 0
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds or None):
                async for channel, raw in bus.listen(channels):
                    if not channel:
                        print(f"listening on {len(channels)} channels", file=sys.stderr, flush=True)
                        continue
                    text = raw.decode(errors="replace")
                    print(f"{channel} {text}" if with_channel else text, flush=True)
                    heard += 1
                    if heard == count:
                        return
    finally:
        await bus.close()
