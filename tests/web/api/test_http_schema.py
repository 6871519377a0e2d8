"""schemathesis over the whole OpenAPI: what is sent by it, and against it, is answered as it says."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from evolve.client.core import all_requests
from evolve.manager.manager import ServiceManager
from web.api.web_servers import Web, web_in

pytestmark = pytest.mark.xdist_group("http-api")

SEED = 20_261_123
# The feed does not end; these would start and stop services, ask others on the network, and examine the machine that tests.
UNENDING_OR_DANGEROUS = (
    "stream_feed", "start_service", "stop_service", "restart_service", "start_all_services", "stop_all_services", "fetch_bars",
    "test_alert", "get_doctor",
)  # fmt: skip
LEFT_OUT = tuple(option for name in UNENDING_OR_DANGEROUS for option in ("--exclude-operation-id", name))
# Without services most answers are 503, which OpenAPI names: whether valid data are taken is seen where they run.
WITHOUT_SERVICES = ("--exclude-tag", "echo", "--exclude-checks", "not_a_server_error,positive_data_acceptance")


def fuzz(web: Web, directory: Path, examples: int, *options: str, phases: str = "fuzzing", threads: int = 4) -> None:
    program = Path(sys.executable).with_name("st")
    run = subprocess.run(
        [program, "run", f"{web.url}openapi.json", "--no-color", "--seed", str(SEED), "-n", str(examples),
         "-w", str(threads), "--phases", phases, "--generation-database", "none", "--request-timeout", "10", *options],
        cwd=directory, env={**os.environ, "PYTHONWARNINGS": "ignore"}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    log = (web.home / "logs" / "web_service.log").read_text()
    assert "a request failed" not in log


@pytest.mark.parametrize("mode", GenerationMode)
def test_one_request_of_an_operation_is_answered_as_it_says(web: Web, mode: GenerationMode) -> None:
    """Valid data and broken ones. In this process: the program `st` takes three times as long to begin."""
    described = schemathesis.openapi.from_url(f"{web.url}openapi.json")
    operations = [found.ok() for found in described.get_all_operations()]
    # What is broken is refused at once; what is valid waits for services that are not there.
    chosen = operations if mode is GenerationMode.NEGATIVE else random.Random(SEED).sample(operations, 25)
    for operation in chosen:
        sent = operation.definition.raw
        nothing_to_break = mode is GenerationMode.NEGATIVE and not (sent.get("parameters") or "requestBody" in sent)
        if sent["operationId"] in UNENDING_OR_DANGEROUS or "echo" in sent["tags"] or nothing_to_break:
            continue

        @seed(SEED)
        @settings(
            max_examples=1,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(generation_mode=mode))
        def one(case: Case) -> None:
            case.call_and_validate(timeout=10, excluded_checks=[not_a_server_error, positive_data_acceptance])

        one()
    assert "a request failed" not in (web.home / "logs" / "web_service.log").read_text()


@pytest.mark.prove
def test_many_over_all_operations(web: Web, tmp_path: Path) -> None:
    fuzz(web, tmp_path, 40, *LEFT_OUT, *WITHOUT_SERVICES, phases="examples,fuzzing")


@pytest.mark.prove
def test_every_border_of_every_schema(web: Web, tmp_path: Path) -> None:
    # One thread: Python 3.11's parser loses count of its depth when several recurse at once (SystemError).
    fuzz(web, tmp_path, 40, *LEFT_OUT, *WITHOUT_SERVICES, phases="coverage", threads=1)


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
