"""Who listens on the port? One uvicorn server per process, from a bound socket to an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from evolve import logs
from evolve.errors import EvolveError, Internal, Unavailable
from evolve.manager.web_record import WebRecord, announced
from evolve.settings import Settings
from evolve.web.access import Access
from evolve.web.app import create_app
from evolve.web.protocol import Protocol
from evolve.web.streams import Streams

END_S = 3  # open streams are told to end at once; what takes longer is cut off
KEEP_ALIVE_S = 75  # a browser's own habit: reconnecting costs a page more than an idle connection costs us
BACKLOG = 256


def serve(settings: Settings, host: str, port: int, *, on_ready: Callable[[WebRecord], None]) -> int:
    """Serve until SIGTERM or SIGINT; `on_ready` is told the address. Raises Unavailable for a port that is taken."""
    listener = bound(host, port)
    app = create_app(settings, host=host)
    server = _Server(
        uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, proxy_headers=False, ws="none", lifespan="on",
            http=Protocol, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=END_S, backlog=BACKLOG,
        ),
        app.state.streams,
    )  # fmt: skip
    url = url_of(host, listener.getsockname()[1])
    access: Access = app.state.access
    record = WebRecord(os.getpid(), url, f"{url}?token={access.launch}" if access.needs_login else "")
    with announced(settings.home, record), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_until_told_to_end(server, listener, lambda: on_ready(record)))
    return 0


async def _until_told_to_end(server: _Server, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.end)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    if server.started:
        on_ready()
    await serving


class _Server(uvicorn.Server):
    """uvicorn's server, ended by signals that the loop handles: it would raise them again, and end with their status.

    streams: told to end first, for it would wait for their readers to leave.
    """

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def end(self) -> None:
        self._streams.end()
        self.should_exit = True


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None  # not built for this platform; asyncio's own does the same, slower
    return uvloop.new_event_loop


def bound(host: str, port: int) -> socket.socket:
    """A listening socket at host and port (0: any free one). Raises Unavailable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --port (0: any free one)"
        ) from None


def url_of(host: str, port: int) -> str:
    """The address to type into a browser on this machine."""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            host = "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def front(connection: socket.socket, *, settings: dict[str, Any], host: str, port: int) -> int:
    """A web server forked by the supervisor's fork server; one line on its socket says where it listens, or why not."""
    configured = Settings.load(**settings)
    try:
        logs.configure(
            "web",
            directory=configured.logs,
            level=configured.log_level,
            form=configured.log_format,
            secrets=configured.secrets,
        )
        return serve(configured, host, port, on_ready=lambda record: _say(connection, {"url": record.url}))
    except EvolveError as error:
        _say(connection, {"code": error.code, "error": error.message})
        return 1
    except Exception as bug:  # noqa: BLE001 - the last frame of a process whose stderr nobody reads
        logs.logger(service="web").exception("the web server failed")
        _say(connection, {"code": Internal.code, "error": f"the web server failed: {bug!r}; see web_service.log"})
        return 1


def _say(connection: socket.socket, message: dict[str, str]) -> None:
    connection.setblocking(True)
    with contextlib.suppress(OSError):  # it listens for one line, and is gone after that
        connection.sendall(json.dumps(message).encode() + b"\n")
