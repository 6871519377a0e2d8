"""One request, offered until it is taken; and all the answers that anybody hears."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import orjson
from redis.asyncio import Redis

from evolve.errors import Unavailable
from evolve.messaging.asker import Asker
from evolve.messaging.bus import Lane, output_channel
from evolve.messaging.envelope import RequestEnvelope
from evolve.messaging.messages import Request
from evolve.messaging.redis_bus import RedisBus


async def insist(
    asker: Asker, service: str, request: Request[object], id: str, *, within_s: float, pause_s: float, refused: Callable[[], None],
) -> dict[str, Any] | None:  # fmt: skip
    """The reply to what is offered under one id until the server takes it; None if there was none within `within_s`.

    refused: called each time it is not taken.
    """
    data = request.model_dump(mode="json")
    envelope = RequestEnvelope(request.wire_type, data, request_id=id, reply_to=asker.name, sender=asker.name)
    lane: Lane = "heavy" if request.slot == "heavy" else "light"
    end = time.monotonic() + within_s
    while True:
        try:
            return await asker.ask(service, lane, envelope, timeout_s=max(0.1, end - time.monotonic()), must_live=False)
        except Unavailable:
            refused()
            if time.monotonic() > end:
                return None
            await asyncio.sleep(pause_s)
        except TimeoutError:
            return None


@contextlib.asynccontextmanager
async def watching(monitor: Redis, services: Sequence[str], published: Counter[str]) -> AsyncIterator[None]:
    """Count what is published on the outputs, by request id: whoever listens there must not see two replies to one request."""
    bus = RedisBus(monitor)

    async def watch() -> None:
        while True:
            with contextlib.suppress(Unavailable):
                async for channel, raw in bus.listen([output_channel(service) for service in services]):
                    if channel:
                        message = orjson.loads(raw)
                        if "request_id" in message and message["type"] != "progress":
                            published[message["request_id"]] += 1
            await asyncio.sleep(0.05)

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await bus.close()
