"""Is the OpenAPI document complete enough for generated clients? One that a public generator made of it alone asks real services."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from evolve.manager.manager import ServiceManager
from homes import PATIENCE_S
from web.api.web_servers import web_in

pytestmark = pytest.mark.prove

WAIT_S = 60  # the longest that the API keeps a connection for
MOVING_AVERAGE = """
def main(input_data):
    prices = input_data["price_data"]["prices"]
    return {"ma": sum(prices) / len(prices)}
"""


def operation(name: str) -> Any:
    return importlib.import_module(f"asked.api.{name}")


@pytest.fixture
def generator() -> str:
    pytest.importorskip("openapi_python_client", reason="openapi-python-client is not installed (group validators)")
    return "openapi_python_client"


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_generated_client_reads_answers_errors_and_jobs_as_types(
    generator: str, services: ServiceManager, on_path: Path
) -> None:
    with ExitStack() as stack, web_in(services.settings.home) as web:
        described = on_path / "openapi.json"
        described.write_text(json.dumps(web.get("/openapi.json").json()))
        made = subprocess.run(
            [sys.executable, "-m", generator, "generate", "--path", described, "--meta", "none", "--output-path",
             on_path / "asked"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        # What the generator cannot express it leaves out with a warning that names the operation or the schema.
        warned = made.stdout + made.stderr
        assert "/api/" not in warned
        assert "components" not in warned

        asked: Any = importlib.import_module("asked")
        models: Any = importlib.import_module("asked.models")
        client = stack.enter_context(asked.Client(base_url=web.url.rstrip("/"), timeout=httpx.Timeout(PATIENCE_S)))

        found = operation("model_builder.model_builder_list_models").sync(client=client, body=models.ListModels())
        assert isinstance(found, models.ModelsListed)
        assert found.models == []

        refused = operation("model_builder.model_builder_get_model_info").sync(
            client=client, body=models.GetModelInfo(model_id="nobody_made_me")
        )
        assert isinstance(refused, models.Problem)
        assert (refused.status, refused.code) == (404, "unknown_model")

        body = models.ExecuteIndicator.from_dict(
            {"indicator_code": MOVING_AVERAGE, "indicator_name": "mean", "price_data": {"prices": [1, 2, 6]}}
        )
        job = operation("safe_executor.safe_executor_execute_indicator").sync(
            client=client, body=body, prefer="respond-async"
        )
        assert isinstance(job, models.Job)
        until = time.monotonic() + PATIENCE_S
        while job.state not in ("succeeded", "failed", "cancelled"):
            assert time.monotonic() < until
            job = operation("jobs.get_job").sync(job.id, client=client)
        assert isinstance(job, models.JobWithResult)
        assert job.state == "succeeded"
        assert job.result["result"]["return_value"] == {"ma": 3.0}

        waited = operation("safe_executor.safe_executor_execute_indicator").sync(
            client=client, body=body, prefer=f"wait={WAIT_S}"
        )
        assert isinstance(waited, models.IndicatorExecuted)
        assert waited.result.return_value == {"ma": 3.0}
