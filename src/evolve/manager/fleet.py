"""Which processes serve which service? As many fronts as are wanted, forked from one preloaded process, started again when they crash."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from evolve import logs
from evolve.crashes import Crash, note_crash
from evolve.errors import Unavailable
from evolve.manager.scale import last_decisions, remembered
from evolve.messaging.bus import Bus, ReplicaInfo
from evolve.messaging.envelope import dump
from evolve.messaging.forkserver import Child, ForkServer
from evolve.services import SERVICES, service_path
from evolve.settings import Settings

READY_S = 20.0
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.2, 30.0
STEADY_S = 60.0  # a replica that ran this long was healthy: the next crash starts the back-off anew


@dataclass
class _Replica:
    """leaving: it was told to drain, so its end is no crash and it is not one of those that serve."""

    child: Child
    started: float
    leaving: bool = False


@dataclass
class _Supervised:
    """What is wanted of one service, and what runs. turn: starting and scaling look at what runs, and then change it."""

    wanted: int = 0
    replicas: list[_Replica] = field(default_factory=list)
    restarts: int = 0
    failures: int = 0
    started: float = 0.0
    last_error: str = ""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def serving(self) -> list[_Replica]:
        return [replica for replica in self.replicas if not replica.leaving]


class Fleet:
    """spawn: runs a coroutine in the background. A replica that ends unwanted is started again, until `end`."""

    def __init__(
        self, settings: Settings, bus: Bus, nursery: ForkServer, jobs_socket: Path, spawn: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:  # fmt: skip
        self._settings, self._bus, self._nursery, self._jobs_socket = settings, bus, nursery, jobs_socket
        self._spawn = spawn
        self._services: dict[str, _Supervised] = {name: _Supervised() for name in SERVICES}
        self._ending = False
        self._log = logs.logger(service="supervisor")

    def wanted(self, name: str) -> int:
        return self._services[name].wanted

    def any_wanted(self) -> bool:
        return any(service.wanted for service in self._services.values())

    async def end(self) -> None:
        self._ending = True
        await asyncio.gather(*(self.stop(name) for name in SERVICES), return_exceptions=True)

    async def start(self, name: str, replicas: int) -> None:
        """Run at least `replicas` of a service, and as many as it is scaled to; returns once each answers."""
        service_path(name)
        async with self._services[name].turn:
            scale = remembered(self._settings.home).get(name)
            await self._grow(name, max(replicas, scale.low if scale else 0), await self._foreign(name))

    async def scale(self, name: str, replicas: int, *, awake: bool = True) -> None:
        """Run exactly `replicas` of a service: starts what is missing, drains what is too many, the idle ones first.

        awake: also a service that is stopped; without it that stays so.
        """
        service_path(name)
        supervised = self._services[name]
        if not replicas:
            await self.stop(name)
            return
        async with supervised.turn:
            if not (awake or supervised.wanted):
                return
            foreign = await self._foreign(name)
            supervised.wanted = max(0, replicas - len(foreign))
            surplus = len(supervised.serving) + len(foreign) - replicas
            if surplus > 0:
                await self._shrink(name, surplus, foreign)
            else:
                await self._grow(name, replicas, foreign)

    async def _foreign(self, name: str) -> list[ReplicaInfo]:
        """Replicas that serve and were launched by hand, or by the supervisor of another home."""
        ours = {replica.child.pid for replica in self._services[name].replicas}
        running = await self._bus.replicas(name)
        return [info for info in running if info.pid not in ours and info.state == "running" and not _is_dead(info)]

    async def serving(self, name: str) -> int:
        """How many replicas there are, or will be as soon as those that crashed are started again."""
        supervised = self._services[name]
        return max(supervised.wanted, len(supervised.serving)) + len(await self._foreign(name))

    async def _grow(self, name: str, replicas: int, foreign: Sequence[ReplicaInfo]) -> None:
        supervised = self._services[name]
        missing = replicas - len(supervised.serving) - len(foreign)
        # One that crashed and waits to be started again is wanted already.
        supervised.wanted = max(supervised.wanted, len(supervised.serving) + max(0, missing))
        supervised.started = supervised.started or time.time()
        await asyncio.gather(*(self._launch(name) for _ in range(missing)))
        await self._until_ready(name, len(foreign) + len(supervised.serving))

    async def _shrink(self, name: str, surplus: int, foreign: Sequence[ReplicaInfo]) -> None:
        """Drain `surplus` replicas; returns once they are gone. What they cannot finish goes back to the others."""
        supervised = self._services[name]
        in_flight = {info.pid: info.in_flight for info in await self._bus.replicas(name)}
        # Of those that are as idle as each other the youngest: what the older ones loaded and compiled is worth keeping.
        order = sorted(supervised.serving, key=lambda one: (in_flight.get(one.child.pid, 0), -one.started))
        ours = order[:surplus]
        for replica in ours:
            replica.leaving = True
            replica.child.kill(signal.SIGTERM)
        supervised.wanted = len(supervised.serving)
        others = sorted(foreign, key=lambda info: info.in_flight)[: surplus - len(ours)]
        for info in others:
            await self._tell_to_stop(name, replica=info.replica)
        leaving = {info.replica for info in others}
        end = time.monotonic() + self._settings.drain_s + 10.0
        while time.monotonic() < end:
            alive = {info.replica for info in await self._bus.replicas(name)} & leaving if leaving else set()
            if not alive and not any(replica in supervised.replicas for replica in ours):
                return
            await asyncio.sleep(0.02)
        self._kill(name, ours)

    async def _tell_to_stop(self, name: str, **data: str) -> None:
        with contextlib.suppress(Unavailable):
            stop = dump({"type": "stop", "data": data, "timestamp": time.time(), "from": "supervisor"})
            await self._bus.publish_control(name, stop)

    def _kill(self, name: str, replicas: Sequence[_Replica]) -> None:
        for replica in replicas:
            if replica in self._services[name].replicas:
                self._log.error("replica did not drain in time; killed", name=name, pid=replica.child.pid)
                replica.child.kill()

    async def _launch(self, name: str) -> None:
        supervised = self._services[name]
        child = await self._nursery.spawn(
            "evolve.services.launch:front",
            {
                "service_path": service_path(name),
                "settings": self._settings.model_dump(mode="json"),
                "job_server": str(self._jobs_socket),
            },
            death_signal=signal.SIGTERM,
        )
        replica = _Replica(child, time.monotonic())
        supervised.replicas.append(replica)
        self._spawn(self._watch(name, replica))

    async def _watch(self, name: str, replica: _Replica) -> None:
        """Wait for a replica's end; start another if it crashed."""
        status = await replica.child.exited
        replica.child.connection.close()
        supervised = self._services[name]
        supervised.replicas.remove(replica)
        if replica.leaving or status == 0 or len(supervised.serving) >= supervised.wanted:
            # It was told to stop: by us, or by a `stop` message on its control channel.
            if not replica.leaving:
                supervised.wanted = min(supervised.wanted, len(supervised.serving))
            if not supervised.wanted:
                supervised.started = 0.0
            return
        if time.monotonic() - replica.started > STEADY_S:
            supervised.failures = 0
        pause = min(BACKOFF_FIRST_S * 2**supervised.failures, BACKOFF_MAX_S)
        supervised.failures += 1
        supervised.restarts += 1
        supervised.last_error = f"a replica ended with status {status}"
        note_crash(self._settings.run_dir, Crash(name, status, time.time()))
        self._log.error("replica crashed", name=name, status=status, restart_in_s=pause)
        await asyncio.sleep(pause)
        if len(supervised.serving) < supervised.wanted and not self._ending:
            await self._launch(name)

    async def _until_ready(self, name: str, count: int) -> None:
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            alive = [info for info in await self._bus.replicas(name) if info.state == "running"]
            if len(alive) >= count:
                return
            supervised = self._services[name]
            if supervised.failures >= 3:
                break
            await asyncio.sleep(0.02)
        raise Unavailable(
            f"{name} was not ready within {READY_S:g} s ({self._services[name].last_error or 'it does not answer'}); "
            f"see {self._settings.logs / f'{name}_service.log'}"
        )

    async def stop(self, name: str) -> None:
        """Drain all replicas of a service, launched by us or by hand; returns once they are gone."""
        supervised = self._services[name]
        supervised.wanted = 0
        for replica in supervised.replicas:
            replica.child.kill(signal.SIGTERM)
        await self._tell_to_stop(name)
        end = time.monotonic() + self._settings.drain_s + 10.0
        while time.monotonic() < end:
            try:
                alive = await self._bus.replicas(name)
            except Unavailable:
                alive = []
            if not alive and not supervised.replicas:
                break
            await asyncio.sleep(0.02)
        self._kill(name, list(supervised.replicas))

    async def status(self, names: list[str]) -> dict[str, Any]:
        return {"services": {name: await self._status_of(name) for name in names}}

    async def _status_of(self, name: str) -> dict[str, Any]:
        service_path(name)
        supervised = self._services[name]
        try:
            replicas = await self._bus.replicas(name)
        except Unavailable:
            replicas = []  # the server is gone; our own processes are known all the same
        pids = sorted({info.pid for info in replicas} | {replica.child.pid for replica in supervised.replicas})
        if any(info.state == "running" for info in replicas):
            status = "running"
        elif replicas:
            status = "stopping"
        elif supervised.wanted:
            status = "crashed" if supervised.failures else "starting"
        else:
            status = "stopped"
        return {
            "status": status,
            "pids": pids,
            "uptime_s": round(time.time() - supervised.started, 1) if supervised.started and pids else 0.0,
            "restarts": supervised.restarts,
            "log": str(self._settings.logs / f"{name}_service.log"),
            **scaling_of(self._settings, name),
        }


def _is_dead(info: ReplicaInfo) -> bool:
    """Whether a replica of this host was killed so lately that its last heartbeat still counts."""
    return info.host == platform.node() and not psutil.pid_exists(info.pid)


def scaling_of(settings: Settings, name: str) -> dict[str, str]:
    """What status says of a service that was scaled; nothing of one that never was."""
    scale = remembered(settings.home).get(name)
    if scale is None:
        return {}
    last = last_decisions(settings.run_dir).get(name)
    said = f"{last.before} → {last.after}: {last.why}" if scale.follows and last is not None else ""
    return {"scale": str(scale), "scaled": said}
