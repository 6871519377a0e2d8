"""Dramatiq's echo, as its guide sets it up: RedisBroker and the Results middleware with its Redis backend.

Dramatiq acknowledges after the actor returned, and re-queues what a dead worker held (heartbeat of 60 s): nothing to turn on.
Results are kept (result_ttl, 10 minutes by default) and awaited with BRPOPLPUSH, without polling. Default middleware, JSON.
Eight threads per process are its default; one process per worker of the table. One thread was not cheaper.
The client collects a window in one thread: its asyncio middleware is for actors, not for who waits.
"""

from __future__ import annotations

import os

import dramatiq
import load
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

URL = f"unix://{os.environ['BENCH_SOCKET']}"
broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL), store_results=True))
dramatiq.set_broker(broker)


@dramatiq.actor
def echo(text: str) -> str:
    return text


if __name__ == "__main__":
    load.obey_blocking(echo.send, lambda message: message.get_result(block=True, timeout=40_000))
