"""Who watches for what is to be told? A thread beside each replica of the updater; the one that leads judges and sends.

It sees what replicas leave on the bus (how long requests wait, dead letters) and what the supervisor noted of crashes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.alerts import Observation
from evolve.clock import SYSTEM_CLOCK
from evolve.crashes import crashes
from evolve.messaging.bus import QueueState
from evolve.messaging.connection import bus_for
from evolve.services import SERVICES
from evolve.services.keeper import Duty, Keeper
from evolve.settings import Settings

if TYPE_CHECKING:
    from evolve.agents.alert_desk import AlertDesk

CRASH_WINDOW_S = 600.0  # a service that crashes again and again is one alert, over when it has run ten minutes


class AlertKeeper(Keeper):
    name = "alerts"
    trouble = "no alerts are sent"

    def duty(self, holder: str) -> Duty:
        from evolve.agents.alert_desk import AlertDesk
        from evolve.alerting.delivery import deliver
        from evolve.memory.database import Database

        desk = AlertDesk.over(
            Database.open(self._settings),
            lambda rule, alert, now: deliver(rule, alert, self._settings, now=now),
            holder=holder,
        )
        return _Watching(desk, self._settings)


@dataclass(frozen=True, slots=True)
class _Watching:
    desk: AlertDesk
    settings: Settings

    def step(self) -> int:
        return self.desk.step(lambda: asyncio.run(service_observations(self.settings)))

    def resign(self) -> None:
        self.desk.resign()


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
