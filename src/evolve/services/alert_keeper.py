"""Who watches for what is to be told? A thread beside each replica of the updater; the one that leads judges and sends.

It sees what replicas leave on the bus (how long requests wait, dead letters) and what the supervisor noted of crashes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Sequence

from evolve import logs
from evolve.alerts import Observation
from evolve.clock import SYSTEM_CLOCK
from evolve.crashes import crashes
from evolve.errors import EvolveError
from evolve.messaging.bus import QueueState
from evolve.messaging.connection import bus_for
from evolve.messaging.envelope import new_request_id
from evolve.services import SERVICES
from evolve.settings import Settings

POLL_S = 5.0
CRASH_WINDOW_S = 600.0  # a service that crashes again and again is one alert, over when it has run ten minutes


class AlertKeeper:
    """Runs from `start` to `stop`. What goes wrong is logged once, and tried again at the next look."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="alerts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(POLL_S)

    def _keep(self) -> None:
        # Not before the first pause: a replica answers sooner without it, and most homes have no rules.
        if self._ending.wait(POLL_S):
            return
        from evolve.agents.alert_desk import AlertDesk
        from evolve.alerting.delivery import deliver
        from evolve.memory.database import Database

        said, log, desk = "", logs.logger(service="updater"), None
        while True:
            try:
                if desk is None:
                    holder = f"{socket.gethostname()}-{os.getpid()}-{new_request_id()[:8]}"
                    desk = AlertDesk.over(
                        Database.open(self._settings),
                        lambda rule, alert, now: deliver(rule, alert, self._settings, now=now),
                        holder=holder,
                    )
                desk.step(lambda: asyncio.run(service_observations(self._settings)))
                said = ""
            except EvolveError as error:
                if error.message != said:  # once, not every five seconds
                    log.error("no alerts are sent", error=error.message)
                said = error.message
            if self._ending.wait(POLL_S):
                break
        if desk is not None:
            try:
                desk.resign()
            except EvolveError as error:
                log.warning("the lead lapses by itself", error=error.message)


async def service_observations(settings: Settings) -> list[Observation]:
    """How every service does now. Raises Unavailable."""
    bus = bus_for(settings)
    try:
        queues = await asyncio.gather(*(bus.queue(name) for name in SERVICES))
    finally:
        await bus.close()
    now = SYSTEM_CLOCK.now()
    recent = crashes(settings.run_dir, since=now - CRASH_WINDOW_S)
    found: list[Observation] = []
    for name, queue in zip(SERVICES, queues, strict=True):
        found += observations_of(name, queue, [crash.status for crash in recent if crash.service == name], now)
    return found


def observations_of(service: str, queue: QueueState, crashed: Sequence[int], now: float) -> list[Observation]:
    """What one service's queue, dead letters and crashes of the last ten minutes (their exit statuses) say."""
    times = f"{len(crashed)} time{'s' * (len(crashed) != 1)}"
    died = f"a replica of {service} crashed {times} within {CRASH_WINDOW_S / 60:g} minutes (status {', '.join(map(str, crashed))}) and was started again; `evolve status` names its log"  # fmt: skip
    calm = f"no replica of {service} crashed within {CRASH_WINDOW_S / 60:g} minutes"
    many, unanswered = _requests(queue.queued), _requests(queue.dead)
    waits = f"{many} wait{'s' * (queue.queued == 1)} for {service}, the oldest for {queue.oldest_s:.0f} s; `evolve status` shows whether it runs"
    dead = f"{unanswered} to {service} could not be answered; `evolve bus dead list {service}` shows why"
    return [
        Observation("crash", service, float(len(crashed)), died if crashed else calm, now),
        Observation("queue_age", service, queue.oldest_s, waits, now),
        Observation("dead_letters", service, float(queue.dead), dead, now),
    ]


def _requests(count: int) -> str:
    return f"{count} request{'s' * (count != 1)}"
