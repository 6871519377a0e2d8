"""The bus on Redis or Valkey: a stream per service and lane, consumer groups, and small Lua scripts.

All keys of a service carry its name as hash tag, so that one script reaches them on a Cluster too:

    evolve:{svc}:requests:<lane>    stream of requests (`m` envelope, `i` request id, `n` named)
    evolve:{svc}:request:<id>       hash: content hash, stream and entry, state, stored reply, who waits
    evolve:{svc}:replies:<reader>   stream of replies and progress for one asker
    evolve:{svc}:dead               stream of dead letters
    evolve:{svc}:replicas           hash of heartbeats
    evolve:{svc}:bridge, :entered   the bridge's lease and what it entered lately
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import orjson
from redis import exceptions as redis_errors
from redis.asyncio import Redis

from evolve.errors import Unavailable
from evolve.messaging.bus import (
    ALIVE_S,
    LANES,
    Begin,
    DeadLetter,
    Delivery,
    Lane,
    LeaseReport,
    QueueState,
    ReplicaInfo,
    control_channel,
    output_channel,
)

GROUP = "replicas"
GIVEN_BACK = "-"  # the consumer that holds what a replica gave back, until another claims it: nobody's name
GIVEN_BACK_IDLE_MS = 3_600_000  # longer than any lease, so that the next reclaim finds it at once
MAX_REPLIES = 1_000  # per asker; a client that reads at all never has so many waiting
MAX_DEAD = 10_000
MAX_ENTERED = 10_000
REPLIES_TTL_S = 3_600
UNFINISHED_TTL_S = 7 * 86_400  # how long a request may wait for its service before its state is forgotten

# Who holds the lease of an entry; nil also when the server was emptied, and group or stream are gone.
HOLDER = """
local function holder(stream, group, entry)
  local held = redis.pcall('XPENDING', stream, group, entry, entry, 1)
  if held.err or #held == 0 then return nil end
  return held[1][2]
end
"""

BEGIN = (
    HOLDER
    + """
if holder(KEYS[1], ARGV[1], ARGV[2]) ~= ARGV[10] then return 'lost' end
local state = redis.call('HMGET', KEYS[2], 'hash', 'entry', 'state', 'reply', 'stream')
local entry, hash, reader = ARGV[2], ARGV[3], ARGV[4]
if state[1] and state[1] ~= hash then return 'reused' end
if state[3] == 'done' then
  if reader ~= '' then
    redis.call('XADD', ARGV[5] .. reader, 'MAXLEN', '~', ARGV[8], '*', 'm', state[4])
    redis.call('EXPIRE', ARGV[5] .. reader, ARGV[9])
  end
  redis.call('PUBLISH', ARGV[6], state[4])
  redis.call('XACK', KEYS[1], ARGV[1], entry)
  redis.call('XDEL', KEYS[1], entry)
  return 'answered'
end
if state[2] and (state[2] ~= entry or state[5] ~= KEYS[1])
   and #redis.call('XRANGE', state[5], state[2], state[2]) > 0 then
  if reader ~= '' then redis.call('HSET', KEYS[2], 'to:' .. reader, '1') end
  redis.call('XACK', KEYS[1], ARGV[1], entry)
  redis.call('XDEL', KEYS[1], entry)
  return 'joined'
end
redis.call('HSET', KEYS[2], 'hash', hash, 'entry', entry, 'stream', KEYS[1])
if reader ~= '' then redis.call('HSET', KEYS[2], 'to:' .. reader, '1') end
redis.call('EXPIRE', KEYS[2], ARGV[7])
if state[3] == 'cancelled' then return 'cancelled' end
redis.call('HSET', KEYS[2], 'state', 'running')
return 'run'
"""
)

FINISH = (
    HOLDER
    + """
if holder(KEYS[1], ARGV[1], ARGV[2]) ~= ARGV[3] then return 0 end
local fields = redis.call('HKEYS', KEYS[2])
for _, name in ipairs(fields) do
  if string.sub(name, 1, 3) == 'to:' then
    local replies = ARGV[5] .. string.sub(name, 4)
    redis.call('XADD', replies, 'MAXLEN', '~', ARGV[8], '*', 'm', ARGV[4])
    redis.call('EXPIRE', replies, ARGV[9])
  end
end
redis.call('HSET', KEYS[2], 'state', 'done', 'reply', ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[7])
if ARGV[10] ~= '' then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[13], '*', 'm', ARGV[11], 'reason', ARGV[10], 'attempts', ARGV[12])
end
redis.call('PUBLISH', ARGV[6], ARGV[4])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return 1
"""
)

# Extending must not take a lease back that lapsed: XCLAIM alone would steal it from its new holder.
EXTEND = (
    HOLDER
    + """
local out = {}
for i = 3, #ARGV do
  local entry = ARGV[i]
  if holder(KEYS[1], ARGV[1], entry) ~= ARGV[2] then
    out[#out + 1] = 'lost'
  else
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry, 'JUSTID')
    out[#out + 1] = redis.call('HGET', KEYS[i - 1], 'state') == 'cancelled' and 'cancelled' or 'held'
  end
end
return out
"""
)

RELEASE = (
    HOLDER
    + """
if holder(KEYS[1], ARGV[1], ARGV[2]) ~= ARGV[3] then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[4], 0, ARGV[2], 'IDLE', ARGV[5], 'RETRYCOUNT', ARGV[6], 'JUSTID')
return 1
"""
)

# A consumer that still holds messages must not simply be deleted: they would never be delivered again.
RETIRE = """
for _, stream in ipairs(KEYS) do
  local held = redis.pcall('XPENDING', stream, ARGV[1], '-', '+', 10000, ARGV[2])
  if not held.err then
    for _, one in ipairs(held) do
      redis.call('XCLAIM', stream, ARGV[1], ARGV[3], 0, one[1],
                 'IDLE', ARGV[4], 'RETRYCOUNT', math.max(0, one[4] - 1), 'JUSTID')
    end
    redis.call('XGROUP', 'DELCONSUMER', stream, ARGV[1], ARGV[2])
  end
end
return 1
"""

WITHDRAW = """
if redis.call('HGET', KEYS[1], 'state') == 'done' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'cancelled')
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""

HOLD_BRIDGE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

# What only the holder of the bridge's lease may do, noted with the server's time for its successor.
AS_BRIDGE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local now = redis.call('TIME')
redis.call('RPUSH', KEYS[2], now[1] .. '.' .. string.format('%06d', now[2]) .. ' ' .. ARGV[2])
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[3]), -1)
"""

ENTER = (
    AS_BRIDGE
    + """
redis.call('XADD', KEYS[3], '*', 'm', ARGV[4], 'i', ARGV[5], 'n', ARGV[6])
return 1
"""
)

REJECT = (
    AS_BRIDGE
    + """
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[8], '*', 'm', ARGV[4], 'reason', ARGV[5], 'attempts', 0)
redis.call('PUBLISH', ARGV[7], ARGV[6])
return 1
"""
)


class RedisBus:
    """One server connection pool; commands issued in the same turn of the loop share a pipeline."""

    def __init__(self, client: Redis, *, done_retention_s: int = 86_400) -> None:
        self._redis = client
        self._done_retention_s = done_retention_s
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self._flusher: asyncio.Task[None] | None = None

    # --- who asks ---

    async def send(self, service: str, lane: Lane, raw: bytes, *, request_id: str, named: bool = True) -> None:
        await self._call("XADD", _requests(service, lane), "*", "m", raw, "i", request_id, "n", int(named))

    async def read_replies(self, service: str, reader: str, after: str, *, block_s: float) -> list[tuple[str, bytes]]:
        key = _replies(service) + reader
        with _translated():
            answer = await self._redis.execute_command(  # type: ignore[no-untyped-call]
                "XREAD", "COUNT", 256, "BLOCK", max(1, int(block_s * 1000)), "STREAMS", key, after
            )
        return [(_text(entry), fields[b"m"]) for entry, fields in _entries(answer)]

    async def stored_reply(self, service: str, request_id: str) -> bytes | None:
        return cast("bytes | None", await self._call("HGET", _state(service, request_id), "reply"))

    async def withdraw(self, service: str, request_id: str) -> bool:
        done = await self._script(WITHDRAW, [_state(service, request_id)], [UNFINISHED_TTL_S])
        await self.publish_control(
            service, orjson.dumps({"type": "cancel", "data": {"request_id": request_id}, "from": "withdraw"})
        )
        return bool(done)

    async def publish_control(self, service: str, raw: bytes) -> int:
        return await self.publish(control_channel(service), raw)

    async def replicas(self, service: str) -> list[ReplicaInfo]:
        (seconds, micros), values = await asyncio.gather(self._call("TIME"), self._call("HVALS", _replicas(service)))
        now = int(seconds) + int(micros) / 1e6
        infos = [ReplicaInfo(**orjson.loads(value)) for value in values]
        return sorted((info for info in infos if now - info.at < ALIVE_S), key=lambda info: info.replica)

    async def queue(self, service: str) -> QueueState:
        light, heavy, dead, first_light, first_heavy, (seconds, micros) = await asyncio.gather(
            *(self._call("XLEN", _requests(service, lane)) for lane in LANES),
            self._call("XLEN", _dead(service)),
            *(self._call("XRANGE", _requests(service, lane), "-", "+", "COUNT", 1) for lane in LANES),
            self._call("TIME"),
        )
        firsts = [_text(first[0][0]) for first in (first_light, first_heavy) if first]
        now = int(seconds) + int(micros) / 1e6
        oldest = min((int(entry.partition("-")[0]) / 1000 for entry in firsts), default=now)
        return QueueState(int(light) + int(heavy), max(0.0, now - oldest), int(dead))

    async def dead_letters(self, service: str, limit: int = 100) -> list[DeadLetter]:
        entries = await self._call("XREVRANGE", _dead(service), "+", "-", "COUNT", limit)
        return [
            DeadLetter(
                entry=_text(entry),
                raw=fields[b"m"],
                reason=fields[b"reason"].decode(errors="replace"),
                attempts=int(fields[b"attempts"]),
                at=int(_text(entry).partition("-")[0]) / 1000,
            )
            for entry, fields in ((entry, _fields(fields)) for entry, fields in entries)
        ]

    # --- who answers ---

    async def open(self, service: str) -> None:
        for lane in LANES:
            try:
                # From 0, not $: what was sent before the first start waits too.
                await self._call("XGROUP", "CREATE", _requests(service, lane), GROUP, "0", "MKSTREAM")
            except redis_errors.ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    async def receive(self, service: str, lane: Lane, replica: str, count: int, *, block_s: float) -> list[Delivery]:
        key = _requests(service, lane)
        try:
            with _translated():
                answer = await self._redis.execute_command(  # type: ignore[no-untyped-call]

                    "XREADGROUP", "GROUP", GROUP, replica, "COUNT", count,
                    "BLOCK", max(1, int(block_s * 1000)), "STREAMS", key, ">",
                )  # fmt: skip
        except redis_errors.ResponseError as error:
            # UNBLOCKED is what servers before version 7 say to who waited on a stream that was deleted.
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            await self.open(service)  # the server was emptied, by a restart without persistence or by FLUSHALL
            return []
        return [_delivery(service, lane, entry, fields) for entry, fields in _entries(answer)]

    async def begin(self, delivery: Delivery, replica: str, content_hash: str, reply_to: str | None) -> Begin:
        service = delivery.service
        answer = await self._script(
            BEGIN,
            [_requests(service, delivery.lane), _state(service, delivery.request_id or delivery.entry)],
            [GROUP, delivery.entry, content_hash, reply_to or "", _replies(service), output_channel(service),
             UNFINISHED_TTL_S, MAX_REPLIES, REPLIES_TTL_S, replica],
        )  # fmt: skip
        return cast("Begin", _text(answer))

    async def extend(self, service: str, deliveries: Sequence[Delivery], replica: str) -> LeaseReport:
        lost: set[str] = set()
        cancelled: set[str] = set()
        for lane in LANES:
            mine = [delivery for delivery in deliveries if delivery.lane == lane]
            if not mine:
                continue
            answers = await self._script(
                EXTEND,
                [_requests(service, lane), *(_state(service, d.request_id or d.entry) for d in mine)],
                [GROUP, replica, *(d.entry for d in mine)],
            )
            for delivery, answer in zip(mine, answers, strict=True):
                if answer == b"lost":
                    lost.add(delivery.entry)
                elif answer == b"cancelled":
                    cancelled.add(delivery.entry)
        return LeaseReport(frozenset(lost), frozenset(cancelled))

    async def reclaim(self, service: str, lane: Lane, replica: str, *, idle_s: float, count: int) -> list[Delivery]:
        key = _requests(service, lane)
        found: list[tuple[Any, dict[bytes, bytes]]] = []
        cursor = "0-0"
        try:
            while len(found) < count:
                # One call looks at ten times COUNT entries at most: what lapsed may stand behind more that are well.
                cursor, claimed, *_ = await self._call(
                    "XAUTOCLAIM", key, GROUP, replica, int(idle_s * 1000), cursor, "COUNT", count - len(found)
                )
                # Redis 6.2 lists entries that were deleted meanwhile as empty.
                found += [(entry, _fields(fields)) for entry, fields in claimed if fields]
                if _text(cursor) == "0-0":
                    break
        except redis_errors.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            await self.open(service)
            return []
        held = await asyncio.gather(*(self._call("XPENDING", key, GROUP, entry, entry, 1) for entry, _ in found))
        return [
            _delivery(service, lane, entry, fields, int(pending[0][3]) if pending else 1)
            for (entry, fields), pending in zip(found, held, strict=True)
        ]

    async def release(self, delivery: Delivery, replica: str) -> None:
        # The count goes back by one: giving back is no failed attempt.
        await self._script(
            RELEASE,
            [_requests(delivery.service, delivery.lane)],
            [GROUP, delivery.entry, replica, GIVEN_BACK, GIVEN_BACK_IDLE_MS, max(0, delivery.attempt - 1)],
        )

    async def finish(self, delivery: Delivery, replica: str, reply: bytes, *, dead: str | None = None) -> bool:
        service = delivery.service
        done = await self._script(
            FINISH,
            [_requests(service, delivery.lane), _state(service, delivery.request_id or delivery.entry), _dead(service)],
            [GROUP, delivery.entry, replica, reply, _replies(service), output_channel(service),
             self._done_retention_s, MAX_REPLIES, REPLIES_TTL_S,
             dead or "", delivery.raw if dead else b"", delivery.attempt, MAX_DEAD],
        )  # fmt: skip
        return bool(done)

    async def refuse(self, delivery: Delivery, reply: bytes, reply_to: str | None, *, reason: str | None) -> None:
        service, key = delivery.service, _requests(delivery.service, delivery.lane)
        calls = []
        if reason is not None:
            calls.append(
                self._call("XADD", _dead(service), "MAXLEN", "~", MAX_DEAD, "*",
                           "m", delivery.raw, "reason", reason, "attempts", delivery.attempt)
            )  # fmt: skip
        calls += [
            self.report(service, reply_to, reply),
            self._call("XACK", key, GROUP, delivery.entry),
            self._call("XDEL", key, delivery.entry),
        ]
        await asyncio.gather(*calls)

    async def report(self, service: str, reply_to: str | None, event: bytes) -> None:
        calls = [self.publish(output_channel(service), event)]
        if reply_to:
            replies = _replies(service) + reply_to
            calls += [
                self._call("XADD", replies, "MAXLEN", "~", MAX_REPLIES, "*", "m", event),
                self._call("EXPIRE", replies, REPLIES_TTL_S),
            ]
        await asyncio.gather(*calls)

    async def announce(self, service: str, event: bytes) -> None:
        await self.publish(output_channel(service), event)

    async def heartbeat(self, service: str, info: ReplicaInfo) -> None:
        now = await self.now()
        values = {name: getattr(info, name) for name in ReplicaInfo.__slots__} | {"at": now}
        await self._call("HSET", _replicas(service), info.replica, orjson.dumps(values))
        if info.in_flight == 0:
            await self._forget_the_gone(service, now)

    async def _forget_the_gone(self, service: str, now: float) -> None:
        entries = await self._call("HGETALL", _replicas(service))
        gone = [replica for replica, value in _fields(entries).items() if now - orjson.loads(value)["at"] > 60]
        for replica in gone:
            await self.retire(service, _text(replica))

    async def retire(self, service: str, replica: str) -> None:
        await self._call("HDEL", _replicas(service), replica)
        streams = [_requests(service, lane) for lane in LANES]
        await self._script(RETIRE, streams, [GROUP, replica, GIVEN_BACK, GIVEN_BACK_IDLE_MS])

    # --- plain publish/subscribe ---

    async def listen(self, channels: Sequence[str]) -> AsyncIterator[tuple[str, bytes]]:
        """Messages on `channels`, for ever. The first item is ("", b"") once the subscription stands.

        Ends with Unavailable when the connection breaks: whoever listens decides when to try again.
        """
        subscription = self._redis.pubsub(ignore_subscribe_messages=True)
        try:
            with _translated():
                await subscription.subscribe(*channels)
                await self._redis.ping()
            yield "", b""
            while True:
                with _translated():
                    message = await subscription.get_message(timeout=1.0)
                if message is not None and message["type"] == "message":
                    yield _text(message["channel"]), message["data"]
        finally:
            with contextlib.suppress(redis_errors.RedisError, OSError):
                await subscription.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(0)  # its connection closes in the next turn of the loop, which may be the last

    async def publish(self, channel: str, raw: bytes) -> int:
        return int(await self._call("PUBLISH", channel, raw))

    # --- the bridge ---

    async def hold_bridge(self, service: str, bridge: str, *, lease_s: float) -> bool:
        return bool(await self._script(HOLD_BRIDGE, [_bridge(service)], [bridge, int(lease_s * 1000)]))

    async def enter(
        self, service: str, lane: Lane, bridge: str, raw: bytes, *, request_id: str, named: bool, mark: str
    ) -> bool:
        keys = [_bridge(service), _entered(service), _requests(service, lane)]
        return bool(await self._script(ENTER, keys, [bridge, mark, MAX_ENTERED, raw, request_id, int(named)]))

    async def reject(self, service: str, bridge: str, raw: bytes, reply: bytes, *, reason: str, mark: str) -> bool:
        keys = [_bridge(service), _entered(service), _dead(service)]
        arguments = [bridge, mark, MAX_ENTERED, raw, reason, reply, output_channel(service), MAX_DEAD]
        return bool(await self._script(REJECT, keys, arguments))

    async def entered_since(self, service: str, since: float) -> list[str]:
        lines = [_text(line) for line in await self._call("LRANGE", _entered(service), 0, -1)]
        return [mark for at, _, mark in (line.partition(" ") for line in lines) if float(at) >= since]

    async def now(self) -> float:
        seconds, micros = await self._call("TIME")
        return int(seconds) + int(micros) / 1e6

    async def close(self) -> None:
        if self._flusher is not None and not self._flusher.done():
            await asyncio.wait([self._flusher], timeout=1.0)
        with contextlib.suppress(redis_errors.RedisError, OSError):
            await self._redis.aclose()

    # --- one pipeline for all that is asked in the same turn ---

    async def _script(self, source: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        try:
            return await self._call("EVALSHA", _sha(source), len(keys), *keys, *arguments)
        except redis_errors.NoScriptError:
            return await self._call("EVAL", source, len(keys), *keys, *arguments)

    async def _call(self, *command: Any) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                pipeline = self._redis.pipeline(transaction=False)
                for command, _ in batch:
                    pipeline.execute_command(*command)
                answers = await pipeline.execute(raise_on_error=False)
            except (redis_errors.RedisError, OSError) as error:
                answers = [error] * len(batch)
            except BaseException:  # cancelled, or a bug: nobody may wait for ever for what was not sent
                for _, future in batch + self._waiting:
                    future.cancel()
                raise
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(_translate(answer))
                else:
                    future.set_result(answer)


@contextlib.contextmanager
def _translated() -> Any:
    try:
        yield
    except (redis_errors.RedisError, OSError) as error:
        translated = _translate(error)
        if translated is error:
            raise
        raise translated from error


def _translate(error: Exception) -> Exception:
    """The typed error for what a user can mend; the error itself where it is ours."""
    if isinstance(error, redis_errors.OutOfMemoryError):
        return Unavailable("the Redis server is full (maxmemory reached); nothing was accepted: give it more memory")
    if isinstance(error, redis_errors.AuthenticationError | redis_errors.NoPermissionError):
        return Unavailable(f"the Redis server refused this user: {error}; set REDIS_USERNAME and REDIS_PASSWORD")
    if isinstance(error, redis_errors.ReadOnlyError):
        return Unavailable("the Redis server is a read-only replica; point REDIS_URL to the primary")
    if isinstance(error, redis_errors.InvalidResponse):
        return Unavailable(f"what answers there is no Redis server ({error}); check host and port")
    if isinstance(error, redis_errors.ConnectionError | redis_errors.TimeoutError | OSError):
        reason = str(error).rstrip(". ")
        return Unavailable(
            f"the Redis server does not answer: {reason}; check that it runs, or start one with `evolve up`"
        )
    if isinstance(error, redis_errors.ResponseError) and str(error).startswith("MISCONF"):
        return Unavailable("the Redis server cannot write its log to disk and accepts nothing; free disk space")
    return error


_SHAS: dict[str, str] = {}


def _sha(source: str) -> str:
    if source not in _SHAS:
        _SHAS[source] = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return _SHAS[source]


def _requests(service: str, lane: Lane) -> str:
    return f"evolve:{{{service}}}:requests:{lane}"


def _state(service: str, request_id: str) -> str:
    return f"evolve:{{{service}}}:request:{request_id}"


def _replies(service: str) -> str:
    return f"evolve:{{{service}}}:replies:"


def _dead(service: str) -> str:
    return f"evolve:{{{service}}}:dead"


def _replicas(service: str) -> str:
    return f"evolve:{{{service}}}:replicas"


def _bridge(service: str) -> str:
    return f"evolve:{{{service}}}:bridge"


def _entered(service: str) -> str:
    return f"evolve:{{{service}}}:entered"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _fields(fields: Any) -> dict[bytes, bytes]:
    return dict(zip(fields[::2], fields[1::2], strict=True))


def _entries(answer: Any) -> list[tuple[Any, dict[bytes, bytes]]]:
    """Entries of an XREAD answer: [[key, [[id, [field, value, …]], …]]], or None when nothing came."""
    return [(entry, _fields(fields)) for _, stream in answer or () for entry, fields in stream]


def _delivery(service: str, lane: Lane, entry: Any, fields: dict[bytes, bytes], attempt: int = 1) -> Delivery:
    return Delivery(
        service=service,
        lane=lane,
        entry=_text(entry),
        raw=fields.get(b"m", b""),
        attempt=attempt,
        request_id=_text(fields[b"i"]) if b"i" in fields else None,
        named=fields.get(b"n", b"1") != b"0",
    )
