"""Which figures does Evolve show to Prometheus? Each is declared here once, with its help; docs/operations.md has the same table.

Those of services come from the bus, where their replicas note them, so every web server shows the same; those of HTTP are this process's own.
"""

from __future__ import annotations

import shutil
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evolve.clock import SYSTEM_CLOCK
from evolve.messaging import figures as counted
from evolve.messaging.bus import Lane, LaneState, QueueState, ReplicaInfo, ServerState
from evolve.messaging.figures import Exemplar, Key, Noted, newest, total
from evolve.security_events import EVENTS as EVENT_NAMES
from evolve.security_events import taken
from evolve.web.exposition import Family, Histogram, Shown, Value

BOUNDS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
WEB = "web"  # in the label `service`, of what this process reports itself

# --- this web server ---
HTTP_REQUESTS = Family("evolve_http_requests_total", "counter", "Requests answered over HTTP.", ("method", "route", "status"))  # fmt: skip
HTTP_DURATION = Family("evolve_http_request_duration_seconds", "histogram", "From the head of a request to the end of its answer.", ("method", "route"))  # fmt: skip
HTTP_IN_FLIGHT = Family("evolve_http_in_flight", "gauge", "Requests being answered, streams included.")
HTTP_STREAMS = Family("evolve_http_streams", "gauge", "Open event streams.")
JOBS = Family("evolve_jobs", "gauge", "Jobs this server knows, by state.", ("state",))
FEED = Family("evolve_feed_total", "counter", "Messages of the feed, and readers that fell behind.", ("what",))
DISK_FREE = Family("evolve_home_free_bytes", "gauge", "Free on the disk that holds the home of this web server.")
BUS_UP = Family("evolve_bus_up", "gauge", "Whether the server of the bus answers.")

# --- services ---
REQUESTS = Family("evolve_requests_total", "counter", "Requests that got their reply; code: ok, or of the error.", ("service", "type", "code"))  # fmt: skip
DURATION = Family("evolve_request_duration_seconds", "histogram", "From the start of a request's last attempt to its reply; exemplars: trace_id, request_id.", ("service", "type"))  # fmt: skip
WAIT = Family("evolve_request_wait_seconds", "histogram", "From being sent to being begun.", ("service", "lane"))
RETRIES = Family("evolve_retries_total", "counter", "Requests put off to be tried again.", ("service", "reason"))
TAKEN_OVER = Family("evolve_lease_takeovers_total", "counter", "Requests taken over from replicas that died or lost their lease.", ("service",))  # fmt: skip
LEASES_LOST = Family("evolve_leases_lost_total", "counter", "Requests that a living replica lost to another one.", ("service",))  # fmt: skip
DEAD_MADE = Family("evolve_dead_letters_made_total", "counter", "Requests given up, or not understood, by replicas.", ("service",))  # fmt: skip
JOB_DEATHS = Family("evolve_job_deaths_total", "counter", "Job processes that died at work.", ("service",))
VERDICTS = Family("evolve_sandbox_verdicts_total", "counter", "Programs that the safe executor ran, by how it ended.", ("service", "verdict"))  # fmt: skip
EVENTS = Family("evolve_security_events_total", "counter", "Refusals and attempts, by kind (security_events.py).", ("service", "event"))  # fmt: skip

# --- queues ---
DEPTH = Family("evolve_queue_depth", "gauge", "Requests not answered yet, those in work included.", ("service", "lane"))
OLDEST = Family("evolve_queue_oldest_seconds", "gauge", "Age of the oldest of them.", ("service", "lane"))
WAITING = Family("evolve_queue_waiting", "gauge", "Requests that no replica took yet.", ("service", "lane"))
WAITING_OLDEST = Family("evolve_queue_waiting_oldest_seconds", "gauge", "Age of the oldest of them.", ("service", "lane"))  # fmt: skip
DELAYED = Family("evolve_queue_delayed", "gauge", "Requests put off until their next attempt.", ("service",))
DEAD = Family("evolve_dead_letters", "gauge", "Requests that could not be answered, and are kept.", ("service",))

# --- replicas ---
REPLICAS = Family("evolve_replicas", "gauge", "Replicas heard of in the last seconds.", ("service",))
REPLICA_IN_FLIGHT = Family("evolve_replica_in_flight", "gauge", "Requests that a replica works on.", ("service", "replica"))  # fmt: skip
REPLICA_REQUESTS = Family("evolve_replica_requests_total", "counter", "Requests that a replica answered.", ("service", "replica"))  # fmt: skip
REPLICA_ERRORS = Family("evolve_replica_errors_total", "counter", "Of those, with an error.", ("service", "replica"))
REPLICA_SECONDS = Family("evolve_replica_request_seconds_total", "counter", "What the requests of a replica took together.", ("service", "replica"))  # fmt: skip
REPLICA_CPU = Family("evolve_replica_cpu_seconds_total", "counter", "Processor time of a replica's front, and of its job processes.", ("service", "replica", "part"))  # fmt: skip
REPLICA_RSS = Family("evolve_replica_resident_memory_bytes", "gauge", "Resident memory; what processes share counts in each.", ("service", "replica", "part"))  # fmt: skip
REPLICA_PSS = Family("evolve_replica_proportional_memory_bytes", "gauge", "Memory with what is shared divided by who shares it (Linux).", ("service", "replica", "part"))  # fmt: skip
REPLICA_FDS = Family("evolve_replica_open_fds", "gauge", "Open file descriptors.", ("service", "replica", "part"))
REPLICA_PROCESSES = Family(
    "evolve_replica_processes", "gauge", "Processes of the part.", ("service", "replica", "part")
)
REPLICA_START = Family("evolve_replica_start_time_seconds", "gauge", "When a replica began, Unix seconds.", ("service", "replica"))  # fmt: skip

# --- the server of the bus ---
SERVER_UPTIME = Family("evolve_server_uptime_seconds", "gauge", "Since the server began.", ("node",))
SERVER_PING = Family("evolve_server_ping_seconds", "gauge", "A round trip to the server, made for this scrape.", ("node",))  # fmt: skip
SERVER_MEMORY = Family("evolve_server_memory_used_bytes", "gauge", "Memory that the server uses.", ("node",))
SERVER_MEMORY_MAX = Family("evolve_server_memory_max_bytes", "gauge", "maxmemory; 0: no limit.", ("node",))
SERVER_EVICTED = Family("evolve_server_evicted_keys_total", "counter", "Keys thrown away for want of memory: requests among them, perhaps.", ("node",))  # fmt: skip
SERVER_CLIENTS = Family("evolve_server_connected_clients", "gauge", "Connections to the server.", ("node",))
SERVER_REJECTED = Family("evolve_server_rejected_connections_total", "counter", "Connections refused for being too many.", ("node",))  # fmt: skip
SERVER_COMMANDS = Family("evolve_server_commands_total", "counter", "Commands that the server processed.", ("node",))
SERVER_AOF = Family("evolve_server_aof_enabled", "gauge", "Whether the server keeps an append-only file.", ("node",))
SERVER_AOF_OK = Family("evolve_server_aof_last_write_ok", "gauge", "Whether its last write to that file succeeded.", ("node",))  # fmt: skip
SERVER_AOF_DELAYED = Family("evolve_server_aof_delayed_fsyncs_total", "counter", "Writes that had to wait for the disk.", ("node",))  # fmt: skip

FAMILIES: tuple[Family, ...] = tuple(one for one in list(globals().values()) if isinstance(one, Family))


@dataclass
class _Durations:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceLook:
    """What the bus knows of one service. noted: by replica, those that left together under one name."""

    queue: QueueState
    replicas: list[ReplicaInfo]
    lanes: Mapping[Lane, LaneState]
    noted: Mapping[str, Noted]


@dataclass(frozen=True, slots=True)
class BusLook:
    services: Mapping[str, ServiceLook]
    server: list[ServerState]


class Metrics:
    """The figures of this process, and the page of all."""

    def __init__(self, home: Path) -> None:
        self.in_flight = 0
        self.streams = 0
        self._home = home
        self._answers: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._durations: defaultdict[tuple[str, str], _Durations] = defaultdict(_Durations)
        self._events: Counter[str] = Counter()

    def answered(
        self, method: str, route: str, status: int, took_s: float, *, streamed: bool, found_by: Mapping[str, str]
    ) -> None:
        """streamed: it lasted as long as its reader stayed, which says nothing about us; found_by: labels of its exemplar."""
        method = method if method in ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS") else "other"
        self._answers[method, route, status] += 1
        if not streamed:
            durations, bucket = self._durations[method, route], bisect_left(BOUNDS_S, took_s)
            durations.counts[bucket] += 1
            durations.total_s += took_s
            if found_by:
                durations.exemplars[bucket] = Exemplar(dict(found_by), round(took_s, 6), SYSTEM_CLOCK.now())

    def families(self, jobs: Mapping[str, int], feed: Mapping[str, int], bus: BusLook | None) -> Iterable[Shown]:
        """Every family with its samples. bus: None when the server cannot be reached."""
        yield HTTP_REQUESTS, [Value((m, r, str(s)), n) for (m, r, s), n in sorted(self._answers.items())]
        yield (
            HTTP_DURATION,
            [
                Histogram(labels, BOUNDS_S, one.counts, one.total_s, one.exemplars)
                for labels, one in sorted(self._durations.items())
            ],
        )
        yield HTTP_IN_FLIGHT, [Value((), self.in_flight)]
        yield HTTP_STREAMS, [Value((), self.streams)]
        yield JOBS, [Value((state,), n) for state, n in sorted(jobs.items())]
        yield FEED, [Value((what,), n) for what, n in sorted(feed.items())]
        yield DISK_FREE, [Value((), shutil.disk_usage(self._home).free)] if self._home.exists() else []
        yield BUS_UP, [Value((), float(bus is not None))]
        self._events.update(taken())
        own = [Value((WEB, event), self._events[event]) for event in EVENT_NAMES]
        if bus is None:
            yield EVENTS, own
            return
        yield from _services(bus.services, own)
        yield from _queues(bus.services)
        yield from _replicas(bus.services)
        yield from _server(bus.server)


def _services(services: Mapping[str, ServiceLook], own_events: list[Value]) -> Iterable[Shown]:
    sums = {service: total(look.noted.values()) for service, look in services.items()}
    latest = {service: newest(look.noted.values()) for service, look in services.items()}

    def by(what: str) -> list[Value]:
        return [
            Value((service, *key[1:]), n)
            for service, counts in sums.items()
            for key, n in sorted(counts.items())
            if key[0] == what
        ]

    def histograms(what: str, of_sum: str) -> list[Histogram]:
        return [
            Histogram((service, kind), counted.BOUNDS_S, _buckets(counts, what, kind), seconds, _of(latest[service], what, kind))
            for service, counts in sums.items()
            for (name, *rest), seconds in sorted(counts.items())
            if name == of_sum
            for kind in rest
        ]  # fmt: skip

    yield REQUESTS, by(counted.REQUESTS)
    yield DURATION, histograms(counted.DURATIONS, counted.DURATION_SUMS)
    yield WAIT, histograms(counted.WAITS, counted.WAIT_SUMS)
    yield RETRIES, by(counted.RETRIES)
    # What has not happened yet is shown as 0, not left out: a rate sees the first time only then.
    for family, what in (
        (TAKEN_OVER, counted.TAKEN_OVER),
        (LEASES_LOST, counted.LEASES_LOST),
        (DEAD_MADE, counted.DEAD),
        (JOB_DEATHS, counted.JOB_DEATHS),
    ):
        yield family, [Value((service,), counts.get((what,), 0)) for service, counts in sums.items()]
    yield VERDICTS, by(counted.VERDICTS)
    yield (
        EVENTS,
        [
            *(
                Value((one, event), n.get((counted.EVENTS, event), 0))
                for one, n in sums.items()
                for event in EVENT_NAMES
            ),
            *own_events,
        ],
    )


def _buckets(counts: Mapping[Key, float], what: str, kind: str) -> list[float]:
    return [counts.get((what, kind, str(number)), 0) for number in range(len(counted.BOUNDS_S) + 1)]


def _of(latest: Mapping[Key, Exemplar], what: str, kind: str) -> dict[int, Exemplar]:
    return {int(key[2]): one for key, one in latest.items() if key[:2] == (what, kind)}


def _queues(services: Mapping[str, ServiceLook]) -> Iterable[Shown]:
    lanes = [(service, lane, state) for service, look in services.items() for lane, state in look.lanes.items()]
    yield DEPTH, [Value((service, lane), state.queued) for service, lane, state in lanes]
    yield OLDEST, [Value((service, lane), state.oldest_s) for service, lane, state in lanes]
    yield WAITING, [Value((service, lane), state.waiting) for service, lane, state in lanes]
    yield WAITING_OLDEST, [Value((service, lane), state.waiting_oldest_s) for service, lane, state in lanes]
    in_lanes = {name: sum(state.queued for state in look.lanes.values()) for name, look in services.items()}
    yield DELAYED, [Value((name,), max(0, look.queue.queued - in_lanes[name])) for name, look in services.items()]
    yield DEAD, [Value((name,), look.queue.dead) for name, look in services.items()]


def _replicas(services: Mapping[str, ServiceLook]) -> Iterable[Shown]:
    living = [(name, info) for name, look in services.items() for info in look.replicas]
    known = [(name, info.replica, found) for name, info in living if (found := services[name].noted.get(info.replica))]
    parts = [
        ((name, replica, part), consumed)
        for name, replica, noted in known
        for part, consumed in (("front", noted.front), ("jobs", noted.jobs))
        if consumed is not None
    ]

    def of_parts(family: Family, value: str) -> Shown:
        return family, [Value(labels, float(n)) for labels, one in parts if (n := getattr(one, value)) is not None]

    yield REPLICAS, [Value((name,), len(look.replicas)) for name, look in services.items()]
    yield REPLICA_IN_FLIGHT, [Value((name, info.replica), info.in_flight) for name, info in living]
    yield REPLICA_REQUESTS, [Value((name, replica), _answered(noted)) for name, replica, noted in known]
    yield REPLICA_ERRORS, [Value((name, replica), _answered(noted, errors=True)) for name, replica, noted in known]
    yield (
        REPLICA_SECONDS,
        [Value((name, replica), _sum(noted, counted.DURATION_SUMS)) for name, replica, noted in known],
    )
    yield of_parts(REPLICA_CPU, "cpu_s")
    yield of_parts(REPLICA_RSS, "rss_bytes")
    yield of_parts(REPLICA_PSS, "pss_bytes")
    yield of_parts(REPLICA_FDS, "fds")
    yield of_parts(REPLICA_PROCESSES, "processes")
    yield REPLICA_START, [Value((name, replica), noted.started) for name, replica, noted in known]


def _answered(noted: Noted, *, errors: bool = False) -> float:
    return sum(n for key, n in noted.counts.items() if key[0] == counted.REQUESTS and not (errors and key[2] == "ok"))


def _sum(noted: Noted, what: str) -> float:
    return sum(n for key, n in noted.counts.items() if key[0] == what)


def _server(server: list[ServerState]) -> Iterable[Shown]:
    for family, value in (
        (SERVER_UPTIME, "uptime_s"),
        (SERVER_PING, "ping_s"),
        (SERVER_MEMORY, "memory_used_bytes"),
        (SERVER_MEMORY_MAX, "memory_max_bytes"),
        (SERVER_EVICTED, "evicted_keys"),
        (SERVER_CLIENTS, "connected_clients"),
        (SERVER_REJECTED, "rejected_connections"),
        (SERVER_COMMANDS, "commands"),
        (SERVER_AOF, "aof_enabled"),
        (SERVER_AOF_OK, "aof_last_write_ok"),
        (SERVER_AOF_DELAYED, "aof_delayed_fsyncs"),
    ):
        yield family, [Value((one.node,), float(getattr(one, value))) for one in server]
