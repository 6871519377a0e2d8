"""Does vectorbt end with the same equity? On random positions, to 1e-8.

vectorbt is no dependency (its licence has the Commons Clause): `bench/backtest.py` sets it up in an environment of its own, and this test
asks that one.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from evolve.backtest.engine import backtest_positions
from evolve.cards import Costs

PYTHON = Path(__file__).resolve().parents[3] / ".bench" / "backtest-vectorbt" / "bin" / "python"
ASKED = """
import json, sys
import numpy as np
import vectorbt as vbt
data = np.load(sys.argv[1])
found = []
for row in range(len(data["target"])):
    target, fee, slippage = data["target"][row], *data["rates"][row]
    before = np.concatenate([[0.0], target[:-1]])  # the caller lags
    size = np.where(before != np.concatenate([[0.0], before[:-1]]), before, np.nan)
    account = vbt.Portfolio.from_orders(
        data["close"][row], size, size_type="targetpercent", price=data["open"][row], fees=fee, slippage=slippage, init_cash=1.0, freq="1D"
    )
    found.append(float(account.final_value()))
print(json.dumps(found))
"""


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_the_final_equity_of_random_positions_is_that_of_vectorbt(tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("the oracle vectorbt is not installed: python bench/backtest.py sets it up")
    rng = np.random.default_rng(5)
    worlds, bars = 200, 300
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (worlds, bars)), axis=1))
    opens = close * np.exp(rng.normal(0, 0.003, (worlds, bars)))
    hold = rng.integers(1, 20, worlds)
    levels = np.array([-1.0, -0.5, -0.25, 0.0, 0.3, 0.5, 0.9, 1.0])
    target = np.array([np.repeat(rng.choice(levels, bars), each)[:bars] for each in hold])
    rates = rng.uniform(0, 0.001, (worlds, 2))
    np.savez(tmp_path / "worlds.npz", open=opens, close=close, target=target, rates=rates)

    asked = subprocess.run(
        [str(PYTHON), "-c", ASKED, str(tmp_path / "worlds.npz")], capture_output=True, text=True, check=True
    )
    ours = [
        backtest_positions(
            opens[row], close[row], target[row], Costs(1e4 * rates[row, 0], 1e4 * rates[row, 1]), bars_per_year=365
        ).equity[-1]
        for row in range(worlds)
    ]

    assert ours == pytest.approx(json.loads(asked.stdout), rel=1e-8)
