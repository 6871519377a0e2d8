"""taskiq's echo on its stream broker, the one of its three that acknowledges (after the result was saved, by default).

The group starts at 0, so that nothing sent before the first worker is lost; results are kept an hour. A caller can only poll for
its result: the interval is what a careful user would choose for the load, 5 ms for one request in flight, 0.2 s for many (see `load`).
An async task, since a synchronous one costs a thread hop.
"""

from __future__ import annotations

import asyncio
import os

import load
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

URL = f"unix://{os.environ['BENCH_SOCKET']}"
broker = RedisStreamBroker(url=URL, consumer_id="0").with_result_backend(
    RedisAsyncResultBackend(redis_url=URL, result_ex_time=3600)
)


@broker.task(task_name="echo")
async def echo(text: str) -> str:
    return text


async def client() -> None:
    await broker.startup()

    async def ask(text: str, *, every_s: float) -> str:
        task = await echo.kiq(text)
        return (await task.wait_result(check_interval=every_s, timeout=40)).return_value

    await load.obey(ask)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(client())
