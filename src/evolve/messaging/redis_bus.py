"""The bus on Redis or Valkey: a stream per service and lane, consumer groups, and small Lua scripts.

What is kept where stands in `redis_keys`, what happens at once in `redis_scripts`, and how callers share round trips in
`redis_calls`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import orjson
from redis import exceptions as redis_errors
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from evolve.errors import Busy, Unavailable
from evolve.messaging import redis_keys as keys
from evolve.messaging import redis_scripts as scripts
from evolve.messaging import server_state
from evolve.messaging.bus import (
    ALIVE_S,
    GONE,
    LANES,
    Begin,
    DeadLetter,
    Delivery,
    Finish,
    Lane,
    LaneState,
    LeaseReport,
    QueueState,
    ReplicaInfo,
    ServerState,
    control_channel,
    output_channel,
)
from evolve.messaging.redis_calls import Calls, Step, address_of, translating
from evolve.messaging.redis_keys import GROUP
from evolve.messaging.redis_line import SILENT_S, Line

GIVEN_BACK = "-"  # the consumer that holds what a replica gave back, until another claims it: nobody's name
GIVEN_BACK_IDLE_MS = 3_600_000  # longer than any lease, so that the next reclaim finds it at once
MAX_REPLIES = 10_000  # per asker; one that reads at all never has so many waiting
LARGE_REPLY = 64 << 10  # kept once, with the request, and read there by whoever waits
MAX_DEAD = 10_000
MAX_ENTERED = 10_000
REPLIES_TTL_S = 3_600
UNFINISHED_TTL_S = 7 * 86_400  # how long a request may wait for its service before its state is forgotten
RESUMED_AT_ONCE = 100
PING_S = 2.0  # who listens and hears nothing for so long asks whether the server is there
BURST_S = 10.0  # a client may use this much of its rate at once
MAX_QUEUED = 100_000


class RedisBus:
    """One connection pool; what is asked in the same moment shares a pipeline, and equal steps share a script."""

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        done_retention_s: int = 86_400,
        max_queued: int = MAX_QUEUED,
        wait_replicas: int = 0,
    ) -> None:
        self._redis = client
        self.address = address_of(client)
        self._calls = Calls(client)
        self._steps: dict[tuple[str, ...], Step] = {}
        self._lines: dict[str, Line] = {}
        self._reading: dict[str, asyncio.Lock] = {}
        # A large reply is read again from the done-mark: it must live as long as the streams that point to it.
        self._done_retention_s = max(done_retention_s, REPLIES_TTL_S)
        self._max_queued = max_queued
        self._wait_replicas = wait_replicas

    async def _blocking(self, key: str, *command: Any) -> Any:
        """The answer to a command that may wait on `key`: on a line of its own, for nothing else could use it meanwhile."""
        if isinstance(self._redis, RedisCluster):
            return await self._redis.execute_command(*command)
        async with self._reading.setdefault(key, asyncio.Lock()):
            line = self._lines.setdefault(key, Line(self._redis))
            [answer] = await line.ask(command)
        if isinstance(answer, Exception):
            raise answer
        return answer

    # --- who asks ---

    async def send(
        self,
        service: str,
        lane: Lane,
        raw: bytes,
        *,
        request_id: str,
        named: bool = True,
        content_hash: str | None = None,
        reader: str | None = None,
        again: bool = False,
    ) -> None:
        stream = keys.requests(service, lane)
        if content_hash is None or reader is None:
            await self._calls.call("XADD", stream, "*", "m", raw, "i", request_id, "n", int(named))
            return
        step = self._steps.get(("send", stream))
        if step is None:
            arguments = (lane, UNFINISHED_TTL_S, self._max_queued)
            step = Step(scripts.SEND_MANY, (stream,), arguments, self._wait_replicas)
            self._steps["send", stream] = step
        sent = await self._calls.together(
            step, keys.state(service, request_id), (raw, request_id, content_hash, reader, "1" if again else "")
        )
        if sent == b"full":
            raise Busy(
                f"{service} has {self._max_queued:,} requests waiting; nothing was sent: try again later, or run more replicas",
                service=service,
            )

    async def read_replies(self, service: str, reader: str, after: str, *, block_s: float) -> list[tuple[str, bytes]]:
        key = keys.replies(service, reader)
        with translating():
            answer = await self._blocking(
                key, "XREAD", "COUNT", 256, "BLOCK", max(1, int(block_s * 1000)), "STREAMS", key, after
            )
        found: list[tuple[str, bytes]] = []
        for entry, fields in _entries(answer):
            raw = fields.get(b"m")
            if raw is None:
                raw = await self.stored_reply(service, _text(fields[b"ref"]))
            found.append((_text(entry), raw or b""))
        return found

    async def stored_reply(self, service: str, request_id: str) -> bytes | None:
        return cast("bytes | None", await self._calls.call("HGET", keys.state(service, request_id), "reply"))

    async def is_known(self, service: str, request_id: str) -> bool:
        """Whether the id was registered: not on a server that was emptied since."""
        return await self._calls.call("HGET", keys.state(service, request_id), "hash") is not None

    async def withdraw(self, service: str, request_id: str) -> bool:
        open_still = await self._calls.script(
            scripts.WITHDRAW,
            [keys.state(service, request_id), keys.delayed(service)],
            [UNFINISHED_TTL_S, request_id],
        )
        await self.publish_control(
            service, orjson.dumps({"type": "cancel", "data": {"request_id": request_id}, "from": "withdraw"})
        )
        return bool(open_still)

    async def publish_control(self, service: str, raw: bytes) -> int:
        return await self.publish(control_channel(service), raw)

    async def replicas(self, service: str) -> list[ReplicaInfo]:
        now, values = await asyncio.gather(self.now(service), self._calls.call("HVALS", keys.replicas(service)))
        infos = [ReplicaInfo(**orjson.loads(value)) for value in values]
        return sorted((info for info in infos if now - info.at < ALIVE_S), key=lambda info: info.replica)

    async def queue(self, service: str) -> QueueState:
        light, heavy, delayed, dead, first_light, first_heavy, now = await asyncio.gather(
            *(self._calls.call("XLEN", keys.requests(service, lane)) for lane in LANES),
            self._calls.call("ZCARD", keys.delayed(service)),
            self._calls.call("XLEN", keys.dead(service)),
            *(self._calls.call("XRANGE", keys.requests(service, lane), "-", "+", "COUNT", 1) for lane in LANES),
            self.now(service),
        )
        firsts = [_text(first[0][0]) for first in (first_light, first_heavy) if first]
        oldest = min((int(entry.partition("-")[0]) / 1000 for entry in firsts), default=now)
        return QueueState(int(light) + int(heavy) + int(delayed), max(0.0, now - oldest), int(dead))

    # --- dead letters ---

    async def dead_letters(self, service: str, limit: int = 100) -> list[DeadLetter]:
        entries = await self._calls.call("XREVRANGE", keys.dead(service), "+", "-", "COUNT", limit)
        return [_letter(entry, fields) for entry, fields in entries]

    async def dead_letter(self, service: str, entry: str) -> DeadLetter | None:
        found = await self._calls.call("XRANGE", keys.dead(service), entry, entry)
        return _letter(*found[0]) if found else None

    async def drop_dead(self, service: str, entry: str) -> bool:
        return bool(await self._calls.call("XDEL", keys.dead(service), entry))

    async def revive(self, service: str, entry: str) -> str | None:
        """Put a dead letter back into its queue; the id it runs under, or None when there is no such letter."""
        found = await self._calls.script(
            scripts.REVIVE,
            [keys.dead(service)],
            [entry, keys.requests(service, cast("Lane", "")), keys.state(service, ""), f"dead-{entry}"],
        )
        return None if found is None else _text(found)

    # --- who answers ---

    async def open(self, service: str) -> None:
        for lane in LANES:
            try:
                # From 0, not $: what was sent before the first start waits too.
                await self._calls.call("XGROUP", "CREATE", keys.requests(service, lane), GROUP, "0", "MKSTREAM")
            except redis_errors.ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    async def receive(self, service: str, lane: Lane, replica: str, count: int, *, block_s: float) -> list[Delivery]:
        key = keys.requests(service, lane)
        try:
            with translating():
                answer = await self._blocking(
                    key, "XREADGROUP", "GROUP", GROUP, replica, "COUNT", count,
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
        service, lane = delivery.service, delivery.lane
        step = self._steps.get(("begin", service, lane, replica))
        if step is None:
            step = self._steps["begin", service, lane, replica] = Step(
                scripts.BEGIN_MANY,
                (keys.requests(service, lane), keys.delayed(service)),
                (GROUP, replica, lane, keys.requests(service, cast("Lane", "")), keys.replies(service),
                 output_channel(service), UNFINISHED_TTL_S, REPLIES_TTL_S, MAX_REPLIES, LARGE_REPLY),
            )  # fmt: skip
        id = _id(delivery)
        answer = await self._calls.together(
            step, keys.state(service, id), (delivery.entry, id, content_hash, reply_to or "")
        )
        return cast("Begin", _text(answer))

    async def extend(self, service: str, deliveries: Sequence[Delivery], replica: str) -> LeaseReport:
        lost: set[str] = set()
        cancelled: set[str] = set()
        for lane in LANES:
            mine = [delivery for delivery in deliveries if delivery.lane == lane]
            if not mine:
                continue
            answers = await self._calls.script(
                scripts.EXTEND,
                [keys.requests(service, lane), *(keys.state(service, _id(delivery)) for delivery in mine)],
                [GROUP, replica, *(delivery.entry for delivery in mine)],
            )
            for delivery, answer in zip(mine, answers, strict=True):
                if answer == b"lost":
                    lost.add(delivery.entry)
                elif answer == b"cancelled":
                    cancelled.add(delivery.entry)
        return LeaseReport(frozenset(lost), frozenset(cancelled))

    async def reclaim(self, service: str, lane: Lane, replica: str, *, idle_s: float, count: int) -> list[Delivery]:
        key = keys.requests(service, lane)
        found: list[tuple[Any, dict[bytes, bytes]]] = []
        cursor = "0-0"
        try:
            while len(found) < count:
                # One call looks at ten times COUNT entries at most: what lapsed may stand behind more that are well.
                cursor, claimed, *_ = await self._calls.call(
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
        held = await asyncio.gather(*(self._calls.call("XPENDING", key, GROUP, entry, entry, 1) for entry, _ in found))
        return [
            _delivery(service, lane, entry, fields, int(pending[0][3]) if pending else 1, fresh=False)
            for (entry, fields), pending in zip(found, held, strict=True)
        ]

    async def release(self, delivery: Delivery, replica: str) -> None:
        # The count goes back by one: giving back is no failed attempt.
        await self._calls.script(
            scripts.RELEASE,
            [keys.requests(delivery.service, delivery.lane)],
            [GROUP, delivery.entry, replica, GIVEN_BACK, GIVEN_BACK_IDLE_MS,
             max(0, delivery.attempt - delivery.before - 1)],
        )  # fmt: skip

    async def postpone(self, delivery: Delivery, replica: str, *, delay_s: float, made: int) -> bool:
        """Put a request off; `made` attempts count. False when the lease is another's."""
        service, id = delivery.service, _id(delivery)
        done = await self._calls.script(
            scripts.POSTPONE,
            [keys.requests(service, delivery.lane), keys.delayed(service), keys.state(service, id)],
            [GROUP, replica, delivery.entry, id, delivery.lane, made, int(delay_s * 1000), UNFINISHED_TTL_S],
        )
        return bool(done)

    async def resume(self, service: str) -> int:
        """Put back what is due; how many."""
        arguments = [keys.requests(service, cast("Lane", "")), keys.state(service, ""), RESUMED_AT_ONCE]
        return int(await self._calls.script(scripts.RESUME, [keys.delayed(service)], arguments))

    async def finish(
        self, delivery: Delivery, replica: str, reply: bytes, *, dead: str | None = None, cancelled: bool = False
    ) -> Finish:
        ends = "cancelled" if cancelled else ("" if dead is None else f"dead {delivery.attempt} {dead}")
        return cast("Finish", _text(await self._finish(delivery, replica, reply, ends)))

    async def finish_many(self, answered: Sequence[tuple[Delivery, bytes]], replica: str) -> list[Finish]:
        waiting = [self._finish(delivery, replica, reply, "") for delivery, reply in answered]
        return [cast("Finish", _text(answer)) for answer in await asyncio.gather(*waiting)]

    def _finish(self, delivery: Delivery, replica: str, reply: bytes, ends: str) -> asyncio.Future[Any]:
        service, lane, id = delivery.service, delivery.lane, _id(delivery)
        step = self._steps.get(("finish", service, lane, replica))
        if step is None:
            step = self._steps["finish", service, lane, replica] = Step(
                scripts.FINISH_MANY,
                (keys.requests(service, lane), keys.dead(service)),
                (GROUP, replica, lane, keys.replies(service), output_channel(service), self._done_retention_s,
                 REPLIES_TTL_S, MAX_REPLIES, LARGE_REPLY, MAX_DEAD),
            )  # fmt: skip
        return self._calls.together(step, keys.state(service, id), (delivery.entry, id, reply, ends))

    async def refuse(
        self, delivery: Delivery, replica: str, reply: bytes, reply_to: str | None, *, reason: str | None
    ) -> None:
        service = delivery.service
        await self._calls.script(
            scripts.REFUSE,
            [keys.requests(service, delivery.lane), keys.dead(service)],
            [GROUP, replica, delivery.entry, delivery.lane, reply, keys.replies(service, reply_to) if reply_to else "",
             output_channel(service), reason or "", delivery.attempt, MAX_DEAD, MAX_REPLIES, REPLIES_TTL_S, delivery.raw],
        )  # fmt: skip

    async def admit(self, service: str, client: str, wire_type: str, *, per_minute: int) -> float:
        """0, or how many seconds too early a client asks for more of one kind."""
        interval_ms = 60_000 / per_minute
        burst = max(1, int(BURST_S * 1000 / interval_ms))
        early_ms = await self._calls.script(
            scripts.ADMIT, [keys.rate(service, client, wire_type)], [interval_ms, burst]
        )
        return int(early_ms) / 1000

    async def report(self, service: str, reply_to: str | None, event: bytes) -> None:
        calls = [self._calls.call("PUBLISH", output_channel(service), event)]
        if reply_to:
            replies = keys.replies(service, reply_to)
            calls += [
                self._calls.call("XADD", replies, "MAXLEN", "~", MAX_REPLIES, "*", "m", event),
                self._calls.call("EXPIRE", replies, REPLIES_TTL_S),
            ]
        await asyncio.gather(*calls)

    async def announce(self, service: str, event: bytes) -> None:
        await self.publish(output_channel(service), event)

    async def heartbeat(self, service: str, info: ReplicaInfo) -> float:
        now = await self.now(service)
        values = {name: getattr(info, name) for name in ReplicaInfo.__slots__} | {"at": now}
        await self._calls.call("HSET", keys.replicas(service), info.replica, orjson.dumps(values))
        if info.in_flight == 0:
            await self._forget_the_gone(service, now)
        return now

    async def _forget_the_gone(self, service: str, now: float) -> None:
        entries = await self._calls.call("HGETALL", keys.replicas(service))
        gone = [replica for replica, value in _fields(entries).items() if now - orjson.loads(value)["at"] > 60]
        for replica in gone:
            await self.retire(service, _text(replica))

    async def retire(self, service: str, replica: str) -> None:
        await self._calls.call("HDEL", keys.replicas(service), replica)
        await self._calls.script(scripts.FOLD, [keys.figures(service)], [replica, GONE])
        streams = [keys.requests(service, lane) for lane in LANES]
        await self._calls.script(scripts.RETIRE, streams, [GROUP, replica, GIVEN_BACK, GIVEN_BACK_IDLE_MS])

    # --- figures ---

    async def note_figures(self, service: str, replica: str, raw: bytes) -> bool:
        return bool(await self._calls.call("HSET", keys.figures(service), replica, raw))

    async def figures(self, service: str) -> dict[str, bytes]:
        found = _fields(await self._calls.call("HGETALL", keys.figures(service)))
        return {_text(replica): raw for replica, raw in found.items()}

    async def lanes(self, service: str) -> dict[Lane, LaneState]:
        now, *answers = await asyncio.gather(
            self.now(service),
            *(self._calls.script(scripts.LANE, [keys.requests(service, lane)], [GROUP, GIVEN_BACK]) for lane in LANES),
        )

        def age(entry: Any) -> float:
            return max(0.0, now - int(_text(entry).partition("-")[0]) / 1000) if entry else 0.0

        return {
            lane: LaneState(int(queued), age(oldest), int(waiting), age(first))
            for lane, (queued, oldest, waiting, first) in zip(LANES, answers, strict=True)
        }

    async def server(self) -> list[ServerState]:
        with translating():
            return await server_state.look(self._redis, self.address)

    # --- plain publish/subscribe ---

    async def listen(self, channels: Sequence[str]) -> AsyncIterator[tuple[str, bytes]]:
        """Messages on `channels`, for ever. The first item is ("", b"") once the subscription stands.

        Ends with Unavailable when the connection breaks: whoever listens decides when to try again.
        """
        subscription = self._redis.pubsub(ignore_subscribe_messages=True)
        try:
            with translating():
                await subscription.subscribe(*channels)
                await self._redis.ping()
            yield "", b""
            # What confirms the subscription is "nothing" too, once for each channel: no reason to pause.
            heard_at, unconfirmed = time.monotonic(), len(channels)
            while True:
                with translating():
                    message = await subscription.get_message(timeout=PING_S)
                if message is not None:
                    heard_at = time.monotonic()
                    if message["type"] == "message":
                        yield _text(message["channel"]), message["data"]
                    continue
                if unconfirmed:
                    unconfirmed -= 1
                    continue
                # Who only listens would not notice that the other side fell silent, and might listen to a dead primary for ever.
                silent_s = time.monotonic() - heard_at
                if silent_s > PING_S + SILENT_S:
                    raise Unavailable(f"the Redis server at {self.address} was silent for {silent_s:.0f} s")
                with translating():
                    await subscription.ping()
                await asyncio.sleep(0.1)  # the library also says "nothing came" at once, of a connection that broke
        finally:
            with contextlib.suppress(redis_errors.RedisError, OSError):
                await subscription.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(0)  # its connection closes in the next turn of the loop, which may be the last

    async def publish(self, channel: str, raw: bytes) -> int:
        return int(await self._calls.call("PUBLISH", channel, raw))

    # --- the bridge ---

    async def hold_bridge(self, service: str, bridge: str, *, lease_s: float) -> bool:
        return bool(
            await self._calls.script(scripts.HOLD_BRIDGE, [keys.bridge(service)], [bridge, int(lease_s * 1000)])
        )

    async def enter(
        self, service: str, lane: Lane, bridge: str, raw: bytes, *, request_id: str, named: bool, mark: str
    ) -> bool:
        names = [
            keys.bridge(service),
            keys.entered(service),
            keys.requests(service, lane),
            keys.state(service, request_id),
        ]
        arguments = [bridge, mark, MAX_ENTERED, raw, request_id, int(named), lane, UNFINISHED_TTL_S]
        return bool(await self._calls.script(scripts.ENTER, names, arguments))

    async def reject(self, service: str, bridge: str, raw: bytes, reply: bytes, *, reason: str, mark: str) -> bool:
        names = [keys.bridge(service), keys.entered(service), keys.dead(service)]
        arguments = [bridge, mark, MAX_ENTERED, raw, reason, reply, output_channel(service), MAX_DEAD]
        return bool(await self._calls.script(scripts.REJECT, names, arguments))

    async def entered_since(self, service: str, since: float) -> list[str]:
        lines = [_text(line) for line in await self._calls.call("LRANGE", keys.entered(service), 0, -1)]
        return [mark for at, _, mark in (line.partition(" ") for line in lines) if float(at) >= since]

    async def now(self, service: str) -> float:
        # By a script: on a Cluster the clock that counts is that of the node that has the service's keys.
        seconds, micros = await self._calls.script(scripts.NOW, [keys.replicas(service)], [])
        return int(seconds) + int(micros) / 1e6

    async def channels(self, pattern: str) -> list[tuple[str, int]]:
        """Channels that somebody listens on, sorted, and how many do. In a Cluster those of the node that answers."""
        with translating():
            names = sorted(_text(name) for name in await self._redis.execute_command("PUBSUB", "CHANNELS", pattern))
            counts = await self._redis.execute_command("PUBSUB", "NUMSUB", *names) if names else []
        return list(zip(names, map(int, counts[1::2]), strict=True))

    async def hazards(self) -> list[str]:
        """What about this server could lose requests, in sentences for who runs it."""
        with translating():
            answer = await self._redis.execute_command("INFO")
        if isinstance(answer, dict):  # a Cluster: of each node; they are set up alike
            answer = next(iter(answer.values()))
        text = _text(answer)
        found = []
        if "aof_enabled:0" in text:
            found.append(
                "this Redis server keeps no append-only file: what is queued is lost when it restarts; set `appendonly yes`"
            )
        policy = re.search(r"maxmemory_policy:(\S+)", text)
        if policy and policy[1] != "noeviction" and "maxmemory:0\r" not in text:
            found.append(
                f"this Redis server may evict queued requests when its memory is full (maxmemory-policy {policy[1]}); "
                "set `maxmemory-policy noeviction`"
            )
        return found

    async def close(self) -> None:
        await self._calls.close()
        for line in self._lines.values():
            await line.close()
        with contextlib.suppress(redis_errors.RedisError, OSError):
            await self._redis.aclose()
        await asyncio.sleep(0)  # connections close in the next turn of the loop, which may be the last


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _fields(fields: Any) -> dict[bytes, bytes]:
    return dict(zip(fields[::2], fields[1::2], strict=True))


def _entries(answer: Any) -> list[tuple[Any, dict[bytes, bytes]]]:
    """Entries of an XREAD answer: [[key, [[id, [field, value, …]], …]]], or None when nothing came."""
    return [(entry, _fields(fields)) for _, stream in answer or () for entry, fields in stream]


def _id(delivery: Delivery) -> str:
    return delivery.request_id or delivery.entry


def _letter(entry: Any, flat: Any) -> DeadLetter:
    fields = _fields(flat)
    return DeadLetter(
        entry=_text(entry),
        raw=fields[b"m"],
        reason=fields[b"reason"].decode(errors="replace"),
        attempts=int(fields[b"attempts"]),
        at=int(_text(entry).partition("-")[0]) / 1000,
        request_id=_text(fields[b"i"]) if b"i" in fields else None,
    )


def _delivery(
    service: str, lane: Lane, entry: Any, fields: dict[bytes, bytes], delivered: int = 1, *, fresh: bool = True
) -> Delivery:
    before = int(fields.get(b"a", 0))
    return Delivery(
        service=service,
        lane=lane,
        entry=_text(entry),
        raw=fields.get(b"m", b""),
        attempt=before + delivered,
        request_id=_text(fields[b"i"]) if b"i" in fields else None,
        named=fields.get(b"n", b"1") != b"0",
        fresh=fresh and b"r" in fields,
        before=before,
    )
