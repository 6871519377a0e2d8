"""The bus inside one process, for unit tests and notebooks. Same rules as `redis_bus`, held to them by the same suite."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import orjson

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import Busy
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

T = TypeVar("T")
GIVEN_BACK = "-"  # nobody's name
GIVEN_BACK_AT = float("-inf")
BURST_S = 10.0


@dataclass
class _Entry:
    delivery: Delivery
    added_at: float
    holder: str | None = None
    held_at: float = 0.0
    attempts: int = 0
    leased: bool = False  # by anybody, ever


@dataclass
class _Delayed:
    delivery: Delivery
    due: float


@dataclass
class _State:
    content_hash: str | None = None
    place: tuple[Lane, str] | None = None  # lane and entry of the message that runs; its old one while it is put off
    state: str = "queued"
    reply: bytes | None = None
    readers: set[str] = field(default_factory=set)
    alone: bool = False  # only they hear the reply


class MemoryBus:
    """Create one and share it; `clock` is an argument, so that a test can let leases lapse without waiting."""

    address = "the memory of this process"

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, max_queued: int = 100_000) -> None:
        self._clock = clock
        self._max_queued = max_queued
        self._numbers = itertools.count(1)
        self._queues: dict[tuple[str, Lane], dict[str, _Entry]] = defaultdict(dict)
        self._states: dict[tuple[str, str], _State] = defaultdict(_State)
        self._delayed: dict[tuple[str, str], _Delayed] = {}
        self._rates: dict[tuple[str, str, str], float] = {}
        self._replies: dict[tuple[str, str], list[tuple[str, bytes]]] = defaultdict(list)
        self._dead: dict[str, list[tuple[DeadLetter, Delivery]]] = defaultdict(list)
        self._replicas: dict[str, dict[str, ReplicaInfo]] = defaultdict(dict)
        self._figures: dict[str, dict[str, bytes]] = defaultdict(dict)
        self._listeners: dict[str, list[asyncio.Queue[tuple[str, bytes]]]] = defaultdict(list)
        self._bridges: dict[str, tuple[str, float]] = {}
        self._entered: dict[str, deque[tuple[float, str]]] = defaultdict(lambda: deque(maxlen=10_000))
        self._changed = asyncio.Condition()

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
        fresh = False
        if content_hash is not None and reader is not None:
            if len(self._queues[service, lane]) >= self._max_queued:
                raise Busy(f"{service} has {self._max_queued:,} requests waiting; try again later", service=service)
            state = self._states[service, request_id]
            fresh = state.content_hash is None
            if fresh:
                state.content_hash = content_hash
                state.readers.add(reader)
                state.alone = again
        self._add(Delivery(service, lane, "", raw, 1, request_id, named, fresh))
        await self._wake()

    def _add(self, delivery: Delivery) -> None:
        entry = f"{next(self._numbers)}-0"
        delivery = replace(delivery, entry=entry)
        if delivery.fresh or delivery.before:
            self._states[delivery.service, _id(delivery)].place = (delivery.lane, entry)
        self._queues[delivery.service, delivery.lane][entry] = _Entry(delivery, self._clock.now())

    async def read_replies(self, service: str, reader: str, after: str, *, block_s: float) -> list[tuple[str, bytes]]:
        position = int(after.partition("-")[0])

        def new() -> list[tuple[str, bytes]]:
            return [(id, raw) for id, raw in self._replies[service, reader] if int(id.partition("-")[0]) > position]

        return await self._wait_for(new, block_s)

    async def stored_reply(self, service: str, request_id: str) -> bytes | None:
        return self._states[service, request_id].reply

    async def is_known(self, service: str, request_id: str) -> bool:
        return self._states[service, request_id].content_hash is not None

    async def withdraw(self, service: str, request_id: str) -> bool:
        state = self._states[service, request_id]
        open_still = state.state != "done"
        if open_still:
            state.state = "cancelled"
            if (service, request_id) in self._delayed:
                self._delayed[service, request_id].due = float("-inf")
        await self.publish_control(
            service, orjson.dumps({"type": "cancel", "data": {"request_id": request_id}, "from": "withdraw"})
        )
        return open_still

    async def publish_control(self, service: str, raw: bytes) -> int:
        return await self.publish(control_channel(service), raw)

    async def replicas(self, service: str) -> list[ReplicaInfo]:
        now = self._clock.now()
        return sorted(
            (info for info in self._replicas[service].values() if now - info.at < ALIVE_S),
            key=lambda info: info.replica,
        )

    async def queue(self, service: str) -> QueueState:
        entries = [entry for lane in LANES for entry in self._queues[service, lane].values()]
        oldest = min((entry.added_at for entry in entries), default=self._clock.now())
        delayed = sum(1 for of, _ in self._delayed if of == service)
        return QueueState(len(entries) + delayed, max(0.0, self._clock.now() - oldest), len(self._dead[service]))

    async def dead_letters(self, service: str, limit: int = 100) -> list[DeadLetter]:
        return [letter for letter, _ in self._dead[service][::-1][:limit]]

    async def dead_letter(self, service: str, entry: str) -> DeadLetter | None:
        return next((letter for letter, _ in self._dead[service] if letter.entry == entry), None)

    async def drop_dead(self, service: str, entry: str) -> bool:
        before = len(self._dead[service])
        self._dead[service] = [kept for kept in self._dead[service] if kept[0].entry != entry]
        return len(self._dead[service]) < before

    async def revive(self, service: str, entry: str) -> str | None:
        kept = next(((letter, of) for letter, of in self._dead[service] if letter.entry == entry), None)
        if kept is None:
            return None
        letter, of = kept
        id = letter.request_id or f"dead-{entry}"
        if self._states[service, id].state == "done":
            del self._states[service, id]
        named = of.named and letter.request_id is not None
        self._add(Delivery(service, of.lane, "", letter.raw, 1, id, named))
        await self.drop_dead(service, entry)
        await self._wake()
        return id

    async def open(self, service: str) -> None:
        """Nothing to create: queues exist from their first message."""

    async def receive(self, service: str, lane: Lane, replica: str, count: int, *, block_s: float) -> list[Delivery]:
        def take() -> list[Delivery]:
            free = [entry for entry in self._queues[service, lane].values() if entry.holder is None][:count]
            return [self._lease(entry, replica) for entry in free]

        return await self._wait_for(take, block_s)

    async def begin(self, delivery: Delivery, replica: str, content_hash: str, reply_to: str | None) -> Begin:
        service = delivery.service
        queued = self._queues[service, delivery.lane].get(delivery.entry)
        if queued is None or queued.holder != replica:
            return "lost"
        state = self._states[service, _id(delivery)]
        if state.content_hash is not None and state.content_hash != content_hash:
            return "reused"
        if state.state == "done":
            # To who asks again, alone: who listens to the output has seen it.
            if reply_to:
                await self._reply(service, reply_to, state.reply or b"")
            else:
                await self.announce(service, state.reply or b"")
            self._queues[service, delivery.lane].pop(delivery.entry, None)
            return "answered"
        queue = self._queues[service, delivery.lane]
        here = (delivery.lane, delivery.entry)
        if state.place not in (None, here) and (
            state.place[1] in self._queues[service, state.place[0]] or (service, _id(delivery)) in self._delayed
        ):
            if reply_to:
                state.readers.add(reply_to)
            else:
                state.alone = False  # who asked by hand listens to the output
            queue.pop(delivery.entry, None)
            return "joined"
        state.content_hash, state.place = content_hash, here
        if reply_to:
            state.readers.add(reply_to)
        if state.state == "cancelled":
            return "cancelled"
        state.state = "running"
        return "run"

    async def extend(self, service: str, deliveries: Sequence[Delivery], replica: str) -> LeaseReport:
        lost, cancelled = set(), set()
        for delivery in deliveries:
            entry = self._queues[service, delivery.lane].get(delivery.entry)
            if entry is None or entry.holder != replica:
                lost.add(delivery.entry)
                continue
            entry.held_at = self._clock.now()
            if self._states[service, _id(delivery)].state == "cancelled":
                cancelled.add(delivery.entry)
        return LeaseReport(frozenset(lost), frozenset(cancelled))

    async def reclaim(self, service: str, lane: Lane, replica: str, *, idle_s: float, count: int) -> list[Delivery]:
        now = self._clock.now()
        lapsed = [
            entry
            for entry in self._queues[service, lane].values()
            if entry.holder is not None and now - entry.held_at >= idle_s
        ]
        return [self._lease(entry, replica) for entry in lapsed[:count]]

    async def release(self, delivery: Delivery, replica: str) -> None:
        entry = self._queues[delivery.service, delivery.lane].get(delivery.entry)
        if entry is not None and entry.holder == replica:
            self._give_back(entry)

    async def postpone(self, delivery: Delivery, replica: str, *, delay_s: float, made: int) -> bool:
        queue, id = self._queues[delivery.service, delivery.lane], _id(delivery)
        entry = queue.get(delivery.entry)
        if entry is None or entry.holder != replica:
            return False
        del queue[delivery.entry]
        due = float("-inf") if self._states[delivery.service, id].state == "cancelled" else self._clock.now() + delay_s
        kept = replace(delivery, attempt=1, fresh=False, before=made, request_id=id)
        self._states[delivery.service, id].place = (delivery.lane, delivery.entry)
        self._delayed[delivery.service, id] = _Delayed(kept, due)
        return True

    async def resume(self, service: str) -> int:
        now = self._clock.now()
        due = [key for key, delayed in self._delayed.items() if key[0] == service and delayed.due <= now]
        for key in due:
            self._add(self._delayed.pop(key).delivery)
        if due:
            await self._wake()
        return len(due)

    async def finish(
        self, delivery: Delivery, replica: str, reply: bytes, *, dead: str | None = None, cancelled: bool = False
    ) -> Finish:
        queue = self._queues[delivery.service, delivery.lane]
        entry = queue.get(delivery.entry)
        if entry is None or entry.holder != replica:
            return "lost"
        state = self._states[delivery.service, _id(delivery)]
        if state.state == "cancelled" and not cancelled:
            return "cancelled"
        state.state, state.reply = "done", reply
        del queue[delivery.entry]
        if dead is not None:
            self._keep(delivery, dead)
        for reader in state.readers:
            self._replies[delivery.service, reader].append((f"{next(self._numbers)}-0", reply))
        if not state.alone:
            await self.publish(output_channel(delivery.service), reply)
        await self._wake()
        return "sent"

    async def finish_many(self, answered: Sequence[tuple[Delivery, bytes]], replica: str) -> list[Finish]:
        return [await self.finish(delivery, replica, reply) for delivery, reply in answered]

    async def refuse(
        self, delivery: Delivery, replica: str, reply: bytes, reply_to: str | None, *, reason: str | None
    ) -> None:
        if delivery.entry:
            entry = self._queues[delivery.service, delivery.lane].get(delivery.entry)
            if entry is None or entry.holder != replica:
                return
            del self._queues[delivery.service, delivery.lane][delivery.entry]
        if reason is not None:
            self._keep(delivery, reason)
        await self.report(delivery.service, reply_to, reply)

    async def admit(self, service: str, client: str, wire_type: str, *, per_minute: int) -> float:
        interval_s = 60.0 / per_minute
        burst = max(1, int(BURST_S / interval_s))
        now, key = self._clock.now(), (service, client, wire_type)
        expected = max(now, self._rates.get(key, now))
        early = expected + interval_s - now - interval_s * burst
        if early > 1e-9:
            return early
        self._rates[key] = expected + interval_s
        return 0.0

    async def report(self, service: str, reply_to: str | None, event: bytes) -> None:
        await self.publish(output_channel(service), event)
        if reply_to:
            await self._reply(service, reply_to, event)

    async def _reply(self, service: str, reader: str, event: bytes) -> None:
        self._replies[service, reader].append((f"{next(self._numbers)}-0", event))
        await self._wake()

    async def announce(self, service: str, event: bytes) -> None:
        await self.publish(output_channel(service), event)

    async def heartbeat(self, service: str, info: ReplicaInfo) -> float:
        now = self._clock.now()
        self._replicas[service][info.replica] = replace(info, at=now)
        return now

    async def note_figures(self, service: str, replica: str, raw: bytes) -> bool:
        anew = replica not in self._figures[service]
        self._figures[service][replica] = raw
        return anew

    async def figures(self, service: str) -> dict[str, bytes]:
        return dict(self._figures[service])

    def _fold(self, service: str, replica: str) -> None:
        raw = self._figures[service].pop(replica, None)
        if raw is not None:
            sums = orjson.loads(self._figures[service].get(GONE, b'{"counts":{}}'))["counts"]
            for name, value in orjson.loads(raw)["counts"].items():
                sums[name] = sums.get(name, 0) + value
            self._figures[service][GONE] = orjson.dumps({"counts": sums})

    async def lanes(self, service: str) -> dict[Lane, LaneState]:
        return {lane: self._lane(list(self._queues[service, lane].values())) for lane in LANES}

    def _lane(self, entries: list[_Entry]) -> LaneState:
        now = self._clock.now()
        waiting = [entry for entry in entries if entry.holder in (None, GIVEN_BACK)]
        oldest = min((entry.added_at for entry in entries), default=now)
        first = min((entry.added_at for entry in waiting), default=now)
        return LaneState(len(entries), max(0.0, now - oldest), len(waiting), max(0.0, now - first))

    async def server(self) -> list[ServerState]:
        return []  # there is none

    async def retire(self, service: str, replica: str) -> None:
        self._replicas[service].pop(replica, None)
        self._fold(service, replica)
        for lane in LANES:
            for entry in self._queues[service, lane].values():
                if entry.holder == replica:
                    self._give_back(entry)

    async def listen(self, channels: Sequence[str]) -> AsyncIterator[tuple[str, bytes]]:
        queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        for channel in channels:
            self._listeners[channel].append(queue)
        try:
            yield "", b""
            while True:
                yield await queue.get()
        finally:
            for channel in channels:
                self._listeners[channel].remove(queue)

    async def publish(self, channel: str, raw: bytes) -> int:
        for queue in self._listeners[channel]:
            queue.put_nowait((channel, raw))
        return len(self._listeners[channel])

    async def hold_bridge(self, service: str, bridge: str, *, lease_s: float) -> bool:
        holder, until = self._bridges.get(service, (bridge, 0.0))
        now = self._clock.now()
        if holder != bridge and until > now:
            return False
        self._bridges[service] = (bridge, now + lease_s)
        return True

    async def enter(
        self, service: str, lane: Lane, bridge: str, raw: bytes, *, request_id: str, named: bool, mark: str
    ) -> bool:
        if not self._bridges_now(service, bridge):
            return False
        self._entered[service].append((self._clock.now(), mark))
        await self.send(service, lane, raw, request_id=request_id, named=named)
        return True

    async def reject(self, service: str, bridge: str, raw: bytes, reply: bytes, *, reason: str, mark: str) -> bool:
        if not self._bridges_now(service, bridge):
            return False
        self._entered[service].append((self._clock.now(), mark))
        self._keep(Delivery(service, "light", "", raw, 0), reason)
        await self.publish(output_channel(service), reply)
        return True

    def _bridges_now(self, service: str, bridge: str) -> bool:
        holder, until = self._bridges.get(service, ("", 0.0))
        return holder == bridge and until > self._clock.now()

    async def entered_since(self, service: str, since: float) -> list[str]:
        return [mark for at, mark in self._entered[service] if at >= since]

    async def now(self, service: str) -> float:
        return self._clock.now()

    async def hazards(self) -> list[str]:
        return []

    async def close(self) -> None:
        """Nothing is held open."""

    def _give_back(self, entry: _Entry) -> None:
        entry.holder, entry.held_at, entry.attempts = GIVEN_BACK, GIVEN_BACK_AT, max(0, entry.attempts - 1)

    def _keep(self, delivery: Delivery, reason: str) -> None:
        entry, now = f"{next(self._numbers)}-0", self._clock.now()
        letter = DeadLetter(entry, delivery.raw, reason, delivery.attempt, now, delivery.request_id)
        self._dead[delivery.service].append((letter, delivery))

    def _lease(self, entry: _Entry, replica: str) -> Delivery:
        entry.holder, entry.held_at = replica, self._clock.now()
        entry.attempts += 1
        # Given back or lapsed, it may have been withdrawn since: only the first to have it need not begin.
        fresh = entry.delivery.fresh and not entry.leased
        entry.leased = True
        return replace(entry.delivery, attempt=entry.delivery.before + entry.attempts, fresh=fresh)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _wait_for(self, look: Callable[[], list[T]], block_s: float) -> list[T]:
        """What `look` finds, waiting at most `block_s` for it to be something."""
        try:
            async with asyncio.timeout(block_s), self._changed:
                while not (found := look()):
                    await self._changed.wait()
                return found
        except TimeoutError:
            return []


def _id(delivery: Delivery) -> str:
    return delivery.request_id or delivery.entry
