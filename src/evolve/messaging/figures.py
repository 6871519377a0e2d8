"""How much does a service answer, how fast, and what goes wrong? Counters that outlive the replica that counted.

A replica counts since its start, and notes all of it on the bus beside its heartbeat. When it leaves, or was given up for dead, its counts
are added to those of all that left before it, in one step: so the sum over a service only grows, whoever asks for it and however often.
One that comes back after that counts on from where it was added.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.messaging.bus import Bus, Lane

# Seconds: from an inline answer to an hour of training.
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
OTHER = (
    "other"  # in place of a request type that the service does not have: of those there are as many as anybody likes
)

# What is counted, and by which labels. Names on the bus only; what a scraper sees is declared in `web.metrics`.
REQUESTS = "requests"  # type, code (`ok`, or of the error)
DURATIONS = "durations"  # type, number of the bucket
DURATION_SUMS = "duration_sums"  # type
WAITS = "waits"  # lane, number of the bucket
WAIT_SUMS = "wait_sums"  # lane
TAKEN_OVER = "taken_over"
LEASES_LOST = "leases_lost"
RETRIES = "retries"  # why: `unavailable`, `job_process_gone` or `replica_died`
DEAD = "dead"
JOB_DEATHS = "job_deaths"
VERDICTS = "verdicts"  # what the service says of a run that it answered
EVENTS = "events"  # security events, by kind

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One request in the place of many. labels: trace_id and request_id as far as known; value: seconds; at: Unix seconds."""

    labels: dict[str, str]
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Consumed:
    """What a replica's processes take. cpu_s: since they began, those that ended included; pss_bytes: None where the system does not say."""

    cpu_s: float = 0.0
    rss_bytes: int = 0
    pss_bytes: int | None = None
    fds: int = 0
    processes: int = 0


@dataclass(frozen=True, slots=True)
class Noted:
    """What one replica has on the bus. Keys of counts: what is counted, then its labels."""

    counts: Mapping[Key, float] = field(default_factory=dict)
    latest: Mapping[Key, Exemplar] = field(default_factory=dict)
    front: Consumed | None = None
    jobs: Consumed | None = None
    started: float = 0.0

    @classmethod
    def read(cls, raw: bytes) -> Noted:
        found: dict[str, Any] = orjson.loads(raw)
        latest = {_key(name): Exemplar(*value) for name, value in found.get("latest", {}).items()}
        front, jobs = found.get("front"), found.get("jobs")
        return cls(
            {_key(name): float(value) for name, value in found["counts"].items()},
            latest,
            Consumed(**front) if front else None,
            Consumed(**jobs) if jobs else None,
            float(found.get("started", 0.0)),
        )


class Figures:
    """What one replica counts. For one thread: the loop of its front."""

    def __init__(self, types: Iterable[str], clock: Clock = SYSTEM_CLOCK) -> None:
        self._types = frozenset(types)
        self._clock = clock
        self._started = clock.now()
        self._counts: defaultdict[Key, float] = defaultdict(float)
        self._latest: dict[Key, Exemplar] = {}
        self._on_the_bus: dict[Key, float] = {}
        self._before: dict[Key, float] = {}  # what was added to the counts of those that left, though we are here still
        self.changed = True

    def count(self, what: str, *labels: str, by: float = 1) -> None:
        self._counts[what, *labels] += by
        self.changed = True

    def ended(self, request_type: str, code: str) -> None:
        """A request got its reply; code: `ok`, or that of its error."""
        self.count(REQUESTS, self._known(request_type), code)

    def took(self, request_type: str, lane: Lane, seconds: float, waited_s: float, labels: dict[str, str]) -> None:
        """How long it was worked on, and had waited; labels: what finds it again in logs and traces."""
        kind, bucket = self._known(request_type), str(bisect_left(BOUNDS_S, seconds))
        self._counts[DURATIONS, kind, bucket] += 1
        self._counts[DURATION_SUMS, kind] += seconds
        self._counts[WAITS, lane, str(bisect_left(BOUNDS_S, waited_s))] += 1
        self._counts[WAIT_SUMS, lane] += waited_s
        if labels:
            self._latest[DURATIONS, kind, bucket] = Exemplar(labels, seconds, self._clock.now())
        self.changed = True

    def _known(self, request_type: str) -> str:
        return request_type if request_type in self._types else OTHER

    async def note(self, bus: Bus, service: str, replica: str, front: Consumed, jobs: Consumed) -> None:
        """Put all of it on the bus. Raises Unavailable."""
        now = dict(self._counts)
        self.changed = False
        anew = await bus.note_figures(service, replica, self._raw(now, front, jobs))
        if anew and self._on_the_bus:
            # We were given up for dead meanwhile: what had been noted was added to the counts of those that left.
            self._before = self._on_the_bus
            await bus.note_figures(service, replica, self._raw(now, front, jobs))
        self._on_the_bus = now

    def _raw(self, counts: Mapping[Key, float], front: Consumed, jobs: Consumed) -> bytes:
        ours = {key: round(value - self._before.get(key, 0.0), 6) for key, value in counts.items()}
        return orjson.dumps(
            {
                "counts": {_name(key): value for key, value in ours.items() if value},
                "latest": {_name(key): (one.labels, round(one.value, 6), one.at) for key, one in self._latest.items()},
                "front": asdict(front),
                "jobs": asdict(jobs),
                "started": self._started,
            }
        )


def _name(key: Key) -> str:
    return "|".join(key)


def _key(name: str) -> Key:
    return tuple(name.split("|"))


def total(noted: Iterable[Noted]) -> dict[Key, float]:
    """The counts of all replicas together."""
    sums: defaultdict[Key, float] = defaultdict(float)
    for one in noted:
        for key, value in one.counts.items():
            sums[key] += value
    return dict(sums)


def newest(noted: Iterable[Noted]) -> dict[Key, Exemplar]:
    """Of each bucket, the exemplar that is the most recent."""
    found: dict[Key, Exemplar] = {}
    for one in noted:
        for key, exemplar in one.latest.items():
            if key not in found or exemplar.at > found[key].at:
                found[key] = exemplar
    return found
