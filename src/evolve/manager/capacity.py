"""How many replicas, cores and how much memory do so many requests a day need, and what runs out first?

Each kind of request costs what was measured of it (`service_times.json`, by `bench/capacity.py --measure`: date, commit and machine stand in it).
The busiest moment of the day is taken as if it lasted (the pointwise stationary approximation; Green and Kolesar 1991, Management Science 37):
on the safe side. Waits are those of M/G/c (`statistics.queueing`), one line per lane of a service.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from evolve.errors import InvalidRequest, nearest
from evolve.messaging.bus import Lane
from evolve.statistics.queue_simulation import DAY_S
from evolve.statistics.queueing import Queue, ServiceTime, servers_for

DATA = Path(__file__).with_name("service_times.json")
BUSY = 0.8  # of a machine's cores at the busiest moment: above it the waits of everything grow without proportion
ALONE = 0.7  # of what only one can do at a time (the server's thread, the database's writer): nobody helps it out
QUEUE_LIMIT = 100_000  # EVOLVE_MAX_QUEUED
ROUND = "round"  # the kind that a watched symbol asks for

Resource = Literal["cores", "memory", "server", "server memory", "database writer", "queue"]


@dataclass(frozen=True, slots=True)
class Stage:
    """What one kind asks of one service. visits: per request; n: how many were measured."""

    service: str
    lane: Lane
    visits: float
    mean_s: float
    scv: float
    n: int

    @property
    def time(self) -> ServiceTime:
        return ServiceTime(self.mean_s, self.scv)


@dataclass(frozen=True, slots=True)
class Kind:
    """cpu_s: of all processes, for one request and what it leads to."""

    name: str
    what: str
    cpu_s: float
    stages: tuple[Stage, ...]

    @property
    def messages(self) -> float:
        return math.fsum(stage.visits for stage in self.stages)


@dataclass(frozen=True, slots=True)
class Costs:
    """front_mb, job_mb: memory of a replica's front and of one job process; server_ms: the server's CPU per message; write_ms: one
    transaction; server_kb, database_kb: what a message leaves on the server for `EVOLVE_DONE_RETENTION_S`, and in the database for good."""

    measured: str
    commit: str
    machine: str
    load: str
    kinds: tuple[Kind, ...]
    front_mb: float
    job_mb: float
    server_ms: float
    write_ms: float
    server_kb: float
    database_kb: float

    def kind(self, name: str) -> Kind:
        """Raises InvalidRequest with the names there are."""
        for kind in self.kinds:
            if kind.name == name:
                return kind
        names = [kind.name for kind in self.kinds]
        close = nearest(name, names) or names
        raise InvalidRequest(f"nothing was measured of {name!r}; nearest: {', '.join(close)}")


@cache
def costs() -> Costs:
    """What was measured."""
    kept = json.loads(DATA.read_text())
    kinds = tuple(
        Kind(kind["name"], kind["what"], kind["cpu_s"], tuple(Stage(**stage) for stage in kind["stages"]))
        for kind in kept.pop("kinds")
    )
    return Costs(kinds=kinds, **kept)


@dataclass(frozen=True, slots=True)
class Demand:
    """per_day: requests by kind. peak: the busiest moment over the day's mean. wait_s: what 95 % shall not wait longer than. symbols:
    watched ones, each a round a day, all at once, to be done `within_s`. cores, memory_gb, server_gb: of each machine, and of the server."""

    per_day: Mapping[str, float]
    peak: float = 3.0
    wait_s: float = 2.0
    symbols: int = 0
    within_s: float = 3600.0
    machines: int = 1
    cores: int = 2
    memory_gb: float = 8.0
    server_gb: float = 4.0


@dataclass(frozen=True, slots=True)
class Share:
    """One lane of one service at the busiest moment. places: how many requests are worked on at once; wait_s: of 95 %."""

    service: str
    lane: Lane
    arrivals: float
    time: ServiceTime
    places: int
    replicas: int
    utilisation: float
    wait_s: float


@dataclass(frozen=True, slots=True)
class Limit:
    """share: of the resource that is used, against what may be used of it; per_day: of how many requests a day, in this mix, that is all
    (infinite where requests do not use it)."""

    resource: Resource
    share: float
    per_day: float
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """limits: what runs out first, first. rounds_s: how long the rounds of all watched symbols take with the places they have."""

    shares: tuple[Share, ...]
    limits: tuple[Limit, ...]
    cores: float
    machines: int
    memory_gb: float
    server_gb: float
    database_gb_a_day: float
    rounds_s: float

    @property
    def replicas(self) -> dict[str, int]:
        """By service: the most that one of its lanes needs."""
        found: dict[str, int] = {}
        for share in self.shares:
            found[share.service] = max(found.get(share.service, 0), share.replicas)
        return found


def plan(known: Costs, demand: Demand) -> Plan:
    """What a demand needs. Raises InvalidRequest for a kind that was not measured, and for what is no demand."""
    _check(demand)
    kinds = {name: known.kind(name) for name in demand.per_day}
    rounds = known.kind(ROUND) if demand.symbols else None
    shares = tuple(_share(service, lane, parts, demand) for (service, lane), parts in _parts(kinds, demand).items())
    places_for_rounds = math.ceil(demand.symbols * rounds.stages[0].mean_s / demand.within_s) if rounds else 0
    shares = _with_rounds(shares, rounds, places_for_rounds, demand)
    peak = demand.peak / DAY_S
    cpu = math.fsum(kinds[name].cpu_s * count * peak for name, count in demand.per_day.items())
    cpu += places_for_rounds * (rounds.cpu_s / rounds.stages[0].mean_s if rounds else 0.0)
    messages = math.fsum(kinds[name].messages * count for name, count in demand.per_day.items())
    bulk = rounds.messages * demand.symbols if rounds else 0.0
    memory = _memory_gb(known, shares)
    server_gb = (messages + bulk) * known.server_kb / 2**20
    replicas_machines = max(math.ceil(cpu / (BUSY * demand.cores)), math.ceil(memory / (BUSY * demand.memory_gb)), 1)
    total = math.fsum(demand.per_day.values())
    # Rounds come over the time they may take, beside the others.
    rate = messages * peak + (bulk / demand.within_s if rounds else 0.0)

    def limit(resource: Resource, share: float, why: str) -> Limit:
        return Limit(resource, share, total / share if share and resource != "queue" else math.inf, why)

    limits = [
        limit("cores", cpu / (BUSY * demand.machines * demand.cores), f"{cpu:.2f} of {demand.machines * demand.cores} cores at the peak, of which {BUSY:.0%} may be used"),
        limit("memory", memory / (BUSY * demand.machines * demand.memory_gb), f"{memory:.1f} of {demand.machines * demand.memory_gb:g} GB for the replicas"),
        limit("server", rate * known.server_ms / 1000 / ALONE, f"{rate:.1f} messages a second at the peak, {known.server_ms:g} ms each on the server's one thread"),
        limit("server memory", server_gb / (BUSY * demand.server_gb), f"{server_gb:.2f} of {demand.server_gb:g} GB: replies are kept for a day"),
        limit("database writer", rate * known.write_ms / 1000 / ALONE, f"{rate:.1f} transactions a second at the peak, {known.write_ms:.1f} ms each, one at a time"),
        limit("queue", demand.symbols / QUEUE_LIMIT, f"{demand.symbols:,} rounds at once, of {QUEUE_LIMIT:,} that may wait"),
    ]  # fmt: skip
    return Plan(
        shares, tuple(sorted((each for each in limits if each.share), key=lambda each: -each.share)),
        cores=cpu, machines=replicas_machines, memory_gb=memory, server_gb=server_gb,
        database_gb_a_day=(messages + bulk) * known.database_kb / 2**20,
        rounds_s=_rounds_s(rounds, shares, demand),
    )  # fmt: skip


def _check(demand: Demand) -> None:
    if not any(demand.per_day.values()) and not demand.symbols:
        raise InvalidRequest("say how many requests a day: question=100000, or --symbols N")
    if min([0.0, *demand.per_day.values()]) < 0 or not 1 <= demand.peak <= 12:
        raise InvalidRequest("requests a day are 0 or more, and the busiest moment 1 to 12 times the mean")
    if demand.wait_s <= 0 or demand.within_s <= 0:
        raise InvalidRequest("a wait is more than 0 s")


def _parts(kinds: Mapping[str, Kind], demand: Demand) -> dict[tuple[str, Lane], list[tuple[float, ServiceTime]]]:
    """Arrivals a second at the peak and their times, by service and lane."""
    found: dict[tuple[str, Lane], list[tuple[float, ServiceTime]]] = {}
    for name, kind in kinds.items():
        for stage in kind.stages:
            rate = demand.per_day[name] * stage.visits * demand.peak / DAY_S
            if rate:
                found.setdefault((stage.service, stage.lane), []).append((rate, stage.time))
    return found


def _share(service: str, lane: Lane, parts: list[tuple[float, ServiceTime]], demand: Demand) -> Share:
    arrivals, time = math.fsum(rate for rate, _ in parts), ServiceTime.mixed(parts)
    places = servers_for(arrivals, time, wait_s=demand.wait_s)
    each = _places(lane, demand)
    queue = Queue(arrivals, time, math.ceil(places / each) * each)
    return Share(
        service, lane, arrivals, time, places, math.ceil(places / each), queue.utilisation, queue.wait_quantile_s(0.95)
    )


def _places(lane: Lane, demand: Demand) -> int:
    """What a replica works on at once: heavy jobs on each core; light ones share one interpreter, whatever its threads."""
    return demand.cores if lane == "heavy" else 1


def _with_rounds(shares: tuple[Share, ...], rounds: Kind | None, places: int, demand: Demand) -> tuple[Share, ...]:
    if rounds is None:
        return shares
    each = _places(rounds.stages[0].lane, demand)
    arrivals = demand.symbols / demand.within_s
    wait = 0.95 * demand.symbols * rounds.stages[0].mean_s / places
    own = Share(rounds.stages[0].service, rounds.stages[0].lane, arrivals, rounds.stages[0].time, places, math.ceil(places / each), arrivals * rounds.stages[0].mean_s / places, wait)  # fmt: skip
    return (*shares, own)


def _rounds_s(rounds: Kind | None, shares: tuple[Share, ...], demand: Demand) -> float:
    """Until the last is done, with all the places of the replicas that were planned for them."""
    if rounds is None:
        return 0.0
    places = shares[-1].replicas * _places(shares[-1].lane, demand)
    return math.ceil(demand.symbols / places) * rounds.stages[0].mean_s


def _memory_gb(known: Costs, shares: tuple[Share, ...]) -> float:
    jobs = sum(share.places for share in shares if share.lane == "heavy")
    fronts = sum(share.replicas for share in shares)
    return (fronts * known.front_mb + jobs * known.job_mb) / 1024
