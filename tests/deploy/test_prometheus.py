"""Does a real Prometheus see what the dashboard and the alert rules ask for? It scrapes a running Evolve, evaluates every expression and sees services die."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from deploy.test_observability import PLACE, dashboard, rules
from homes import environment_of, fresh_home, until

pytestmark = [pytest.mark.prove, pytest.mark.timeout(300)]

INTERVAL = "3s"  # also what a scrape may take: a busy machine needs more than the second that would do
WINDOW = "30s"  # of Grafana's rates: ten scrapes
# The dashboard's expressions that show nothing in this run, and why.
EMPTY = {
    "evolve_retries_total": "no request was put off: a reason appears with its first",
    "evolve_server_memory_max_bytes": "the embedded server has no limit of memory, and 0 is not drawn",
    "evolve_security_events_total": "nothing was refused while it ran, and 0 is not drawn",
}


@dataclass
class Watched:
    """A running Evolve and the Prometheus that scrapes it."""

    home: Path
    address: str
    prometheus: str = ""

    def run(self, *arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "evolve", *arguments],
            env=environment_of(self.home, EVOLVE_WEB_PORT=self.address.rpartition(":")[2]),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout

    def asked(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of Prometheus' HTTP API."""
        with urllib.request.urlopen(f"{self.prometheus}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as reply:  # fmt: skip
            answer = json.load(reply)
        assert answer["status"] == "success", answer
        return answer["data"]

    def values(self, expression: str) -> list[dict[str, Any]]:
        return list(self.asked("/api/v1/query", query=expression)["result"])

    def state_of(self, alert: str, **labels: str) -> str:
        """Of the alert with these labels: firing, pending, or inactive."""
        states = [one["state"] for one in self.asked("/api/v1/alerts")["alerts"] if one["labels"]["alertname"] == alert and labels.items() <= one["labels"].items()]  # fmt: skip
        return next(iter(states), "inactive")


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def scraping(watched: Watched, place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Prometheus with the files of deploy/observability: only the target, the token's place and the intervals are this test's."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    token = place / "token"
    token.write_text(watched.run("token", "create", "prometheus", "--scope", "read").split()[-1])
    settings = yaml.safe_load((PLACE / "prometheus.yml").read_text())
    settings["global"] = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL}
    [job] = settings["scrape_configs"]
    job["authorization"]["credentials_file"] = str(token)
    job["static_configs"] = [{"targets": [watched.address]}]
    (place / "prometheus.yml").write_text(yaml.safe_dump(settings))
    shutil.copy(PLACE / "alerts.yml", place)
    listen = free_address()
    watched.prometheus = f"http://{listen}"
    options = [f"--config.file={place / 'prometheus.yml'}", f"--storage.tsdb.path={place / 'data'}", f"--web.listen-address={listen}", "--enable-feature=exemplar-storage"]  # fmt: skip
    with (place / "log").open("wb") as log, subprocess.Popen([program, *options], stderr=log) as running:
        try:
            yield running
        finally:
            running.terminate()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    place = tmp_path_factory.mktemp("prometheus")
    with fresh_home() as home:
        found = Watched(home, free_address())
        found.run("up")
        with scraping(found, place):
            until(lambda: scraped(found), what="the first scrape", within_s=30)
            yield found


def scraped(watched: Watched) -> bool:
    try:
        return bool(watched.values("evolve_bus_up == 1"))
    except OSError:
        return False


def worked(watched: Watched) -> None:
    """Some of everything that the dashboard shows: a model, an error, a program."""
    code = {"model_code": "def main(input_data):\n    return 1\n", "model_name": "one", "input_data": {}}
    asked = {"type": "execute_model", "data": code}
    watched.run("bus", "publish", "safe_executor_input", json.dumps(asked))
    watched.run("evaluate", "no-such-model", fails=True)
    watched.run("build", "ridge", "AAPL")


def panel_queries() -> list[str]:
    queries = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    return [one.replace("$__rate_interval", WINDOW).replace("$service", ".*") for one in queries]


def test_every_expression_is_evaluated_and_shows_something(watched: Watched) -> None:
    began = time.time()
    worked(watched)

    # A window may end between two things that happen: asked again until each has been seen.
    unseen = {one for one in panel_queries() if not any(name in one for name in EMPTY)}
    with contextlib.suppress(AssertionError):
        until(
            lambda: unseen.difference_update([one for one in unseen if watched.values(one)]) or not unseen, within_s=60
        )
    assert not unseen
    for one in [*panel_queries(), *(rule["expr"] for rule in rules())]:
        watched.values(one)
    for name in EMPTY:
        assert not any(watched.values(one) for one in panel_queries() if name in one), name
    loaded = [rule for group in watched.asked("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule["health"] for rule in loaded} == {rule["alert"]: "ok" for rule in rules()}

    found = watched.asked("/api/v1/query_exemplars", query="evolve_request_duration_seconds_bucket", start=str(began), end=str(time.time()))  # fmt: skip
    labels = [one["labels"] for series in found for one in series["exemplars"]]
    assert labels
    assert all({"request_id"} <= set(one) <= {"trace_id", "request_id"} for one in labels)
    assert labels[0]["request_id"] in watched.run("trace", labels[0]["request_id"])


def test_a_service_that_dies_and_a_web_server_that_dies_are_told(watched: Watched) -> None:
    """`for` of the rules holds: one minute for the service, of which this waits out all; the web server's two are seen to begin."""
    assert watched.state_of("EvolveReplicaMissing", service="updater") == "inactive"
    supervisor = int((watched.home / "run" / "supervisor.pid").read_text())
    status = json.loads(watched.run("status", "--json"))
    os.kill(supervisor, signal.SIGSTOP)  # or it would start another one at once
    try:
        for pid in status["services"]["updater"]["pids"]:
            psutil.Process(pid).kill()
        until(lambda: watched.state_of("EvolveReplicaMissing", service="updater") == "pending", what="pending", within_s=30)  # fmt: skip
        until(lambda: watched.state_of("EvolveReplicaMissing", service="updater") == "firing", what="firing", within_s=90)  # fmt: skip
        psutil.Process(status["web"][0]["pid"]).kill()
        until(lambda: watched.state_of("EvolveWebNotScraped") == "pending", what="the web server's alert", within_s=30)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    watched.run("up")  # nobody watches over the web server but who started it
    until(lambda: watched.state_of("EvolveWebNotScraped") == "inactive", what="the web server back", within_s=60)
    until(lambda: watched.state_of("EvolveReplicaMissing", service="updater") == "inactive", what="the updater back", within_s=60)  # fmt: skip
