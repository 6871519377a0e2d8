"""Does the replica on this host serve? What a container's probe asks: any other replica's answer would hide that its own is stuck."""

from __future__ import annotations

import asyncio
import platform

from evolve.errors import Unavailable
from evolve.messaging.connection import bus_for
from evolve.services import service_path
from evolve.settings import Settings


def replica_here(service: str) -> str:
    """The name of a replica on this host that has reported lately. Raises Unavailable when there is none, UnknownService.

    A replica reports from the loop that takes requests and extends its leases, so one that is stuck is silent.
    """
    service_path(service)
    return asyncio.run(_living(service, Settings.load()))


async def _living(service: str, settings: Settings) -> str:
    bus = bus_for(settings)
    try:
        replicas = await bus.replicas(service)
    finally:
        await bus.close()
    host = platform.node()
    for replica in replicas:
        if replica.host == host:
            return replica.replica
    elsewhere = f"{len(replicas)} elsewhere" if replicas else "nor elsewhere"
    raise Unavailable(f"no replica of {service} serves on {host}, {elsewhere}; its log says why")
