"""One asynchronous core for every client: typed requests in, typed replies or errors out."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from evolve.clock import SYSTEM_CLOCK
from evolve.errors import Cancelled, EvolveError, InvalidRequest, Unavailable
from evolve.messaging import acl
from evolve.messaging.asker import Asker, ProgressCallback
from evolve.messaging.bus import Bus, Lane
from evolve.messaging.connection import bus_for
from evolve.messaging.control import service_status
from evolve.messaging.envelope import MAX_REQUEST_ID, RequestEnvelope, dump, error_in, load, new_request_id, raise_error
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import load_service
from evolve.messaging.tracing import OFF, Span, current, tracer_for
from evolve.services import SERVICES, service_path
from evolve.settings import Settings

ReplyT = TypeVar("ReplyT", bound=Reply)
PING_S = 2.0


class AsyncClient:
    """Asks services from an event loop. Connects at the first request; `async with` closes it."""

    def __init__(
        self,
        redis_host: str = "localhost",
        redis_port: int = 6379,
        redis_db: int = 0,
        *,
        settings: Settings | None = None,
        traced_as: str = "client",
    ) -> None:
        self.settings: Settings = (
            settings if settings is not None else Settings.for_server(redis_host, redis_port, redis_db)
        )
        self._bus: Bus | None = None
        self._asker: Asker | None = None
        self._traced_as = traced_as

    async def ask(
        self,
        request: Request[ReplyT],
        *,
        timeout: float | None = None,
        on_progress: ProgressCallback | None = None,
        request_id: str | None = None,
        asked_by: str | None = None,
    ) -> ReplyT:
        """The typed reply. Raises the typed error of the service, TimedOut, or Unavailable.

        timeout: seconds; default what the request declares, else EVOLVE_RESPONSE_TIMEOUT (30). asked_by: who stands behind it, for the
        record; this client where nobody is named.
        Cancelling this coroutine withdraws the request, so that the job behind it stops too.
        """
        envelope = await self.request(
            request.service,
            request.wire_type,
            request.model_dump(mode="json"),
            timeout=timeout if timeout is not None else self.timeout_for(type(request)),
            on_progress=on_progress,
            request_id=request_id,
            asked_by=asked_by,
        )
        raise_error(envelope)
        return request.reply_type.model_validate(envelope["data"])  # type: ignore[return-value]

    async def request(
        self,
        service: str,
        wire_type: str,
        data: Mapping[str, Any],
        *,
        timeout: float | None = None,
        on_progress: ProgressCallback | None = None,
        request_id: str | None = None,
        wait: bool = True,
        patient: bool = False,
        asked_by: str | None = None,
    ) -> dict[str, Any]:
        """The response envelope, success or error, of any message. With wait=False: which id it was queued under.

        patient: wait for as long as it takes, also for a service that is down; cancelling only stops waiting, and the request goes on.
        """
        service_path(service)
        _check_sendable(data, request_id)
        asker, id = self._connected(), request_id or new_request_id()
        with self._traced(service, wire_type, id) as span:
            envelope = RequestEnvelope(
                type=wire_type,
                data=dict(data),
                timestamp=SYSTEM_CLOCK.now(),
                request_id=id,
                reply_to=asker.name,
                sender=asked_by or asker.name,
                traceparent=span.traceparent,
            )
            lane = lane_of(service, wire_type)
            if not wait:
                await asker.send(service, lane, envelope)
                return {"type": "queued", "service": service, "status": "success", "data": {}, "request_id": id}
            limit = timeout if timeout is not None or patient else self.settings.response_timeout_s
            try:
                reply = await asker.ask(
                    service, lane, envelope, timeout_s=limit, on_progress=on_progress, must_live=not patient
                )
            except asyncio.CancelledError:
                if not patient:
                    with contextlib.suppress(EvolveError):
                        await asyncio.shield(asker.withdraw(service, id))
                raise
            if reply.get("status") == "error":
                span.fail(error_in(reply).code)
            return reply

    @contextlib.contextmanager
    def _traced(self, service: str, wire_type: str, request_id: str) -> Iterator[Span]:
        """The span of one ask, within what this task works on."""
        span = tracer_for(self.settings, self._traced_as).span(
            f"ask {service}.{wire_type}",
            kind="client",
            parent=current.get(),
            attributes={"messaging.destination.name": service, "messaging.message.id": request_id},
        )
        try:
            yield span
        except EvolveError as error:
            span.fail(error.code)
            raise
        except asyncio.CancelledError:
            span.fail(Cancelled.code)
            raise
        finally:
            span.end()

    async def ping(self, service: str, *, timeout: float = PING_S) -> dict[str, Any]:
        """The first replica's `pong`. Raises Unavailable."""
        service_path(service)
        return await self._connected().control(service, "ping", {}, timeout_s=timeout)

    async def status(self, service: str) -> dict[str, Any]:
        """The `status` envelope; read from the server itself where no replica and no supervisor answers."""
        service_path(service)
        try:
            return await self._connected().control(service, "status", {}, timeout_s=PING_S)
        except Unavailable:
            data = await service_status(self.bus, service)
            return {
                "type": "status",
                "service": service,
                "status": "success",
                "data": data,
                "timestamp": SYSTEM_CLOCK.now(),
            }

    async def late_reply(self, service: str, request_id: str) -> dict[str, Any] | None:
        """The reply to an earlier request, kept for a day; None while it is not done."""
        service_path(service)
        self._connected()
        raw = await self.bus.stored_reply(service, request_id)
        return None if raw is None else dict(load(raw, max_bytes=self.settings.max_reply_bytes))

    async def cancel(self, service: str, request_id: str) -> bool:
        """Withdraw a request, queued or running. False if it was done already."""
        service_path(service)
        return await self._connected().withdraw(service, request_id)

    def timeout_for(self, request: type[Request[Any]]) -> float:
        """What the user configured, the usual 30 s too, else what this kind of request usually needs."""
        if "response_timeout_s" in self.settings.model_fields_set:
            return self.settings.response_timeout_s
        # A request whose work has a limit of its own is waited for that long.
        usual = getattr(request, "usual_wait_s", None)
        waits = request.waits if usual is None else usual(self.settings)
        return self.settings.response_timeout_s if waits is None else float(waits)

    @property
    def bus(self) -> Bus:
        self._connected()
        if self._bus is None:
            raise Unavailable("the client is closed")
        return self._bus

    def _connected(self) -> Asker:
        if self._asker is None:
            self._bus = bus_for(self.settings)
            # By the name of its user on the server, whose ACL lets it read the replies to that name only (acl.py).
            asker = self.settings.redis_username or acl.CLIENT
            self._asker = Asker(
                self._bus,
                name=f"{asker}-{new_request_id()}",
                max_bytes=self.settings.max_message_bytes,
                max_reply_bytes=self.settings.max_reply_bytes,
            )
        return self._asker

    async def close(self) -> None:
        if self._asker is not None:
            await self._asker.close()
            self._asker = None
        if self._bus is not None:
            await self._bus.close()
            self._bus = None
        tracer = tracer_for(self.settings, self._traced_as)
        if tracer is not OFF:
            await asyncio.to_thread(tracer.flush)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _check_sendable(data: object, request_id: str | None) -> None:
    """Raise InvalidRequest for what no service could read: it would only time out."""
    if not isinstance(data, Mapping):
        raise InvalidRequest(f"data must be an object such as {{'symbol': 'AAPL'}}, not {type(data).__name__}")
    try:
        dump(data)
    except TypeError as error:
        raise InvalidRequest(f"data cannot be sent as JSON: {error}") from None
    if request_id is not None and not 0 < len(request_id) <= MAX_REQUEST_ID:
        raise InvalidRequest(f"request_id must have 1 to {MAX_REQUEST_ID} characters, not {len(request_id)}")


def requests_of(service: str) -> dict[str, type[Request[Any]]]:
    """Wire type → request class of a service."""
    return {name: handler.request for name, handler in load_service(service_path(service)).handlers.items()}


def all_requests() -> dict[str, dict[str, type[Request[Any]]]]:
    """Service → wire type → request class, of every registered service."""
    return {service: requests_of(service) for service in SERVICES}


@functools.lru_cache(maxsize=1_024)  # ten times all there are: a caller may ask for what does not exist
def lane_of(service: str, wire_type: str) -> Lane:
    request = requests_of(service).get(wire_type)
    return "heavy" if request is not None and request.slot == "heavy" else "light"
