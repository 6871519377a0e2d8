"""What does a connection owe us before it is heard? A head of bounded size in bounded time; and it says whose it is.

uvicorn's protocol on httptools bounds neither; both are counted here, per connection.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from evolve.web.peer import is_same_user, socket_address

MAX_HEAD_BYTES = 64 << 10  # address and header fields of one request; browsers and proxies send at most 16 kB
HEAD_S = 20.0
PEER = "evolve.peer"  # in the scope's state: the connection's Peer


class Peer:
    """The other end of one connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._client = socket_address(transport.get_extra_info("peername"))
        self._server = socket_address(transport.get_extra_info("sockname"))

    @cached_property
    def is_same_user(self) -> bool:
        """Whether a program of our own user of this machine is there. Looked up once, while the connection is open."""
        return self._client is not None and self._server is not None and is_same_user(self._client, self._server)


class Protocol(HttpToolsProtocol):
    _head_bytes = 0
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        # A copy: the application's state is shared by all connections.
        self.app_state: dict[str, Any] = {**self.app_state, PEER: Peer(self.transport)}
        self._await_head()  # a connection that says nothing at all is closed too

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            if self._head_timer is None:
                self._await_head()
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head of a request has at most {MAX_HEAD_BYTES} bytes.")

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_came()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_S, self._head_is_late)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
