"""FastStream's echo on Redis streams: a consumer group, acknowledged after the handler, replies in a stream of the asker.

Its own `broker.request` opens a subscription per request, which fails with "Too many connections" here with 64 in flight, and loses a
reply whose asker is away for a moment. So replies go to a stream, to a persistent subscriber with a future per correlation id, as
its maintainers advise for many requests at once. Streams are trimmed at 10,000 entries, since FastStream deletes nothing that it
acknowledged. The group starts at the newest entry, its default:
what was sent before the first worker is lost. From 0, its second worker would read only what it already holds, by its source.
"""

from __future__ import annotations

import asyncio
import os
import sys
import uuid

import load
from faststream import FastStream
from faststream.redis import RedisBroker, RedisMessage, StreamSub

KEPT = 10_000
broker = RedisBroker(f"unix://{os.environ['BENCH_SOCKET']}")
app = FastStream(broker)

if sys.argv[0] != __file__:  # the worker, imported by `faststream run`

    @broker.subscriber(stream=StreamSub("echo", group="echo", consumer=f"worker-{os.getpid()}"))
    async def echo(text: str, message: RedisMessage) -> None:
        await broker.publish(
            text, stream=message.headers["answer_to"], correlation_id=message.correlation_id, maxlen=KEPT
        )


async def client() -> None:
    mine = f"replies-{uuid.uuid4().hex}"
    waiting: dict[str, asyncio.Future[str]] = {}

    @broker.subscriber(stream=StreamSub(mine, last_id="0"))
    async def replied(text: str, message: RedisMessage) -> None:
        future = waiting.pop(message.correlation_id, None)
        if future is not None and not future.done():
            future.set_result(text)

    async def ask(text: str, **_: float) -> str:
        id = uuid.uuid4().hex
        waiting[id] = asyncio.get_running_loop().create_future()
        await broker.publish(text, stream="echo", correlation_id=id, headers={"answer_to": mine}, maxlen=KEPT)
        return await waiting[id]

    await broker.start()
    await load.obey(ask)
    await broker.stop()


if __name__ == "__main__":
    asyncio.run(client())
