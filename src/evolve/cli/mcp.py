"""`evolve mcp`: serve assistants until they hang up."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evolve.errors import MissingExtra
from evolve.settings import Settings

if TYPE_CHECKING:
    from evolve.mcp.transport import Place


def serve(*, http: bool, host: str, port: int, names: Sequence[str], allow_run: bool, limit_s: float | None) -> None:
    """Raises MissingExtra without the package `mcp`, InvalidRequest for a place that would be unsafe."""
    try:
        import mcp  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "`evolve mcp` needs the package mcp; install it with: pip install 'evolve-trading[mcp]'", extra="mcp"
        ) from None
    from evolve.mcp.transport import place_for

    settings = Settings.load()
    place: Place | None = None
    if http:
        place, made = place_for(host, port, names, settings.mcp_token, allow_run=allow_run)
        if made:
            print(f"token (until this server ends; EVOLVE_MCP_TOKEN sets one): {place.token}", file=sys.stderr)
    if allow_run:
        from evolve.quant_gpt import start_missing

        for line in start_missing(settings, idle_stop=True):
            print(line, file=sys.stderr, flush=True)
    if place is None and sys.stdin.isatty():
        print(
            "waiting for an assistant on standard input (docs/mcp.md says how to set one up; Ctrl-D ends)",
            file=sys.stderr,
        )
    asyncio.run(_serve(settings, place, allow_run=allow_run, limit_s=limit_s))


async def _serve(settings: Settings, place: Place | None, *, allow_run: bool, limit_s: float | None) -> None:
    from evolve.client.core import AsyncClient
    from evolve.mcp.calls import LIMIT_S, Caller
    from evolve.mcp.server import mcp_server
    from evolve.mcp.transport import serve_http, serve_pipe

    async with AsyncClient(settings=settings, traced_as="mcp") as client:
        server = mcp_server(Caller(client, allow_run=allow_run, limit_s=limit_s or LIMIT_S))
        await (serve_pipe(server) if place is None else serve_http(server, place))
