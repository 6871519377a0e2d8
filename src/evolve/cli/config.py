"""`evolve config`: what the default settings of this home mean."""

from __future__ import annotations

import asyncio
import json
import sys

from evolve.errors import InvalidRequest, Unavailable
from evolve.messaging.connection import client_for, server_for
from evolve.messaging.redis_bus import RedisBus
from evolve.settings import Settings

EMBEDDED = "embedded"


def redis(url: str | None) -> None:
    """Show, or choose, the server that default host and port mean. A chosen one must answer now."""
    settings = Settings.load()
    path = settings.home / "config.json"
    if url is None:
        server = server_for(settings)
        print(f"{server.kind}: {server.redis_cli}")
        return
    if url == EMBEDDED:
        path.unlink(missing_ok=True)
        print("the embedded server of this home is used again")
        return
    if not url.startswith(("redis://", "rediss://", "unix://", "redis+", "rediss+")):
        raise InvalidRequest(
            f"{url!r} is no server: use redis://host:port/db, rediss://…, unix:///path, redis+sentinel://… or redis+cluster://…"
        )
    chosen = settings.model_copy(update={"redis_url": url})

    async def check() -> None:
        bus = RedisBus(client_for(chosen))
        try:
            await bus.now("evolve")
            for hazard in await bus.hazards():
                print(f"warning: {hazard}", file=sys.stderr)
        finally:
            await bus.close()

    asyncio.run(check())
    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(json.dumps({"redis_url": url}) + "\n")
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}; set EVOLVE_HOME to a writable directory") from None
    print(f"from now on the defaults mean {server_for(settings).redis_cli}")
