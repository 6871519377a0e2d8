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


def redis(url: str | None, *, as_json: bool) -> None:
    """Show, or choose, the server that default host and port mean. A chosen one must answer now."""
    settings = Settings.load()
    path = settings.home / "config.json"
    if url is None:
        _show(settings, "{kind}: {server}", as_json)
        return
    if url == EMBEDDED:
        path.unlink(missing_ok=True)
        _show(settings, "the embedded server of this home is used again", as_json)
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
    _show(settings, "from now on the defaults mean {server}", as_json)


def _show(settings: Settings, sentence: str, as_json: bool) -> None:
    """What the default settings mean now."""
    found = server_for(settings)
    meant = {"kind": found.kind, "server": found.redis_cli}
    print(json.dumps(meant, indent=2) if as_json else sentence.format(**meant))
