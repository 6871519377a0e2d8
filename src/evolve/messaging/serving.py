"""How does a replica become a process, or a thread of one? In the foreground, forked by the supervisor, or beside a caller."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from evolve import logs
from evolve.errors import EvolveError, Unavailable
from evolve.messaging.connection import bus_for
from evolve.messaging.service import Service
from evolve.messaging.worker import Worker
from evolve.settings import Settings


async def _serve(
    cls: type[Service], settings: Settings, job_server: Path | None, on_worker: Callable[[Worker], None]
) -> None:
    bus = bus_for(settings)
    try:
        worker = Worker(cls, settings, bus, job_server=job_server)
        on_worker(worker)
        for hazard in await bus.hazards():
            logs.logger(service=cls.name).warning(hazard)
        await worker.serve()
    finally:
        await bus.close()


def run_service(cls: type[Service], settings: Settings, *, job_server: Path | None = None) -> int:
    """Run one replica in the foreground until SIGTERM, SIGINT or a `stop` message. Returns the exit code."""
    try:
        logs.configure(
            cls.name,
            directory=settings.logs,
            level=settings.log_level,
            form=settings.log_format,
            secrets=settings.secrets,
        )
    except EvolveError as error:
        print(error.message, file=sys.stderr)
        return 1

    def on_worker(worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)

    try:
        asyncio.run(_serve(cls, settings, job_server, on_worker))
    except EvolveError as error:
        logs.logger(service=cls.name).error("stopped", error=error.message)
        print(f"{cls.name}: {error.message}", file=sys.stderr)
        return 1
    return 0


class BackgroundWorker:
    """A replica in a thread of this process, for `Service.start`."""

    def __init__(self, cls: type[Service], settings: Settings) -> None:
        self._cls, self._settings = cls, settings
        self._thread = threading.Thread(target=self._main, name=f"{cls.name} service", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def start(self, *, wait_s: float = 20.0) -> None:
        self._thread.start()
        if not self._ready.wait(wait_s) and self._failure is None:
            raise Unavailable(f"{self._cls.name} was not ready within {wait_s:g} s")
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        if self._loop is not None and self._worker is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._worker.stop)
        self._thread.join(self._settings.drain_s + 15.0)

    def is_running(self) -> bool:
        return self._thread.is_alive() and self._failure is None

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that called start()
            self._failure = error
        finally:
            self._ready.set()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()

        def on_worker(worker: Worker) -> None:
            self._worker = worker
            announcer = asyncio.ensure_future(worker.ready.wait())
            announcer.add_done_callback(lambda _: self._ready.set())

        await _serve(self._cls, self._settings, None, on_worker)
