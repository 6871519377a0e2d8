"""How does an assistant's call become a request on the bus? Asked once, watched, ended when the assistant no longer wants it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Protocol

import anyio

from evolve.client.core import AsyncClient
from evolve.errors import Forbidden
from evolve.mcp.results import Told
from evolve.messaging.envelope import new_request_id, raise_error
from evolve.messaging.messages import Request

LIMIT_S = 900.0  # as long as a question with several models to build may take
NEWS = 64  # progress events that wait for a slow assistant; older ones are dropped, never the work
LEAVE_S = 2.0  # for telling the service that nobody waits any more


class Listener(Protocol):
    """Whoever asked: hears how far the work is. The MCP session is one."""

    async def report_progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None: ...


class Caller:
    """Asks the services for an assistant. allow_run: whether it may start work; limit_s: the longest wait for one reply."""

    def __init__(self, client: AsyncClient, *, allow_run: bool = False, limit_s: float = LIMIT_S) -> None:
        self.client, self.allow_run, self.limit_s = client, allow_run, limit_s

    def check(self, request: type[Request[Any]]) -> None:
        """Raises Forbidden for what the user did not allow."""
        if self.allow_run or request.effect == "read":
            return
        does = "starts work" if request.effect == "run" else "changes what others rely on"
        raise Forbidden(
            f"{request.service} {request.wire_type} {does}, and this server is read-only: "
            "the user can start it with `evolve mcp --allow-run`"
        )

    async def ask(self, request: Request[Any], listener: Listener | None = None) -> Told:
        """The reply. Raises the typed errors. Cancelling this coroutine withdraws the request before it returns."""
        self.check(type(request))
        id, news = new_request_id(), News()
        began = time.perf_counter()
        asking = asyncio.create_task(
            self.client.request(
                request.service,
                request.wire_type,
                request.model_dump(mode="json"),
                timeout=min(self.limit_s, self.client.timeout_for(type(request))),
                on_progress=None if listener is None else news.hear,
                request_id=id,
            )
        )
        telling = None if listener is None else asyncio.create_task(news.tell(listener))
        try:
            await asyncio.wait([asking])
            if telling is not None:
                news.end()
                await telling
        finally:
            await _ended(asking, telling)
        envelope = asking.result()
        raise_error(envelope)
        data: Mapping[str, Any] = envelope["data"]
        return Told(request.service, str(envelope["type"]), id, time.perf_counter() - began, data)


async def _ended(*tasks: asyncio.Task[Any] | None) -> None:
    """Whatever of these still runs is cancelled and waited for, also while the caller itself is being cancelled."""
    open_still = [task for task in tasks if task is not None and not task.done()]
    for task in open_still:
        task.cancel()
    if open_still:
        with anyio.CancelScope(shield=True):
            await asyncio.wait(open_still, timeout=LEAVE_S)


class News:
    """A job's progress on its way to the assistant: in order, the latest first to survive, and always rising."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue(NEWS)
        self._stages: dict[str, float] = {}
        self._last = 0.0

    def hear(self, event: Mapping[str, Any]) -> None:
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(event)

    def end(self) -> None:
        self._waiting.put_nowait(None) if not self._waiting.full() else self.hear({})

    async def tell(self, listener: Listener) -> None:
        """Until `end`."""
        while event := await self._waiting.get():
            message = f"{event['stage']} {event['done']:g} of {event['total']:g}: {event['message']}".rstrip(": ")
            await listener.report_progress(self.rising(event), None, message)

    def rising(self, event: Mapping[str, Any]) -> float:
        """Stages done, and the share of those under way: the protocol wants a number that only rises."""
        total = float(event["total"]) or 1.0
        self._stages[str(event["stage"])] = min(1.0, float(event["done"]) / total)
        self._last = max(sum(self._stages.values()), self._last + 1e-6)
        return self._last
