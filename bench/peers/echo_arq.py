"""arq's echo. It always runs pessimistically: a job stays queued until it finished, and its result is kept an hour.

Worker and asker can only poll: the documented default of 0.5 s is set to 10 ms in the worker, and for the result to 5 ms for one
request in flight, 0.2 s for many (see `load`). `max_jobs` raised from 10 to 64, as many as are asked at once.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, ClassVar

import load
from arq import create_pool
from arq.connections import RedisSettings

SERVER = RedisSettings(unix_socket_path=os.environ["BENCH_SOCKET"])


async def echo(_context: dict[Any, Any], text: str) -> str:
    return text


class WorkerSettings:
    functions: ClassVar = [echo]
    redis_settings = SERVER
    max_jobs = 64
    poll_delay = 0.01
    keep_result = 3600


async def client() -> None:
    pool = await create_pool(SERVER)

    async def ask(text: str, *, every_s: float) -> str:
        job = await pool.enqueue_job("echo", text)
        return await job.result(timeout=40, poll_delay=every_s)

    await load.obey(ask)


if __name__ == "__main__":
    asyncio.run(client())
