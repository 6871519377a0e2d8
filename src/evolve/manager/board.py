"""What is everybody doing right now? Two looks at the server, and what changed between them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolve.clock import Clock
from evolve.messaging.bus import Bus, QueueState, ReplicaInfo

LOOK_S = 5.0  # a look that takes longer is a server that does not answer


@dataclass(frozen=True, slots=True)
class Look:
    """One moment. at: monotonic seconds."""

    at: float
    replicas: Mapping[str, tuple[ReplicaInfo, ...]]
    queues: Mapping[str, QueueState]


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """cpu: share of one core that the fronts used since the look before (jobs are not in it), None in the first look; oldest_s: age of the oldest request that waits."""

    service: str
    state: str
    replicas: int
    in_flight: int
    queued: int
    oldest_s: float
    dead: int
    cpu: float | None
    rss_mb: float


async def look(bus: Bus, services: Sequence[str], clock: Clock) -> Look:
    """Raises Unavailable where the server does not answer, TimeoutError after `LOOK_S`."""
    async with asyncio.timeout(LOOK_S):
        replicas = await asyncio.gather(*(bus.replicas(service) for service in services))
        queues = await asyncio.gather(*(bus.queue(service) for service in services))
    return Look(
        clock.monotonic(),
        {service: tuple(found) for service, found in zip(services, replicas, strict=True)},
        dict(zip(services, queues, strict=True)),
    )


def rows(now: Look, before: Look | None = None) -> tuple[ServiceRow, ...]:
    """By service, in the order they were looked at."""
    return tuple(_row(service, now, before) for service in now.replicas)


def _row(service: str, now: Look, before: Look | None) -> ServiceRow:
    replicas, queue = now.replicas[service], now.queues[service]
    state = "stopped" if not replicas else "running" if any(one.state == "running" for one in replicas) else "stopping"
    return ServiceRow(
        service=service,
        state=state,
        replicas=len(replicas),
        in_flight=sum(one.in_flight for one in replicas),
        queued=queue.queued,
        oldest_s=queue.oldest_s,
        dead=queue.dead,
        cpu=None if before is None else _cpu(service, now, before),
        rss_mb=sum(one.rss_mb for one in replicas),
    )


def _cpu(service: str, now: Look, before: Look) -> float:
    """Of replicas that both looks saw: one that was started between them has no earlier count."""
    earlier = {one.replica: one.cpu_s for one in before.replicas.get(service, ())}
    spent = sum(one.cpu_s - earlier[one.replica] for one in now.replicas[service] if one.replica in earlier)
    return max(0.0, spent) / max(now.at - before.at, 1e-9)
