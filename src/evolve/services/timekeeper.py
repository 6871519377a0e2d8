"""Who starts the rounds of the timetable? A thread beside each replica of the updater; the one that leads sends what is due.

Rounds are messages like any other, under a name made of symbol and time: one that is sent twice is carried out once.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from typing import TYPE_CHECKING

from evolve import logs
from evolve.clock import SYSTEM_CLOCK
from evolve.contracts.updater import AutoUpdate
from evolve.errors import EvolveError
from evolve.messaging.connection import bus_for
from evolve.messaging.envelope import RequestEnvelope, new_request_id
from evolve.settings import Settings

if TYPE_CHECKING:
    from evolve.agents.timetable import Round

POLL_S = 5.0  # a timetable is by the minute


class Timekeeper:
    """Runs from `start` to `stop`. What goes wrong is logged, and tried again at the next look."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="timetable", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(POLL_S)

    def _keep(self) -> None:
        # Not before the first pause: a replica answers sooner without it, and most homes watch nothing.
        if self._ending.wait(POLL_S):
            return
        from evolve.agents.timetable import Timetable
        from evolve.memory.database import Database

        said = ""
        log = logs.logger(service="updater")
        timetable: Timetable | None = None
        while True:
            try:
                if timetable is None:
                    holder = f"{socket.gethostname()}-{os.getpid()}-{new_request_id()[:8]}"
                    timetable = Timetable.over(Database.open(self._settings), holder=holder)
                timetable.step(self._send)
                said = ""
            except EvolveError as error:
                if error.message != said:  # once, not every five seconds
                    log.error("the timetable stands still", error=error.message)
                said = error.message
            if self._ending.wait(POLL_S):
                break
        if timetable is not None:
            try:
                timetable.resign()
            except EvolveError as error:
                log.warning("the lead lapses by itself", error=error.message)

    def _send(self, due: Round) -> None:
        asyncio.run(send_round(self._settings, due))


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
