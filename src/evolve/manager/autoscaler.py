"""Who looks at the work that waits, and has replicas started and stopped by it? One loop of the supervisor; the rule is `autoscaling`."""

from __future__ import annotations

import asyncio
import time

import psutil

from evolve import logs
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import EvolveError, Unavailable
from evolve.manager.autoscaling import Memory, Policy, Seen, decide
from evolve.manager.fleet import Fleet
from evolve.manager.scale import Scale, Scaled, note_scaled, remembered
from evolve.messaging.bus import Bus
from evolve.messaging.service import load_service
from evolve.messaging.tasks import end_tasks
from evolve.services import service_path
from evolve.settings import Settings

LOOK_S = 1.0
JOB_MB = 350.0  # twice what a job process was measured to take (docs/capacity.md): networks and boosted trees load more than ridge does
KEPT_FREE = 0.1  # of the machine's memory: for what is cached, and for programs that are not ours


class Autoscaler:
    """Run `serve` as a task; it ends only when cancelled. A service that is stopped stays so: only what serves is scaled."""

    def __init__(self, settings: Settings, bus: Bus, fleet: Fleet, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings, self._bus, self._fleet, self._clock = settings, bus, fleet, clock
        self._policy = Policy(
            old_s=settings.scale_old_s, settle_s=settings.scale_settle_s, calm_s=settings.scale_calm_s
        )
        self._memories: dict[str, Memory] = {}  # one per service
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, str] = {}  # why a service was not scaled, said once
        self._log = logs.logger(service="supervisor")

    def forget(self, name: str) -> None:
        """What was seen before a new range was given says nothing under it."""
        self._memories.pop(name, None)

    async def serve(self) -> None:
        try:
            await self._watch()
        finally:
            await end_tasks(list(self._looking.values()))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            for name, scale in remembered(self._settings.home).items():
                looking = self._looking.get(name)
                # One that drains a replica keeps no other service waiting.
                if scale.follows and self._fleet.wanted(name) and (looking is None or looking.done()):
                    self._looking[name] = asyncio.create_task(self._look(name, scale), name=f"scale {name}")

    async def _look(self, name: str, scale: Scale) -> None:
        try:
            await self._step(name, scale)
        except Unavailable as error:
            self._log.warning("not scaled", name=name, error=error.message)
        except EvolveError as error:
            self._log.error("not scaled", name=name, error=error.message)

    async def _step(self, name: str, scale: Scale) -> None:
        lanes = (await self._bus.lanes(name)).values()
        fronts = await self._bus.replicas(name)
        seen = Seen(
            at=self._clock.monotonic(),
            replicas=max(1, await self._fleet.serving(name)),
            in_work=sum(lane.in_work for lane in lanes),
            waiting=sum(lane.waiting for lane in lanes),
            oldest_s=max(lane.waiting_oldest_s for lane in lanes),
            room=room_for(
                psutil.virtual_memory().available / 2**20,
                psutil.virtual_memory().total / 2**20,
                replica_mb=self._replica_mb(name, [info.rss_mb for info in fronts]),
            ),
        )
        verdict = decide(seen, scale, self._memories.get(name, Memory()), self._policy)
        self._memories[name] = verdict.memory
        if verdict.replicas == seen.replicas:
            if verdict.why and self._held.get(name) != verdict.why.partition(",")[2]:
                self._held[name] = verdict.why.partition(",")[
                    2
                ]  # the reason, without figures that change with every look
                self._log.warning("cannot scale up", name=name, why=verdict.why)
            return
        self._held.pop(name, None)
        self._log.info("scaling", name=name, before=seen.replicas, after=verdict.replicas, why=verdict.why)
        note_scaled(self._settings.run_dir, Scaled(name, seen.replicas, verdict.replicas, verdict.why, time.time()))
        await self._fleet.scale(name, verdict.replicas, awake=False)

    def _replica_mb(self, name: str, fronts_mb: list[float]) -> float:
        """What one more replica may take: a front like those that run, and a job process for each of its slots if it does heavy work."""
        front = max(fronts_mb, default=50.0)
        heavy = any(handler.request.slot == "heavy" for handler in load_service(service_path(name)).handlers.values())
        slots = self._settings.service(name, "slots", psutil.cpu_count() or 1, at_least=1) if heavy else 0
        return front + slots * JOB_MB


def room_for(available_mb: float, total_mb: float, *, replica_mb: float) -> int:
    """How many more replicas fit into the memory that is free, less what is kept free."""
    return max(0, int((available_mb - KEPT_FREE * total_mb) // replica_mb))
