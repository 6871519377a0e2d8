"""The web server of `evolve up`: started by the supervisor, started again when it crashes, ended with it."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import Any

from evolve import logs
from evolve.errors import EvolveError, Unavailable, error_for
from evolve.messaging.forkserver import Child, ForkServer
from evolve.settings import Settings

READY_S = 20.0
END_S = 8.0  # more than the server gives to its open streams
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.2, 30.0
STEADY_S = 60.0
# By name: the layer of the manager lies below that of the web.
FRONT = "evolve.web.server:front"


class WebServer:
    """At most one process; host and port of its first start are kept over restarts."""

    def __init__(self, settings: Settings, nursery: ForkServer) -> None:
        self._settings, self._nursery = settings, nursery
        self._child: Child | None = None
        self._watching: asyncio.Task[None] | None = None
        self._url = ""
        self._log = logs.logger(service="supervisor")

    async def start(self, host: str, port: int) -> str:
        """Start it unless it runs; its address once it answers. Raises Unavailable for a port that is taken."""
        if self._watching is None or self._watching.done():
            child = await self._launch(host, port)
            self._watching = asyncio.create_task(
                self._watch(child, host, int(self._url.rstrip("/").rpartition(":")[2]))
            )
        return self._url

    async def _launch(self, host: str, port: int) -> Child:
        child = await self._nursery.spawn(
            FRONT,
            {"settings": self._settings.model_dump(mode="json"), "host": host, "port": port},
            death_signal=signal.SIGTERM,
        )
        try:
            async with asyncio.timeout(READY_S):
                said = await _line(child)
        except TimeoutError:
            child.kill()
            raise Unavailable(f"the web server was not ready within {READY_S:g} s; see {self._settings.logs}") from None
        finally:
            child.connection.close()
        if "error" in said:
            raise error_for(said["code"])(said["error"])
        self._child, self._url = child, said["url"]
        return child

    async def _watch(self, child: Child, host: str, port: int) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            status = await child.exited
            self._child = None
            if status == 0:
                return  # it was told to end
            failures = 0 if time.monotonic() - started > STEADY_S else failures
            while self._child is None:
                pause = min(BACKOFF_FIRST_S * 2**failures, BACKOFF_MAX_S)
                failures += 1
                self._log.error("web server ended", status=status, restart_in_s=pause)
                await asyncio.sleep(pause)
                try:
                    child = await self._launch(host, port)
                except EvolveError as error:
                    self._log.error("the web server cannot be started", error=error.message)

    async def stop(self) -> None:
        """End it, open streams included; returns once it is gone."""
        if self._watching is not None and self._child is None:
            self._watching.cancel()  # between two starts
        if self._child is not None:
            child = self._child
            child.kill(signal.SIGTERM)
            try:
                async with asyncio.timeout(END_S):
                    await asyncio.shield(child.exited)
            except TimeoutError:
                self._log.error("the web server did not end in time; killed", pid=child.pid)
                child.kill()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None


async def _line(child: Child) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    said = b""
    while not said.endswith(b"\n"):
        chunk = await loop.sock_recv(child.connection, 65_536)
        if not chunk:
            raise Unavailable("the web server ended at its start; see logs/supervisor_service.log")
        said += chunk
    answer: dict[str, Any] = json.loads(said)
    return answer
