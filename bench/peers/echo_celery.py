"""Celery's echo with late acknowledgement: a task is lost with its worker otherwise.

`task_acks_late` and `task_reject_on_worker_lost` as the reliability pages advise; results in Redis, kept a day by default, and
awaited by publish/subscribe, not by polling. JSON. Prefork pool, one process per worker of the table: Celery's default, and the one
that a task's crash does not take down. The prefetch multiplier is raised, as "Optimizing" advises for many short
tasks. Gossip, mingle and events off: nobody looks at them here. The client collects a window in one thread.
"""

from __future__ import annotations

import os

import load
from celery import Celery

SOCKET = os.environ["BENCH_SOCKET"]
app = Celery("echo_celery", broker=f"redis+socket://{SOCKET}", backend=f"redis+socket://{SOCKET}")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=64,
    broker_connection_retry_on_startup=True,
    worker_send_task_events=False,
    task_track_started=False,
)


@app.task(name="echo")
def echo(text: str) -> str:
    return text


if __name__ == "__main__":
    load.obey_blocking(echo.delay, lambda result: result.get(timeout=40))
