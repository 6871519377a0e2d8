"""Who starts the rounds of the timetable? A thread beside each replica of the updater; the one that leads sends what is due.

Rounds are messages like any other, under a name made of symbol and time: one that is sent twice is carried out once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.clock import SYSTEM_CLOCK
from evolve.contracts.updater import AutoUpdate
from evolve.messaging.connection import bus_for
from evolve.messaging.envelope import RequestEnvelope
from evolve.services.keeper import Duty, Keeper
from evolve.settings import Settings

if TYPE_CHECKING:
    from evolve.agents.timetable import Round, Timetable
    from evolve.messaging.redis_bus import RedisBus


class Timekeeper(Keeper):
    name = "timetable"
    trouble = "the timetable stands still"

    def duty(self, holder: str) -> Duty:
        from evolve.agents.timetable import Timetable
        from evolve.memory.database import Database

        return _Sending(Timetable.over(Database.open(self._settings), holder=holder), self._settings)


@dataclass(frozen=True, slots=True)
class _Sending:
    timetable: Timetable
    settings: Settings

    def step(self) -> int:
        with RoundSender(self.settings) as sender:
            return self.timetable.step(sender.send)

    def resign(self) -> None:
        self.timetable.resign()


class RoundSender:
    """Queues rounds over one connection, made for the first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.Runner()
        self._bus: RedisBus | None = None

    def __enter__(self) -> RoundSender:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bus is not None:
            self._loop.run(self._bus.close())
        self._loop.close()

    def send(self, due: Round) -> None:
        """Raises Unavailable, Busy."""
        request = AutoUpdate(symbol=due.symbol, timeframe=due.timeframe, scheduled_for=due.at)
        envelope = RequestEnvelope(
            AutoUpdate.wire_type, request.model_dump(mode="json"), timestamp=SYSTEM_CLOCK.now(), request_id=due.name, sender="timetable"
        )  # fmt: skip
        self._loop.run(self._send(envelope, due.name))

    async def _send(self, envelope: RequestEnvelope, name: str) -> None:
        self._bus = self._bus or bus_for(self._settings)  # in its loop
        await self._bus.send(AutoUpdate.service, "heavy", envelope.to_bytes(), request_id=name)
