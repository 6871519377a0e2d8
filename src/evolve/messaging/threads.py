"""Where do light handlers run? In a few threads that never keep their process alive."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class _Work:
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class DaemonThreads:
    """Runs functions in at most `count` threads, started when needed.

    Not a ThreadPoolExecutor: Python waits at exit for the threads of one, and a handler that hangs would keep a replica
    from ending that was told to stop.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function returns or raises. Cancelling does not stop the thread, only the wait for it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._work.put(_Work(loop, future, function, arguments))
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._count:
            thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return await future

    def close(self) -> None:
        """End the threads that have nothing to do, and the others when they are done."""
        for _ in self._threads:
            self._work.put(None)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            if not work.future.cancelled():
                outcome: Any = None
                failure: BaseException | None = None
                try:
                    outcome = work.function(*work.arguments)
                except BaseException as error:  # noqa: BLE001 - handed to who awaits it
                    failure = error
                try:
                    work.loop.call_soon_threadsafe(_settle, work.future, outcome, failure)
                except RuntimeError:
                    return  # the loop ended meanwhile, and with it who waited
            self._idle.release()


def _settle(future: asyncio.Future[Any], outcome: Any, failure: BaseException | None) -> None:
    if future.cancelled():
        return
    if failure is None:
        future.set_result(outcome)
    else:
        future.set_exception(failure)
