"""Which replicas run without a supervisor? Asked of the server, if one answers; starts nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from evolve.errors import Unavailable
from evolve.messaging import embedded
from evolve.messaging.bus import ReplicaInfo
from evolve.messaging.connection import client_for, server_for
from evolve.messaging.redis_bus import RedisBus
from evolve.settings import Settings


def replicas_by_service(settings: Settings, names: Sequence[str]) -> dict[str, list[ReplicaInfo]]:
    """Living replicas of each service; all empty when the embedded server is down. Raises Unavailable for one given by the user."""
    server = server_for(settings)
    if server.kind == "embedded" and not embedded.is_running(settings.home):
        return {name: [] for name in names}

    async def look() -> dict[str, list[ReplicaInfo]]:
        bus = RedisBus(client_for(settings, server=server))
        try:
            return {name: await bus.replicas(name) for name in names}
        finally:
            await bus.close()

    try:
        return asyncio.run(look())
    except Unavailable as error:
        raise Unavailable(f"{error.message} ({server.redis_cli})") from None
