"""One trace from who asks to the job process, through real services; and what a collector that is away costs: nothing but spans."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from evolve.messaging.otlp import OpenTelemetry
from homes import environment_of, fresh_home, until
from integration.messaging.fronts import fronts_in
from otlp_collector import Collector, Spanned, collector

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

ASK = """
import sys
from evolve.client.client import ServiceClient
from evolve.settings import Settings
with ServiceClient(settings=Settings.load()) as client:
    reply = client.send_request("echo", "ask_itself", {"text": "t", "times": 2}, timeout=60)
    print(reply["request_id"], reply["text"])
    late = client.send_request("echo", "die", {}, timeout=60)
    print(late["code"])
"""

# The registry names Evolve's own services only.
REGISTER = """
from evolve import services
services.SERVICES["echo"] = "services_under_test.echo:EchoService"
"""


def lineage(span: Spanned, spans: list[Spanned]) -> list[str]:
    """The names from the span up to the root of its trace."""
    above = {one.id: one for one in spans}
    names = [span.name]
    while span.parent:
        span = above[span.parent]
        names.append(span.name)
    return names


def test_one_trace_leads_from_who_asks_to_the_job_processes_it_took(home: Path) -> None:
    with collector() as spans, fronts_in(home) as fronts:
        asyncio.run(fronts.start(**{ENDPOINT: spans.url}))
        asked = subprocess.run(
            [sys.executable, "-c", REGISTER + ASK], capture_output=True, text=True, timeout=90,
            env=environment_of(home, **{ENDPOINT: spans.url}),
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr
        request_id, text, code = asked.stdout.split()
        assert (text, code) == ("t0+t1", "job_died")
        until(lambda: len(spans.named("echo.die")) == 1 and len(spans.named("echo.slow_echo")) == 2, what="all spans")

    [root] = spans.named("ask echo.ask_itself")
    of_trace = [span for span in spans.spans if span.trace == root.trace]
    jobs = spans.named("job echo.slow_echo")
    assert [lineage(job, of_trace) for job in jobs] == 2 * [
        ["job echo.slow_echo", "echo.slow_echo", "ask echo.slow_echo", "job echo.ask_itself", "echo.ask_itself", "ask echo.ask_itself"]
    ]  # fmt: skip
    assert root.service == "client"
    assert root.attributes["messaging.message.id"] == request_id
    assert {span.service for span in of_trace if span is not root} == {"echo"}
    pids = {job.attributes["process.pid"] for job in [*jobs, *spans.named("job echo.ask_itself")]}
    assert len(pids) == 3
    assert os.getpid() not in pids
    [waited] = [span for span in spans.named("queue") if span.attributes["messaging.message.id"] == request_id]
    [handled] = spans.named("echo.ask_itself")
    assert root.start <= waited.start <= waited.end <= handled.end
    assert handled.start <= root.end
    assert waited.parent == root.id
    # A process that died is told of by its front.
    assert [spans.named(name)[0].error for name in ("job echo.die", "echo.die", "ask echo.die")] == 3 * ["job_died"]
    line = next(line for line in (home / "logs" / "echo_service.log").read_text().splitlines() if request_id in line)
    assert f"trace_id='{root.trace}'" in line


def told(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.strip()]


TELL = """
import json, sys, time
from evolve.messaging.otlp import OpenTelemetry
tracer = OpenTelemetry(sys.argv[1], "s")
longest = 0.0
for _ in range(6_000):
    started = time.perf_counter()
    tracer.span("n", kind="internal", parent=None, attributes={}).end()
    longest = max(longest, time.perf_counter() - started)
started = time.perf_counter()
tracer.flush()
print(json.dumps({"longest": longest, "flush": time.perf_counter() - started}))
"""


def spend(url: str) -> tuple[dict[str, float], list[str]]:
    """What a process that makes 6,000 spans, more than the queue holds, waits for them, and what it says."""
    done = subprocess.run([sys.executable, "-c", TELL, url], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), told(done.stderr)


@pytest.mark.parametrize("how", ["down", "refuses", "silent"])
def test_a_collector_that_takes_nothing_costs_one_warning_and_delays_nobody(how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with collector(status=503 if how == "refuses" else 200, silent=how == "silent") as spans:
        waited, said = spend(f"http://127.0.0.1:{port}" if how == "down" else spans.url)

    # A thread may be put aside by the machine; the ten seconds that the library's own exporter waits would show.
    assert waited["longest"] < 2.0
    assert waited["flush"] < 2.0
    assert len([line for line in said if "collector takes no spans" in line]) <= 1
    assert [line for line in said if "collector takes no spans" not in line] == []


def test_a_collector_that_comes_back_gets_what_comes_after(capsys: pytest.CaptureFixture[str]) -> None:
    with collector(status=400) as spans:  # which is not tried again
        tracer = OpenTelemetry(spans.url, "s")
        tracer.span("lost", kind="internal", parent=None, attributes={}).end()
        tracer.flush(30.0)
        spans.status = 200
        tracer.span("taken", kind="internal", parent=None, attributes={}).end()
        until(lambda: spans.named("taken"), what="the span")

    assert [span.name for span in spans.spans] == ["taken"]


def test_without_a_collector_no_exporter_is_loaded(home: Path) -> None:
    """redis-py loads OpenTelemetry's metrics where they are installed; nothing of ours does."""
    program = "import sys; import evolve.client.core, evolve.messaging.worker, evolve.web.guard; print([m for m in sys.modules if 'otlp' in m or m.endswith('sdk.trace')])"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment_of(home))

    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_a_question_of_the_cli_is_one_trace_through_all_services_it_needs() -> None:
    """`evolve ask` in a shell, nine real services, simulated bars: every span of one trace, from the CLI to the jobs."""
    with collector() as spans, fresh_home() as home:
        environment = environment_of(home, EVOLVE_SIMULATE="true", **{ENDPOINT: spans.url})
        asked = subprocess.run(
            [sys.executable, "-m", "evolve", "ask", "Give me the best model for AAPL over 90 days"],
            capture_output=True, text=True, timeout=600, env=environment,
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr
        subprocess.run([sys.executable, "-m", "evolve", "down"], env=environment, timeout=60, capture_output=True)

    _whole_trace(spans)


def _whole_trace(spans: Collector) -> None:
    [root] = [
        span for span in spans.spans if not span.parent and span.service == "client" and "process_query" in span.name
    ]
    of_trace = [span for span in spans.spans if span.trace == root.trace]
    assert {"client", "quant_gpt", "prompt_router"} <= {span.service for span in of_trace}
    jobs = [span for span in of_trace if span.name.startswith("job ")]
    assert jobs
    for span in of_trace:
        assert lineage(span, of_trace)[-1] == root.name
