"""The MCP server as an assistant meets it: over HTTP on a free port, or within the test, with a tenth service behind it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from mcp import Client, types

from evolve.client.core import AsyncClient
from evolve.mcp.calls import LIMIT_S, Caller
from evolve.mcp.server import mcp_server
from evolve.mcp.transport import PATH, Place, http_app, listen
from evolve.settings import Settings


@contextlib.asynccontextmanager
async def http(
    settings: Settings, *, allow_run: bool = True, token: str | None = None, limit_s: float = LIMIT_S
) -> AsyncIterator[str]:
    """A server in this process, so that a test can give it a service of its own. Yields its URL."""
    place = Place(port=0, token=token)
    async with AsyncClient(settings=settings) as client:
        app = http_app(mcp_server(Caller(client, allow_run=allow_run, limit_s=limit_s)), place)
        socket = listen(place)
        # Signals belong to the tests' own process.
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[socket]))
        try:
            yield f"http://127.0.0.1:{socket.getsockname()[1]}{PATH}"
        finally:
            server.should_exit = True
            await serving


@contextlib.asynccontextmanager
async def inside(settings: Settings, *, allow_run: bool = True, limit_s: float = LIMIT_S) -> AsyncIterator[Client]:
    """An assistant in the server's own process: what no transport has a part in."""
    async with AsyncClient(settings=settings) as client:
        server = mcp_server(Caller(client, allow_run=allow_run, limit_s=limit_s))
        async with Client(server) as assistant:
            yield assistant


async def echoed(client: Client, wire_type: str, **data: Any) -> types.CallToolResult:
    """What the tenth service says."""
    return await client.call_tool("run_request", asking(wire_type, **data))


def asking(wire_type: str, **data: Any) -> dict[str, Any]:
    return {"service_name": "echo", "request_type": wire_type, "data": data}


def error_of(result: types.CallToolResult) -> dict[str, Any]:
    assert result.is_error, result
    found: dict[str, Any] = result.structured_content["error"]
    return found


def text(result: types.CallToolResult) -> str:
    [block] = result.content
    assert isinstance(block, types.TextContent)
    return block.text
