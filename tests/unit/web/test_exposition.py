"""The page for Prometheus: what an independent reader makes of it, in both formats, and what the documentation says of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from architecture.project_files import ROOT
from evolve.messaging import figures
from evolve.messaging.bus import GONE, LaneState, QueueState, ReplicaInfo, ServerState
from evolve.messaging.figures import Consumed, Exemplar, Noted
from evolve.web.exposition import accepted, page
from evolve.web.metrics import FAMILIES, BusLook, Metrics, ServiceLook

TRACE = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "request_id": "r-1"}


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    metrics = Metrics(tmp_path)
    metrics.answered("POST", "/api/v1/echo/echo", 200, 0.003, streamed=False, found_by=TRACE)
    return metrics


def bus() -> BusLook:
    counts = {
        (figures.REQUESTS, "echo", "ok"): 5.0,
        (figures.REQUESTS, "echo", "busy"): 1.0,
        (figures.DURATIONS, "echo", "4"): 5.0,
        (figures.DURATION_SUMS, "echo"): 0.1,
        (figures.WAITS, "light", "0"): 5.0,
        (figures.WAIT_SUMS, "light"): 0.001,
        (figures.RETRIES, "unavailable"): 2.0,
        (figures.VERDICTS, "timeout"): 1.0,
        (figures.EVENTS, "path_refused"): 3.0,
    }
    living = Noted(
        counts,
        {(figures.DURATIONS, "echo", "4"): Exemplar(TRACE, 0.02, 100.0)},
        Consumed(cpu_s=2.5, rss_bytes=1000, pss_bytes=400, fds=9, processes=1),
        Consumed(cpu_s=9.0, rss_bytes=3000, pss_bytes=None, fds=20, processes=2),
        started=50.0,
    )
    left = Noted({(figures.REQUESTS, "echo", "ok"): 100.0})
    look = ServiceLook(
        QueueState(queued=4, oldest_s=9.0, dead=1),
        [ReplicaInfo("a", 1, "h", in_flight=2)],
        {"light": LaneState(3, 9.0, 1, 2.0), "heavy": LaneState()},
        {"a": living, GONE: left},
    )
    server = ServerState("n", 10.0, 0.001, 5000, 0, 0, 3, 0, 77, aof_enabled=True, aof_last_write_ok=False, aof_delayed_fsyncs=6)  # fmt: skip
    return BusLook({"echo": look}, [server])


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read_open_metrics(text)
        for sample in family.samples
    }


def test_an_independent_reader_takes_both_formats_and_finds_the_same(metrics: Metrics) -> None:
    shown = list(metrics.families({"running": 1}, {"heard": 2}, bus()))
    newer = page(shown, open_metrics=True)
    older = page(shown, open_metrics=False)

    old = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read_text(older)
        for sample in family.samples
    }
    assert samples(newer) == old
    assert " # {" not in older


def test_what_is_shown_is_what_was_declared_and_all_of_it(metrics: Metrics) -> None:
    """Every family appears, under its own name and labels: so whoever names one of FAMILIES names what a scraper gets."""
    text = page(metrics.families({"running": 1}, {"heard": 2}, bus()), open_metrics=False)

    found = {(family.name, family.type): family for family in read_text(text)}
    for family in FAMILIES:
        shown = found[family.name.removesuffix("_total"), family.kind]
        assert shown.documentation == family.help
        assert shown.samples, family.name
        for sample in shown.samples:
            assert sample.name in family.samples
            assert set(sample.labels) - {"le"} == set(family.labels)
    assert len(found) == len(FAMILIES)


def test_an_exemplar_leads_to_the_trace_of_its_request(metrics: Metrics) -> None:
    text = page(metrics.families({}, {}, bus()), open_metrics=True)

    exemplars = {
        (sample.name, sample.labels["le"]): sample.exemplar
        for family in read_open_metrics(text)
        for sample in family.samples
        if sample.exemplar is not None
    }
    found = exemplars["evolve_request_duration_seconds_bucket", "0.025"]
    assert (found.labels, found.value, float(found.timestamp)) == (TRACE, 0.02, 100.0)
    assert exemplars["evolve_http_request_duration_seconds_bucket", "0.005"].labels == TRACE


def test_sums_hold_what_replicas_that_left_had_counted(metrics: Metrics) -> None:
    found = samples(page(metrics.families({}, {}, bus()), open_metrics=True))

    def of(name: str, **labels: str) -> float:
        return found[name, tuple(sorted(labels.items()))]

    assert of("evolve_requests_total", service="echo", type="echo", code="ok") == 105
    assert of("evolve_replica_requests_total", service="echo", replica="a") == 6
    assert of("evolve_replica_errors_total", service="echo", replica="a") == 1
    assert of("evolve_request_duration_seconds_bucket", service="echo", type="echo", le="0.01") == 0
    assert of("evolve_request_duration_seconds_count", service="echo", type="echo") == 5
    assert of("evolve_lease_takeovers_total", service="echo") == 0
    assert of("evolve_queue_waiting_oldest_seconds", service="echo", lane="light") == 2
    assert of("evolve_queue_delayed", service="echo") == 1
    assert of("evolve_replica_cpu_seconds_total", service="echo", replica="a", part="jobs") == 9
    assert (
        "evolve_replica_proportional_memory_bytes",
        (("part", "jobs"), ("replica", "a"), ("service", "echo")),
    ) not in found
    assert of("evolve_server_aof_last_write_ok", node="n") == 0


def test_without_the_server_this_processs_own_are_shown(metrics: Metrics) -> None:
    found = samples(page(metrics.families({}, {}, None), open_metrics=True))

    assert found["evolve_bus_up", ()] == 0
    assert not [name for name, _ in found if name.startswith(("evolve_queue", "evolve_server", "evolve_replica"))]


@pytest.mark.parametrize(
    ("accept", "newer"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
        ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        ("application/openmetrics-text;q=0.1,text/plain", False),
        ("text/html", False),
    ],
)  # fmt: skip
def test_openmetrics_goes_to_who_prefers_it(accept: str, newer: bool) -> None:
    """The second is what Prometheus 1 sent, the fourth what Prometheus 2 sends."""
    assert accepted(accept) is newer


@pytest.mark.prove
def test_promtool_finds_nothing_to_complain_of(metrics: Metrics) -> None:
    """Names, units and help as Prometheus's own linter wants them."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    text = page(metrics.families({"running": 1}, {"heard": 2}, bus()), open_metrics=False)

    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_documentation_has_every_metric_as_it_is_declared() -> None:
    table = (ROOT / "docs" / "operations.md").read_text()

    rows = dict(re.findall(r"^\| `(evolve_[a-z_]+)(?:\{[^`]*\})?` \| (.*) \|$", table, re.MULTILINE))
    expected = {
        family.name: f"{family.kind} | {', '.join(family.labels) or '–'} | {family.help}" for family in FAMILIES
    }
    assert rows == expected
