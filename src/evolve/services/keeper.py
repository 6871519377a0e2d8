"""How is a duty kept that only one replica may have? By a thread beside each of them; the one that leads does it.

Who leads is decided in the database, for a term (see `memory.leadership`): the duty claims it, and writes behind its fence.
"""

from __future__ import annotations

import os
import socket
import threading
from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

from evolve import logs
from evolve.errors import EvolveError
from evolve.messaging.envelope import new_request_id
from evolve.settings import Settings

POLL_S = 5.0  # a timetable is by the minute, and who is told within seconds is told soon


class Duty(Protocol):
    """What one step does it claims to lead for; `resign` gives the lead up."""

    def step(self) -> object: ...
    def resign(self) -> None: ...


class Keeper(ABC):
    """Runs from `start` to `stop`. What goes wrong is logged once, and tried again at the next look."""

    name: ClassVar[str]
    trouble: ClassVar[str]  # how a failed step is logged

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=self.name, daemon=True)

    @abstractmethod
    def duty(self, holder: str) -> Duty:
        """Made at the first look, with what it imports: a replica answers sooner without. holder: a name that no other process has."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(POLL_S)

    def _keep(self) -> None:
        log = logs.logger(service="updater")
        duty: Duty | None = None
        said = ""
        # Not before the first pause: a replica answers sooner without it, and most homes give it nothing to do.
        while not self._ending.wait(POLL_S):
            try:
                duty = duty or self.duty(f"{socket.gethostname()}-{os.getpid()}-{new_request_id()[:8]}")
                duty.step()
                said = ""
            except EvolveError as error:
                if error.message != said:  # once, not every five seconds
                    log.error(self.trouble, error=error.message)
                said = error.message
        if duty is not None:
            try:
                duty.resign()
            except EvolveError as error:
                log.warning("the lead lapses by itself", error=error.message)
