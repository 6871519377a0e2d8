"""Are honest programs left in peace? Indicators, models and plain Python that the gate must pass and the wall must carry."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evolve.sandbox.executor import SafeExecutor

HERE = Path(__file__).parent
pytestmark = pytest.mark.xdist_group("sandbox")


def programs() -> list[dict[str, Any]]:
    lines = [
        line
        for name in ("benign", "own_benign")
        for line in (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    found = [json.loads(line) for line in lines]
    if importlib.util.find_spec("sklearn") is None:
        found = [program for program in found if "sklearn" not in program["code"]]
    return found


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SafeExecutor]:
    with SafeExecutor(timeout_seconds=20, memory_limit_mb=512, home=tmp_path_factory.mktemp("home")) as executor:
        yield executor


@pytest.mark.parametrize("program", programs(), ids=lambda program: program["id"])
def test_an_honest_program_runs(executor: SafeExecutor, program: dict[str, Any]) -> None:
    result = executor.execute(program["code"], program["id"], program["input"], memory_limit_mb=program["memory_mb"])

    assert result.status == "success", result.error
    assert eval(program["expect"], {"r": result.return_value})
    json.dumps(result.to_dict(), allow_nan=False)
