"""ServiceClient: ask the services from ordinary, synchronous Python.

The listed methods return the response as a dict, with the keys of its `data` lifted to the top level. They never raise for
an error reply, a timeout or a service that is down: they return the error envelope. `ask` is the typed way, and raises.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from evolve.client.core import AsyncClient
from evolve.client.generated import GeneratedMethods
from evolve.clock import SYSTEM_CLOCK
from evolve.errors import EvolveError
from evolve.messaging.asker import ProgressCallback
from evolve.messaging.envelope import error_response
from evolve.messaging.messages import Reply, Request, validated
from evolve.settings import Settings

T = TypeVar("T")
ReplyT = TypeVar("ReplyT", bound=Reply)
CLOSE_S = 5.0


class ServiceClient(GeneratedMethods):
    """A synchronous client. Safe to share between threads; `with` or `close()` lets go of the connection.

    redis_host, redis_port, redis_db: the server; the defaults mean "as configured".
    """

    def __init__(
        self,
        redis_host: str = "localhost",
        redis_port: int = 6379,
        redis_db: int = 0,
        *,
        settings: Settings | None = None,
    ) -> None:
        self._core = AsyncClient(redis_host, redis_port, redis_db, settings=settings)
        self.settings: Settings = self._core.settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def ask(
        self,
        request: Request[ReplyT],
        *,
        timeout: float | None = None,
        on_progress: ProgressCallback | None = None,
        request_id: str | None = None,
    ) -> ReplyT:
        """The typed reply to a typed request. Raises the typed errors; see `AsyncClient.ask`. Ctrl-C cancels the job too."""
        return self._run(self._core.ask(request, timeout=timeout, on_progress=on_progress, request_id=request_id))

    def generate_plot(
        self,
        plot_type: str,
        data_source: str,
        plot_config: Any = None,
        *,
        save_path: str | None = None,
        timeout: float | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> dict[str, Any]:
        """Draw a chart: into `plots/<plot_type>_<Unix seconds>.png` of Evolve's plots directory where no path is given."""
        if save_path is None and isinstance(plot_type, str):
            ending = (plot_config.get("format") if isinstance(plot_config, Mapping) else None) or "png"
            save_path = f"plots/{plot_type}_{int(SYSTEM_CLOCK.now())}.{ending}"
        return super().generate_plot(
            plot_type, data_source, plot_config, save_path=save_path, timeout=timeout, on_progress=on_progress
        )

    def send_request(
        self,
        service_name: str,
        message_type: str,
        data: Mapping[str, Any] | None = None,
        wait_for_response: bool = True,
        *,
        timeout: float | None = None,
        on_progress: ProgressCallback | None = None,
        request_id: str | None = None,
    ) -> dict[str, Any]:
        """Send any message; with wait_for_response=False return at once with the id it was queued under."""
        return self._envelope(
            service_name,
            message_type,
            self._core.request(
                service_name,
                message_type,
                {} if data is None else data,
                timeout=timeout,
                on_progress=on_progress,
                request_id=request_id,
                wait=wait_for_response,
            ),
        )

    def ping_service(self, service_name: str, *, timeout: float = 2.0) -> dict[str, Any]:
        """The first replica's `pong`, or an error envelope."""
        return self._envelope(service_name, "ping", self._core.ping(service_name, timeout=timeout))

    def get_service_status(self, service_name: str) -> dict[str, Any]:
        """State, queue and replicas of a service."""
        return self._envelope(service_name, "status", self._core.status(service_name))

    def get_reply(self, request_id: str, service_name: str | None = None) -> dict[str, Any] | None:
        """The late reply to an earlier request, an error envelope, or None while it is not done. Without a service, all are looked through."""
        from evolve.services import SERVICES

        for service in [service_name] if service_name else list(SERVICES):
            try:
                found = self._run(self._core.late_reply(service, request_id))
            except EvolveError as error:
                return lifted(self._error(service, "get_reply", error))
            if found is not None:
                return lifted(found)
        return None

    def cancel(self, request_id: str, service_name: str | None = None) -> bool:
        """Withdraw a request, queued or running. False if it was done already."""
        from evolve.services import SERVICES

        services = [service_name] if service_name else list(SERVICES)
        withdrawn = [self._run(self._core.cancel(service, request_id)) for service in services]
        return any(withdrawn)

    def close(self) -> None:
        """Let go of the connection. A closed client connects again when asked again."""
        if self._loop is None or self._thread is None:
            return
        self._run(self._core.close())
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_S)
        if not loop.is_running():
            loop.close()

    def __enter__(self) -> ServiceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the bridge between threads ---

    def _call(
        self,
        request: type[Request[Any]],
        fields: dict[str, Any],
        *,
        timeout: float | None,
        on_progress: ProgressCallback | None,
    ) -> dict[str, Any]:
        """What every generated method does: validate before any network, ask, lift."""
        try:
            typed = validated(request, fields)
        except EvolveError as error:
            return lifted(self._error(request.service, request.wire_type, error))
        return self._envelope(
            request.service,
            request.wire_type,
            self._core.request(
                request.service,
                request.wire_type,
                typed.model_dump(mode="json"),
                timeout=timeout if timeout is not None else self._core.timeout_for(request),
                on_progress=on_progress,
            ),
        )

    def _envelope(self, service: str, wire_type: str, coroutine: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
        try:
            return lifted(self._run(coroutine))
        except EvolveError as error:
            return lifted(self._error(service, wire_type, error))

    def _error(self, service: str, wire_type: str, error: EvolveError) -> dict[str, Any]:
        request_id = error.details.get("asked_id")
        return error_response(service, error, request_type=wire_type, at=SYSTEM_CLOCK.now(), request_id=request_id)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(coroutine, self._event_loop())
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()  # the coroutine then withdraws its request: Ctrl-C ends the job, not only the wait
            self._settle()
            raise

    def _settle(self) -> None:
        """Give a cancelled request the moment it needs to tell the service."""

        async def others() -> None:
            pending = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            mine = [task for task in pending if not (task.get_name() or "").startswith("replies of")]
            if mine:
                await asyncio.wait(mine, timeout=2.0)

        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(others(), self._loop).result(3.0)

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="evolve client", daemon=True)
                self._thread.start()
            return self._loop


def lifted(envelope: dict[str, Any]) -> dict[str, Any]:
    """The envelope with the keys of its data beside its own; its own win, and `data` stays."""
    return {**(envelope.get("data") or {}), **envelope}
