"""How is a service told to stop, asked how it is, or made to let go of a request? On its control channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from evolve.errors import EvolveError, InvalidRequest, Malformed, TooLarge, Unavailable, UnknownType
from evolve.messaging.answers import Answers
from evolve.messaging.bus import Bus, Delivery, control_channel
from evolve.messaging.envelope import RequestEnvelope, read_request

NO_ENTRY = ""  # of a message that came on the control channel and stands in no stream


class Control:
    """One replica's ear on its service's control channel. Run `serve` as a task; it ends only when cancelled."""

    def __init__(
        self,
        service: str,
        replica: str,
        bus: Bus,
        answers: Answers,
        *,
        max_bytes: int,
        on_stop: Callable[[], None],
        on_cancel: Callable[[str], None],
    ) -> None:
        self._service, self._replica = service, replica
        self._bus, self._answers, self._max_bytes = bus, answers, max_bytes
        self._on_stop, self._on_cancel = on_stop, on_cancel
        self.listening = asyncio.Event()

    async def serve(self) -> None:
        while True:
            try:
                async for channel, raw in self._bus.listen([control_channel(self._service)]):
                    if not channel:
                        self.listening.set()
                        continue
                    await self._hear(raw)
            except Unavailable:
                await asyncio.sleep(0.5)

    async def _hear(self, raw: bytes) -> None:
        message: RequestEnvelope | None = None
        try:
            message = read_request(raw, max_bytes=self._max_bytes)
            await self._obey(message)
        except Unavailable:
            raise
        except EvolveError as error:
            if await self._leads():
                named = message is not None and message.request_id is not None
                keep = isinstance(error, Malformed | TooLarge | UnknownType)
                delivery = Delivery(self._service, "light", NO_ENTRY, raw[: self._max_bytes], named=named)
                await self._bus.refuse(
                    delivery,
                    self._replica,
                    self._answers.error(delivery, message, error),
                    message.reply_to if message else None,
                    reason=f"{error.code}: {error.message}" if keep else None,
                )

    async def _obey(self, message: RequestEnvelope) -> None:
        if message.type == "ping":
            await self._tell(message, "pong", {"replica": self._replica})
        elif message.type in ("status", "start"):
            if await self._leads():
                await self._tell(message, "status", await self._status())
        elif message.type == "stop":
            wanted = message.data.get("replica")
            if wanted not in (None, self._replica):
                await self._check_replica(wanted)
            else:
                await self._tell(message, "status", {**await self._status(), "state": "stopping"})
                self._on_stop()
        elif message.type == "cancel":
            await self._cancel(message)
        else:
            raise UnknownType(f"control has no {message.type!r}; it has ping, status, start, stop and cancel")

    async def _check_replica(self, name: object) -> None:
        living = [info.replica for info in await self._bus.replicas(self._service)]
        if name not in living:
            raise InvalidRequest(f"{self._service} has no replica {name!r}; running: {', '.join(living)}")

    async def _cancel(self, message: RequestEnvelope) -> None:
        wanted = message.data.get("request_id")
        if not isinstance(wanted, str) or not wanted:
            raise Malformed('cancel needs data {"request_id": "…"}')
        if message.sender != "withdraw" and await self._leads():
            # Published by hand: mark it, so that it ends also when it is still queued.
            await self._bus.withdraw(self._service, wanted)
        self._on_cancel(wanted)

    async def _tell(self, message: RequestEnvelope, wire_type: str, data: dict[str, Any]) -> None:
        await self._bus.report(
            self._service, message.reply_to, self._answers.event(wire_type, data, message.request_id)
        )

    async def _leads(self) -> bool:
        """Whether this replica speaks for all of them: the first by name among the living."""
        living = [info.replica for info in await self._bus.replicas(self._service)]
        return not living or living[0] == self._replica

    async def _status(self) -> dict[str, Any]:
        return await service_status(self._bus, self._service)


async def service_status(bus: Bus, service: str) -> dict[str, Any]:
    """The `status` data of the contract, from what the server knows."""
    replicas, queue = await asyncio.gather(bus.replicas(service), bus.queue(service))
    state = "stopped" if not replicas else ("running" if any(r.state == "running" for r in replicas) else "stopping")
    fields = ("replica", "pid", "host", "in_flight", "cpu_s", "rss_mb")
    return {
        "state": state,
        "queued": queue.queued,
        "oldest_s": round(queue.oldest_s, 3),
        "dead": queue.dead,
        "replicas": [{name: getattr(info, name) for name in fields} for info in replicas],
    }
