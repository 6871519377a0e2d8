"""Do the services run, are they of one version, and does anything wait too long? Asked of supervisor and server; nothing is started."""

from __future__ import annotations

import asyncio
import time

from evolve.crashes import crashes
from evolve.errors import Unavailable
from evolve.manager.doctor.finding import Finding, fail, ok, warning
from evolve.manager.manager import ServiceManager
from evolve.messaging import embedded
from evolve.messaging.bus import ALIVE_S, QueueState, ReplicaInfo
from evolve.messaging.connection import client_for, server_for
from evolve.messaging.redis_bus import RedisBus
from evolve.services import SERVICES
from evolve.settings import Settings
from evolve.version import VERSION

HOUR_S = 3600.0
OLD_S = 900.0  # as of the alert: an honest job takes minutes


def services(settings: Settings) -> list[Finding]:
    """States and crashes of the last hour. Raises Unavailable when services of another checkout run in this home."""
    with ServiceManager(settings=settings) as manager:
        status = manager.get_service_status()
    crashed = [name for name, entry in status.items() if entry["status"] == "crashed"]
    stopped = [name for name, entry in status.items() if entry["status"] == "stopped"]
    recent = [crash.service for crash in crashes(settings.run_dir, since=time.time() - HOUR_S)]
    found = []
    if crashed:
        found.append(fail("services", f"crashed, and started again and again: {', '.join(crashed)}", f"its log says why: {status[crashed[0]]['log']}"))  # fmt: skip
    elif recent:
        counts = ", ".join(f"{name} ({recent.count(name)})" for name in dict.fromkeys(recent))
        found.append(warning("services", f"replicas crashed within an hour: {counts}", f"its log says why: {status[recent[0]]['log']}"))  # fmt: skip
    if 0 < len(stopped) < len(status):
        found.append(warning("services", f"not running: {', '.join(stopped)}", "evolve up"))
    if len(stopped) == len(status):
        found.append(ok("services", "none runs; `evolve up` starts them, and `evolve ask` what it needs"))
    return found or [ok("services", f"all {len(status)} run")]


def queues(settings: Settings) -> list[Finding]:
    """Heartbeats, what waits, and dead letters; nothing to say where no server runs."""
    server = server_for(settings)
    if server.kind == "embedded" and not embedded.is_running(settings.home):
        return []

    async def look() -> list[tuple[str, list[ReplicaInfo], QueueState, float]]:
        bus = RedisBus(client_for(settings, server=server))
        try:
            return [(name, await bus.replicas(name), await bus.queue(name), await bus.now(name)) for name in SERVICES]
        finally:
            await bus.close()

    try:
        found = asyncio.run(look())
    except Unavailable:
        return []  # what is wrong with the server says the check of the server
    return [_heartbeats(found), _waiting(found), _dead(found)]


def _heartbeats(found: list[tuple[str, list[ReplicaInfo], QueueState, float]]) -> Finding:
    living = [(info, now) for _, replicas, _, now in found for info in replicas]
    if not living:
        return ok("heartbeats", "no replica runs")
    others = sorted({info.version for info, _ in living if info.version and info.version != VERSION})
    if others:
        return warning(
            "heartbeats", f"replicas run other code ({', '.join(others)}) than this ({VERSION})",
            "start them anew, each from this code: evolve down; evolve up",
        )  # fmt: skip
    oldest = max(now - info.at for info, now in living)
    said = f"{len(living)} replicas, the last heartbeat {max(0.0, oldest):.1f} s ago"
    if oldest > ALIVE_S / 2:
        return warning(
            "heartbeats", said, "the machine is too busy, or a replica was stopped by a signal: evolve status"
        )
    return ok("heartbeats", said)


def _waiting(found: list[tuple[str, list[ReplicaInfo], QueueState, float]]) -> Finding:
    alone = [name for name, replicas, queue, _ in found if queue.queued and not replicas]
    if alone:
        return fail("queues", f"requests wait and nobody runs to answer them: {', '.join(alone)}", "evolve up")
    old = [f"{name} {queue.oldest_s:.0f} s" for name, _, queue, _ in found if queue.oldest_s > OLD_S]
    if old:
        return warning("queues", f"the oldest request waits, or is worked at, for long: {', '.join(old)}", "is it a long job (`evolve status`)? else its log; `evolve cancel SERVICE ID` withdraws one")  # fmt: skip
    return ok("queues", f"{sum(queue.queued for _, _, queue, _ in found)} requests wait")


def _dead(found: list[tuple[str, list[ReplicaInfo], QueueState, float]]) -> Finding:
    dead = [f"{queue.dead} of {name}" for name, _, queue, _ in found if queue.dead]
    if dead:
        return warning("dead_letters", f"requests that could not be answered are kept: {', '.join(dead)}", "evolve bus dead list shows why; dead retry or dead drop each")  # fmt: skip
    return ok("dead_letters", "none")
