"""The strategy shown in docs/sandbox.md is the one in examples/, and it decides as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evolve.sandbox.executor import SafeExecutor

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "moving_average_cross.py"

pytestmark = pytest.mark.xdist_group("sandbox")


def test_the_page_shows_the_example_as_it_stands() -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")

    assert EXAMPLE.read_text(encoding="utf-8").strip() in [
        code.strip() for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    ]


def test_it_buys_while_the_fast_average_is_above_the_slow_one(tmp_path: Path) -> None:
    close = [1.0, 1.0, 1.0, 2.0, 3.0, 1.0, 0.5]
    # Means of the last two and of all four: 1.5 > 1.25, 2.5 > 1.75, 2 > 1.75, 0.75 < 1.625.
    with SafeExecutor(timeout_seconds=20, memory_limit_mb=128, home=tmp_path) as executor:
        run = executor.run_bars(
            EXAMPLE.read_text(encoding="utf-8"), "cross", [{"close": value} for value in close], {"fast": 2, "slow": 4}
        )

    assert run.result.status == "success", run.result.error
    assert run.decisions == ("FLAT", "FLAT", "FLAT", "BUY", "BUY", "BUY", "FLAT")
