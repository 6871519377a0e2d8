"""How do many callers share one round trip? What is asked while a pipeline is on its way travels together in the next.

Equal steps travel in one script: sixty-four requests that begin in the same moment cost one look at the leases, not
sixty-four.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from redis import exceptions as redis_errors
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from evolve.errors import Unavailable
from evolve.messaging.redis_line import Line
from evolve.messaging.tasks import end_tasks
from evolve.security_events import report

MOST_TOGETHER = 128  # in one script: the server does nothing else meanwhile
MOST_BYTES = 1 << 20
CONFIRM_MS = 1_000  # how long replicas of the server may take to confirm; a healthy one needs a round trip


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A script for many at once: its first keys and arguments, which all of them share. The same object for those who share.

    replicas: how many replicas of the server must have what it wrote before it counts as done.
    """

    source: str
    keys: tuple[str, ...]
    arguments: tuple[Any, ...]
    replicas: int = 0


@dataclass(slots=True)
class _One:
    key: str
    arguments: tuple[Any, ...]
    future: asyncio.Future[Any]


@dataclass(slots=True)
class _Trip:
    """A command, and who waits for its answer: one, or each for the item of the answer at its own place."""

    command: tuple[Any, ...]
    futures: list[asyncio.Future[Any]]
    shared: bool = False
    replicas: int = 0

    def settle(self, answer: Any) -> None:
        answers = answer if self.shared and not isinstance(answer, Exception) else [answer] * len(self.futures)
        for future, own in zip(self.futures, answers, strict=True):
            if future.done():
                continue
            if isinstance(own, Exception):
                future.set_exception(translated(own))
            else:
                future.set_result(own)


class Calls:
    """Commands and scripts over one client."""

    def __init__(self, client: Redis | RedisCluster) -> None:
        self._redis = client
        # A Cluster's client sends each command to its node itself.
        self._line = None if isinstance(client, RedisCluster) else Line(client)
        self._trips: list[_Trip] = []
        self._steps: dict[Step, list[_One]] = {}
        self._flusher: asyncio.Task[None] | None = None

    def call(self, *command: Any) -> asyncio.Future[Any]:
        """The server's answer to one command. Raises Unavailable, or the server's own error."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._trips.append(_Trip(command, [future]))
        self._flush_soon()
        return future

    def script(self, source: str, keys: Sequence[str], arguments: Sequence[Any]) -> asyncio.Future[Any]:
        return self.call("EVALSHA", sha_of(source), len(keys), *keys, *arguments)

    def together(self, step: Step, key: str, arguments: tuple[Any, ...]) -> asyncio.Future[Any]:
        """The answer for one of those that take `step` in the same moment."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._steps.setdefault(step, []).append(_One(key, arguments, future))
        self._flush_soon()
        return future

    async def close(self) -> None:
        if self._flusher is not None and not self._flusher.done():
            await asyncio.wait([self._flusher], timeout=1.0)
            await end_tasks([self._flusher])
        if self._line is not None:
            await self._line.close()

    def _flush_soon(self) -> None:
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush(), name="redis calls")

    async def _flush(self) -> None:
        while self._trips or self._steps:
            trips, self._trips = self._trips, []
            steps, self._steps = self._steps, {}
            trips += [_trip(step, part) for step, ones in steps.items() for part in _parts(ones)]
            wanted = max(trip.replicas for trip in trips)
            # Behind all of them and on their connection: it answers for what was written before it there.
            waits: list[tuple[Any, ...]] = [("WAIT", wanted, CONFIRM_MS)] if wanted else []
            try:
                answers = await self._answers([*(trip.command for trip in trips), *waits])
            except BaseException:  # cancelled, or a bug: nobody may wait for ever for what was not sent
                waiting = [future for trip in trips + self._trips for future in trip.futures]
                waiting += [one.future for ones in self._steps.values() for one in ones]
                self._trips, self._steps = [], {}
                for future in waiting:
                    future.cancel()
                raise
            confirmed = answers.pop() if waits else 0
            for trip, answer in zip(trips, answers, strict=True):
                if isinstance(answer, redis_errors.NoScriptError):  # a server that was started anew, or emptied
                    source = _SOURCES[trip.command[1]]
                    again = _Trip(("EVAL", source, *trip.command[2:]), trip.futures, trip.shared, trip.replicas)
                    self._trips.append(again)
                elif trip.replicas and not isinstance(answer, Exception):
                    trip.settle(_confirmed(answer, confirmed, trip.replicas))
                else:
                    trip.settle(answer)

    async def _answers(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        try:
            if self._line is not None:
                return await self._line.ask(*commands)
            pipeline = self._redis.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            return list(await pipeline.execute(raise_on_error=False))
        except (redis_errors.RedisError, OSError) as error:
            return [error] * len(commands)


def _parts(ones: list[_One]) -> Iterator[list[_One]]:
    part: list[_One] = []
    size = 0
    for one in ones:
        length = sum(len(word) for word in one.arguments if isinstance(word, bytes))
        if part and (len(part) >= MOST_TOGETHER or size + length > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(one)
        size += length
    yield part


def _trip(step: Step, ones: list[_One]) -> _Trip:
    words: list[Any] = ["EVALSHA", sha_of(step.source), len(step.keys) + len(ones), *step.keys]
    words += [one.key for one in ones]
    words += step.arguments
    for one in ones:
        words += one.arguments
    return _Trip(tuple(words), [one.future for one in ones], shared=True, replicas=step.replicas)


def _confirmed(answer: Any, replicas: Any, wanted: int) -> Any:
    """The answer, or the error in its place where too few replicas have what was written."""
    if isinstance(replicas, Exception) or replicas >= wanted:
        return replicas if isinstance(replicas, Exception) else answer
    return Unavailable(
        f"{replicas} of the {wanted} replicas of the Redis server that REDIS_WAIT_REPLICAS wants have confirmed the request within "
        f"{CONFIRM_MS / 1000:g} s: it may run, and would be lost if the server failed now; the same request_id again asks for it once"
    )


_SHAS: dict[str, str] = {}
_SOURCES: dict[str, str] = {}


def sha_of(source: str) -> str:
    """What the server calls a script it knows."""
    sha = _SHAS.get(source)
    if sha is None:
        sha = _SHAS[source] = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        _SOURCES[sha] = source
    return sha


def address_of(client: Redis | RedisCluster) -> str:
    """Where the client connects to, for an error's sentence; no credentials."""
    if isinstance(client, RedisCluster):
        return (
            ", ".join(f"{node.host}:{node.port}" for node in client.nodes_manager.startup_nodes.values())
            or "the Cluster"
        )
    options = client.connection_pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host', 'the Sentinels')}:{options.get('port', '')}".rstrip(":"))


@contextlib.contextmanager
def translating() -> Iterator[None]:
    """Raise the typed error for what the block raises of the library's."""
    try:
        yield
    except (redis_errors.RedisError, OSError) as error:
        typed = translated(error)
        if typed is error:
            raise
        raise typed from error


def translated(error: Exception) -> Exception:
    """The typed error for what a user can mend; the error itself where it is ours."""
    text = str(error)
    if isinstance(error, redis_errors.OutOfMemoryError) or "-OOM " in text or text.startswith("OOM "):
        return Unavailable("the Redis server is full (maxmemory reached); nothing was accepted: give it more memory")
    if isinstance(error, redis_errors.AuthenticationError | redis_errors.NoPermissionError) or text.startswith(
        "NOPERM"
    ):
        report(
            "auth_refused"
            if isinstance(error, redis_errors.AuthenticationError) and "NOPERM" not in text
            else "acl_refused",
            why=text,
        )
        return Unavailable(
            f"the Redis server refused this user: {error}; set REDIS_USERNAME and REDIS_PASSWORD, or see `evolve bus acl`"
        )
    if isinstance(error, redis_errors.ReadOnlyError) or "READONLY" in text:
        return Unavailable("the Redis server is a read-only replica; point REDIS_URL to the primary")
    if isinstance(error, redis_errors.InvalidResponse):
        return Unavailable(f"what answers there is no Redis server ({error}); check host and port")
    if text.startswith("NOREPLICAS") or "-NOREPLICAS " in text:
        return Unavailable(
            "the Redis server has too few replicas in touch (min-replicas-to-write) and accepts nothing; it may be cut off from them"
        )
    if text.startswith("MISCONF") or "-MISCONF " in text:
        return Unavailable("the Redis server cannot write its log to disk and accepts nothing; free disk space")
    if text.startswith("MOVED") or isinstance(error, redis_errors.MovedError):
        return Unavailable("this Redis server is one node of a Cluster; set REDIS_URL=redis+cluster://host:port")
    if isinstance(error, redis_errors.ResponseError):
        return error
    if isinstance(error, redis_errors.RedisError | OSError):
        reason = text.rstrip(". ") or type(error).__name__
        return Unavailable(
            f"the Redis server does not answer: {reason}; check that it runs and is the one that REDIS_* or your arguments name"
        )
    return error
