"""A model that was saved outlives the process that made it: killed, not ended, and read by another one, it says the same numbers."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evolve.forecasting.base import families

TESTS = Path(__file__).resolve().parents[1]
NEURAL = ("lstm", "tcn", "transformer")
FAMILIES = [name for name in families() if name not in NEURAL or importlib.util.find_spec("torch") is not None]

COMMON = """
import sys
from evolve.forecasting.base import forecaster, restore
from evolve.memory.registry import Registry
from evolve.settings import Settings
from unit.forecasting.worlds import planted
from unit.memory.examples import card
BARS = planted("ar1", bars=700, seed=1, r2=0.2).bars
registry = Registry.open(Settings.load(home=sys.argv[1]))
def numbers(model):
    forecasts = model.predict(BARS, 600, 700)
    return [value.hex() for values in (forecasts.mean, forecasts.std) for value in values.tolist()]
"""

MAKER = """
import json, time
said = {}
for family in sys.argv[2:]:
    model = forecaster(family).fit(BARS.slice(0, 600), seed=1)
    described = card(model_type=family, timeframe="1d")
    registry.save(described, weights=model.to_bytes(), out_of_sample={}, request_id=family)
    said[described.model_id] = numbers(model)
print(json.dumps(said), flush=True)
sys.stdin.read()  # alive, its database open, until it is killed
"""

READER = """
import json
print(json.dumps({model_id: numbers(restore(registry.weights(model_id))) for model_id in sys.argv[2:]}))
"""


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", COMMON + code, *arguments]


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@pytest.mark.parametrize("families", [["ridge"], pytest.param(FAMILIES, marks=pytest.mark.prove)], ids=["one", "all"])
def test_every_family_forecasts_the_same_numbers_after_its_maker_was_killed(tmp_path, environment, families):
    command = python(MAKER, str(tmp_path), *families)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as maker:
        assert maker.stdout is not None
        before = json.loads(maker.stdout.readline())
        maker.kill()
    assert maker.returncode == -signal.SIGKILL

    shown = subprocess.run(
        python(READER, str(tmp_path), *before), capture_output=True, text=True, check=True, timeout=60, env=environment
    )

    assert len(before) == len(families)
    assert json.loads(shown.stdout) == before
