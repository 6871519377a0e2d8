"""How much is asked, and how long does it take? Counters of this process and the queues of the services, as Prometheus reads them.

Source: the Prometheus text exposition format, version 0.0.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evolve.messaging.bus import QueueState, ReplicaInfo

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

Sample = tuple[Mapping[str, str], float]


@dataclass
class _Durations:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Queues:
    """What the bus knows of one service."""

    queue: QueueState
    replicas: list[ReplicaInfo]


class Metrics:
    def __init__(self) -> None:
        self.in_flight = 0
        self.streams = 0
        self._answers: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._durations: defaultdict[tuple[str, str], _Durations] = defaultdict(_Durations)

    def answered(self, method: str, route: str, status: int, took_s: float, *, streamed: bool) -> None:
        """streamed: it lasted as long as its reader stayed, which says nothing about us."""
        method = method if method in ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS") else "other"
        self._answers[method, route, status] += 1
        if not streamed:
            durations = self._durations[method, route]
            durations.counts[bisect_left(BOUNDS_S, took_s)] += 1
            durations.total_s += took_s

    def page(self, jobs: Mapping[str, int], feed: Mapping[str, int], services: Mapping[str, Queues] | None) -> str:
        """The whole exposition. services: None when the server cannot be reached."""
        lines = [
            *_family("evolve_http_requests_total", "counter", "Requests answered.", self._answered()),
            *self._histogram(),
            *_family(
                "evolve_http_in_flight", "gauge", "Requests being answered, streams included.", [({}, self.in_flight)]
            ),
            *_family("evolve_http_streams", "gauge", "Open event streams.", [({}, self.streams)]),
            *_family("evolve_jobs", "gauge", "Jobs this server knows, by state.", _by("state", jobs)),
            *_family(
                "evolve_feed_total", "counter", "Messages of the feed, and readers that fell behind.", _by("what", feed)
            ),
            *_family(
                "evolve_bus_up", "gauge", "Whether the server of the bus answers.", [({}, float(services is not None))]
            ),
        ]
        if services is not None:
            lines += _of_services(services)
        return "\n".join(lines) + "\n"

    def _answered(self) -> Iterable[Sample]:
        for (method, route, status), count in sorted(self._answers.items()):
            yield {"method": method, "route": route, "status": str(status)}, count

    def _histogram(self) -> list[str]:
        name = "evolve_http_request_duration_seconds"
        lines = [f"# HELP {name} From the head of a request to the end of its answer.", f"# TYPE {name} histogram"]
        for (method, route), durations in sorted(self._durations.items()):
            labels = {"method": method, "route": route}
            running = 0
            for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), durations.counts, strict=True):
                running += count
                lines.append(_line(f"{name}_bucket", {**labels, "le": bound}, running))
            lines += [_line(f"{name}_sum", labels, durations.total_s), _line(f"{name}_count", labels, running)]
        return lines


def _of_services(services: Mapping[str, Queues]) -> list[str]:
    def each(name: str, help: str, value: str) -> list[str]:
        samples = [({"service": service}, float(getattr(state.queue, value))) for service, state in services.items()]
        return _family(name, "gauge", help, samples)

    alive = [({"service": service}, float(len(state.replicas))) for service, state in services.items()]
    work = [({"service": s}, float(sum(one.in_flight for one in state.replicas))) for s, state in services.items()]
    return [
        *each("evolve_queue_depth", "Requests not answered yet.", "queued"),
        *each("evolve_queue_oldest_seconds", "Age of the oldest request in the queue.", "oldest_s"),
        *each("evolve_dead_letters", "Requests that could not be answered.", "dead"),
        *_family("evolve_replicas", "gauge", "Replicas heard of in the last seconds.", alive),
        *_family("evolve_replica_in_flight", "gauge", "Requests that replicas work on.", work),
    ]


def _by(label: str, counts: Mapping[str, int]) -> Iterable[Sample]:
    return [({label: name}, count) for name, count in sorted(counts.items())]


def _family(name: str, kind: str, help: str, samples: Iterable[Sample]) -> list[str]:
    return [
        f"# HELP {name} {help}",
        f"# TYPE {name} {kind}",
        *(_line(name, labels, value) for labels, value in samples),
    ]


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    number = str(int(value)) if value == int(value) else repr(float(value))
    return f"{name}{{{inner}}} {number}" if inner else f"{name} {number}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
