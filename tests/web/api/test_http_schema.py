"""schemathesis over the whole OpenAPI: what is sent by it, and against it, is answered as it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evolve.client.core import all_requests
from evolve.manager.manager import ServiceManager
from web.api.web_servers import Web, web_in

pytestmark = pytest.mark.xdist_group("http-api")

SEED = 20_261_123
# The feed does not end; these would start and stop services, ask others on the network, and examine the machine that tests.
LEFT_OUT = (
    "--exclude-operation-id", "stream_feed",
    "--exclude-operation-id-regex", "^((start|stop|restart)_service|(start|stop)_all_services|fetch_bars|test_alert|get_doctor)$",
)  # fmt: skip
# Without services most answers are 503, which OpenAPI names: whether valid data are taken is seen where they run.
WITHOUT_SERVICES = ("--exclude-tag", "echo", "--exclude-checks", "not_a_server_error,positive_data_acceptance")


def fuzz(web: Web, directory: Path, examples: int, *options: str, phases: str = "fuzzing") -> None:
    program = Path(sys.executable).with_name("st")
    run = subprocess.run(
        [program, "run", f"{web.url}openapi.json", "--no-color", "--seed", str(SEED), "-n", str(examples), "-w", "4",
         "--phases", phases, "--generation-database", "none", "--request-timeout", "10", *LEFT_OUT, *options],
        cwd=directory, env={**os.environ, "PYTHONWARNINGS": "ignore"}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    log = (web.home / "logs" / "web_service.log").read_text()
    assert "a request failed" not in log


def test_a_sample_over_all_operations(web: Web, tmp_path: Path) -> None:
    fuzz(web, tmp_path, 1, *WITHOUT_SERVICES)


@pytest.mark.prove
def test_many_over_all_operations(web: Web, tmp_path: Path) -> None:
    fuzz(web, tmp_path, 40, *WITHOUT_SERVICES, phases="examples,coverage,fuzzing")


@pytest.mark.prove
def test_what_only_asks_is_answered_by_real_services_without_a_server_error(
    services: ServiceManager, tmp_path: Path
) -> None:
    """Only what reads and is quick: each of the others starts minutes of work."""
    quick = [
        f"{service}_{wire}"
        for service, requests in all_requests().items()
        for wire, cls in requests.items()
        if cls.effect == "read" and cls.slot != "heavy"
    ]
    chosen = [option for name in quick for option in ("--include-operation-id", name)]
    with web_in(services.settings.home) as web:
        # A schema cannot say which models, studies and cursors there are: 422 is an answer to valid data too.
        fuzz(web, tmp_path, 60, *chosen, "--exclude-tag", "echo", "--exclude-checks", "positive_data_acceptance")
