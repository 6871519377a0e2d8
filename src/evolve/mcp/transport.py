"""How does an assistant reach the server? Over its own standard input and output, or over HTTP, where it must show that it may.

HTTP on the loopback is open to every program and every user of the machine, and to every page in a browser that resolves a name to
it (DNS rebinding). So: Host and Origin are checked always; a token is asked for wherever the server may start work or listens
beyond the loopback. Who starts the server by a pipe, as assistants do, needs none.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import secrets
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from evolve.errors import InvalidRequest, Unavailable

PATH = "/mcp"
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
MAX_BODY = 4 << 20  # bytes of one message; a strategy's code may have one million
SHORTEST_TOKEN = 24  # characters: beyond guessing when they are random


@dataclass(frozen=True, slots=True)
class Place:
    """Where HTTP is served. port 0: a free one. names: the host names under which it is reached beside the loopback's.

    token: what a caller must send as `Authorization: Bearer TOKEN`; None asks for none.
    """

    host: str = "127.0.0.1"
    port: int = 8766
    names: tuple[str, ...] = ()
    token: str | None = None

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def place_for(host: str, port: int, names: Sequence[str], token: str | None, *, allow_run: bool) -> tuple[Place, bool]:
    """The place, and whether its token was made up here. Raises InvalidRequest for one that would be unsafe or unreachable."""
    place = Place(host, port, tuple(names), token)
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise InvalidRequest(
            f"EVOLVE_MCP_TOKEN has {len(token)} characters; take at least {SHORTEST_TOKEN}, such as from `openssl rand -hex 24`"
        )
    if not place.is_loopback and host in ("0.0.0.0", "::") and not names:
        raise InvalidRequest(
            f"--host {host} listens on every address: say by which name it is reached, --name evolve.example.org"
        )
    if token is not None or (place.is_loopback and not allow_run):
        return place, False
    return Place(host, port, tuple(names), secrets.token_urlsafe(32)), True


async def serve_pipe(server: Server[Any]) -> None:
    """Until standard input ends."""
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


async def serve_http(server: Server[Any], place: Place, *, ready: asyncio.Future[str] | None = None) -> None:
    """Until SIGINT or SIGTERM. ready: gets the URL once it listens. Raises Unavailable where it cannot listen."""
    listening = listen(place)
    url = f"http://{_in_url(place.host)}:{listening.getsockname()[1]}{PATH}"
    app = http_app(server, place)
    # No access log: it would hold every call's address, and stdout belongs to nobody here.
    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False, timeout_graceful_shutdown=3, ws="none"
    )
    print(f"MCP server at {url}", file=sys.stderr, flush=True)
    if ready is not None:
        ready.set_result(url)
    await uvicorn.Server(config).serve(sockets=[listening])


def http_app(server: Server[Any], place: Place) -> ASGIApp:
    """The ASGI application: token, Host, Origin and size of each request are checked before anything else."""
    hosts = {*LOOPBACK_NAMES, _in_url(place.host)} if place.is_loopback else {_in_url(place.host), *LOOPBACK_NAMES}
    hosts |= set(place.names)
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[each for host in sorted(hosts) for each in (host, f"{host}:*")],
        allowed_origins=[f"{scheme}://{host}{port}" for scheme in ("http", "https") for host in sorted(hosts) for port in ("", ":*")],
    )  # fmt: skip
    app = server.streamable_http_app(
        streamable_http_path=PATH, transport_security=security, max_request_body_size=MAX_BODY, host=place.host
    )
    return app if place.token is None else Guarded(app, place.token)


class Guarded:
    """Lets in who shows the token; tells everybody else nothing."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            shown = dict(scope["headers"]).get(b"authorization", b"")
            # In constant time: how long a comparison takes must not tell how much of a guess was right.
            if not hmac.compare_digest(shown, self._expected):
                said = {
                    "error": "forbidden",
                    "message": "send the token that `evolve mcp --http` printed: Authorization: Bearer …",
                }
                refusal = JSONResponse(said, status_code=401, headers={"WWW-Authenticate": "Bearer"})  # fmt: skip
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def listen(place: Place) -> socket.socket:
    """A socket that takes connections; its port is the place's, or a free one. Raises Unavailable."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    # The protocol is named: asyncio turns off Nagle's delay (40 ms a call) only on sockets that say TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((place.host, place.port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise Unavailable(
            f"cannot listen on {place.host} port {place.port}: {error.strerror}; give another with --port (0 takes a free one)"
        ) from None
    return listening


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
