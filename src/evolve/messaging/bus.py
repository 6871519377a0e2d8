"""How does a message get from who asks to who answers, and back? The port; `redis_bus` and `memory_bus` implement it.

One contract suite (`tests/contracts/`) holds both to the same behaviour. The rules that every implementation keeps:

- A sent message waits until one replica took it, even when none runs yet.
- A replica *leases* what it took. While it extends the lease nobody else gets the message; when it stops, another does.
- `finish` is fenced: only the lease's holder can publish a reply, and reply, done-mark and removal happen at once or not.
  With `dead` the request is kept as a dead letter for that reason. `release` is fenced likewise.
- What a replica gives back (`release`, or all it still holds when it leaves: `retire`) can be reclaimed at once.
- What it puts off (`postpone`) waits outside the queue until it is due and somebody looks (`resume`).
- One `request_id` runs once. Sent again, it is answered from the stored reply, or joins the run in progress.
- What is sent anew (`again`) to a server that forgot it is answered to its asker alone: the output may have heard the first answer.
- What was withdrawn before its reply went out ends with a reply that says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Lane = Literal["light", "heavy"]
LANES: tuple[Lane, ...] = ("light", "heavy")

# `run`: do the work. `answered`: it was done before and the stored reply went out. `joined`: it is running, and its reply
# will go to this asker too. `reused`: the id belongs to other content. `cancelled`: withdrawn before it began. `lost`: the
# lease lapsed meanwhile, so the message is another's.
Begin = Literal["run", "answered", "joined", "reused", "cancelled", "lost"]

# `sent`: the reply went out and the request is done. `cancelled`: it was withdrawn meanwhile, and only a reply that says so
# may end it. `lost`: the lease is another's, so nothing went out.
Finish = Literal["sent", "cancelled", "lost"]

GONE = "-"  # under which the counts of replicas that left are kept: nobody's name
ALIVE_S = 5.0  # a replica that has not been heard of for this long counts as gone


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as a replica got it. attempt: 1 at first, higher after a replica died with it or it was put off.

    named: whether the sender gave the id (then the reply carries it). fresh: whether the id was registered with this
    message and no replica had it before; then nobody joined, nothing is stored, and it needs no `begin`. before: the attempts
    that were made before it was put off.
    """

    service: str
    lane: Lane
    entry: str
    raw: bytes
    attempt: int = 1
    request_id: str | None = None
    named: bool = True
    fresh: bool = False
    before: int = 0


def fence_of(entry: str, attempt: int) -> str:
    """Grows, compared as text, with every run of a request: a message put off or sent again comes later in the stream."""
    first, _, second = entry.partition("-")
    return f"{int(first):016d}-{int(second or 0):08d}.{attempt:06d}"


@dataclass(frozen=True, slots=True)
class ReplicaInfo:
    """A replica as it last described itself. at: server time of that heartbeat, Unix seconds."""

    replica: str
    pid: int
    host: str
    in_flight: int = 0
    cpu_s: float = 0.0
    rss_mb: float = 0.0
    state: str = "running"
    version: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class QueueState:
    """queued: messages not yet answered, those in work or put off included; oldest_s: age of the oldest in the queue; dead:
    dead letters kept."""

    queued: int = 0
    oldest_s: float = 0.0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class LaneState:
    """queued, oldest_s: of messages not yet answered, those in work included; waiting, waiting_oldest_s: of those that no replica took yet, or that one gave back."""

    queued: int = 0
    oldest_s: float = 0.0
    waiting: int = 0
    waiting_oldest_s: float = 0.0

    @property
    def in_work(self) -> int:
        return self.queued - self.waiting


@dataclass(frozen=True, slots=True)
class ServerState:
    """One node of the server, as it describes itself. memory_max_bytes: 0 where there is no limit; ping_s: a round trip just now."""

    node: str
    uptime_s: float
    ping_s: float
    memory_used_bytes: int
    memory_max_bytes: int
    evicted_keys: int
    connected_clients: int
    rejected_connections: int
    commands: int
    aof_enabled: bool
    aof_last_write_ok: bool
    aof_delayed_fsyncs: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    entry: str
    raw: bytes
    reason: str
    attempts: int
    at: float
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """What became of leases that a replica tried to extend: entries of others now, and entries to be stopped."""

    lost: frozenset[str] = field(default_factory=frozenset)
    cancelled: frozenset[str] = field(default_factory=frozenset)


class Bus(Protocol):
    """Every method raises `Unavailable` when the server cannot be reached or is full."""

    address: str  # of the server, as an error may show it: without password

    # who asks; `send` registers the id at once when it is told the hash of the content and who reads the reply, and then
    # raises Busy when too many wait already
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
    ) -> None: ...
    async def read_replies(
        self, service: str, reader: str, after: str, *, block_s: float
    ) -> list[tuple[str, bytes]]: ...
    async def stored_reply(self, service: str, request_id: str) -> bytes | None: ...
    async def is_known(self, service: str, request_id: str) -> bool: ...
    async def withdraw(self, service: str, request_id: str) -> bool: ...
    async def publish_control(self, service: str, raw: bytes) -> int: ...
    async def replicas(self, service: str) -> list[ReplicaInfo]: ...
    async def queue(self, service: str) -> QueueState: ...
    async def dead_letters(self, service: str, limit: int = 100) -> list[DeadLetter]: ...
    async def dead_letter(self, service: str, entry: str) -> DeadLetter | None: ...
    async def drop_dead(self, service: str, entry: str) -> bool: ...
    async def revive(self, service: str, entry: str) -> str | None: ...

    # who answers
    async def open(self, service: str) -> None: ...
    async def receive(
        self, service: str, lane: Lane, replica: str, count: int, *, block_s: float
    ) -> list[Delivery]: ...
    async def begin(self, delivery: Delivery, replica: str, content_hash: str, reply_to: str | None) -> Begin: ...
    async def extend(self, service: str, deliveries: Sequence[Delivery], replica: str) -> LeaseReport: ...
    async def reclaim(self, service: str, lane: Lane, replica: str, *, idle_s: float, count: int) -> list[Delivery]: ...
    async def release(self, delivery: Delivery, replica: str) -> None: ...
    async def postpone(self, delivery: Delivery, replica: str, *, delay_s: float, made: int) -> bool: ...
    async def resume(self, service: str) -> int: ...
    async def finish(
        self, delivery: Delivery, replica: str, reply: bytes, *, dead: str | None = None, cancelled: bool = False
    ) -> Finish: ...
    async def finish_many(self, answered: Sequence[tuple[Delivery, bytes]], replica: str) -> list[Finish]: ...
    async def refuse(
        self, delivery: Delivery, replica: str, reply: bytes, reply_to: str | None, *, reason: str | None
    ) -> None: ...
    async def admit(self, service: str, client: str, wire_type: str, *, per_minute: int) -> float: ...
    async def report(self, service: str, reply_to: str | None, event: bytes) -> None: ...
    async def announce(self, service: str, event: bytes) -> None: ...
    # The bus's own time of it: what a replica judges deadlines by, whatever its host's clock says.
    async def heartbeat(self, service: str, info: ReplicaInfo) -> float: ...
    async def retire(self, service: str, replica: str) -> None: ...
    # what a replica counted since its start (`figures`); whether the bus had nothing of it
    async def note_figures(self, service: str, replica: str, raw: bytes) -> bool: ...

    # who looks after them all: what replicas counted, of those that left too (under GONE); how long the lanes are; how the server is
    async def figures(self, service: str) -> dict[str, bytes]: ...
    async def lanes(self, service: str) -> dict[Lane, LaneState]: ...
    async def server(self) -> list[ServerState]: ...

    # plain publish/subscribe
    def listen(self, channels: Sequence[str]) -> AsyncIterator[tuple[str, bytes]]: ...
    async def publish(self, channel: str, raw: bytes) -> int: ...

    # the bridge's lease and entry (see `bridge`)
    async def hold_bridge(self, service: str, bridge: str, *, lease_s: float) -> bool: ...
    async def enter(
        self, service: str, lane: Lane, bridge: str, raw: bytes, *, request_id: str, named: bool, mark: str
    ) -> bool: ...
    async def reject(self, service: str, bridge: str, raw: bytes, reply: bytes, *, reason: str, mark: str) -> bool: ...
    async def entered_since(self, service: str, since: float) -> list[str]: ...
    async def now(self, service: str) -> float: ...
    async def hazards(self) -> list[str]: ...

    async def close(self) -> None: ...


def input_channel(service: str) -> str:
    return f"{service}_input"


def output_channel(service: str) -> str:
    return f"{service}_output"


def control_channel(service: str) -> str:
    return f"{service}_control"
