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
        return self.timetable.step(lambda due: asyncio.run(send_round(self.settings, due)))

    def resign(self) -> None:
        self.timetable.resign()


async def send_round(settings: Settings, due: Round) -> None:
    """Queue one round. Raises Unavailable, Busy."""
    request = AutoUpdate(symbol=due.symbol, timeframe=due.timeframe, scheduled_for=due.at)
    envelope = RequestEnvelope(
        AutoUpdate.wire_type, request.model_dump(mode="json"), timestamp=SYSTEM_CLOCK.now(), request_id=due.name, sender="timetable"
    )  # fmt: skip
    bus = bus_for(settings)
    try:
        await bus.send(AutoUpdate.service, "heavy", envelope.to_bytes(), request_id=due.name)
    finally:
        await bus.close()
