"""How does a command reach the server without paying for a connection each time? Over one that is kept.

The library's own way takes a connection from its pool, looks whether something is left to read on it, and wraps the sending in
a task with a timeout: a third of what a request costs. On Python 3.11 that timeout also swallows a cancellation which comes in
the moment the sending is done (`asyncio.wait_for`), and a loop told to end would go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import hiredis
from redis import exceptions as redis_errors
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

SILENT_S = 4.0  # twice the longest BLOCK we send; a server silent for longer counts as gone
PAUSES_S = (0.05, 0.1, 0.2, 0.4)  # rides over a restart, and still tells soon that nobody is there


class Line:
    """One connection of a client's pool, connected anew when it breaks. For one exchange at a time."""

    def __init__(self, client: Redis) -> None:
        self._pool = client.connection_pool
        self._connection: AbstractConnection | None = None
        self._timeout_s: float | None = None  # the connection's own, which is not used: one for a whole exchange is

    async def ask(self, *commands: tuple[Any, ...]) -> list[Any]:
        """The answers; an error that the server answered stands in its place. Raises what the connection met."""
        for pause in (*PAUSES_S, None):
            connection = await self._connected()
            try:
                return await self._exchange(connection, commands)
            except redis_errors.ConnectionError:
                await self.close()
                if pause is None:
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def _connected(self) -> AbstractConnection:
        # One that broke would connect to the same address again by itself; the pool asks the Sentinels which it is by now.
        if self._connection is not None and not self._connection.is_connected:
            await self.close()
        # Where nobody answers, the pool tries again as often as it is set up to.
        if self._connection is None:
            self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            self._timeout_s, self._connection.socket_timeout = self._connection.socket_timeout, None
        return self._connection

    async def _exchange(self, connection: AbstractConnection, commands: tuple[tuple[Any, ...], ...]) -> list[Any]:
        whole = False
        try:
            async with asyncio.timeout(SILENT_S):
                # By the C library itself: the asynchronous connection packs in Python, for seven times the price.
                packed = [hiredis.pack_command(command) for command in commands]
                await connection.send_packed_command(packed, check_health=False)
                answers = [await _answer(connection) for _ in commands]
                whole = True
                return answers
        except TimeoutError:
            raise redis_errors.TimeoutError(f"it was silent for {SILENT_S:g} s") from None
        finally:
            if not whole:  # what is still to come would be taken for the answer to the next
                await connection.disconnect(nowait=True)

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(redis_errors.RedisError, OSError):
                await connection.disconnect()
                connection.socket_timeout = self._timeout_s
                await self._pool.release(connection)


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except redis_errors.ResponseError as error:
        return error
