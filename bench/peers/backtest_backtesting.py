"""Works A and B of `bench/backtest.py` by backtesting.py: a strategy called at every bar, orders in units, filled at the next open.

It trades whole units, so the account holds a million and equity is divided by it. Bar after bar in Python: A is run on its first
bars and B on its first pairs, and the times are scaled up (`share` says from how much); final equity is that of what was run. C (many symbols in one account) it
cannot. Prints {work: {cpu_s, final, share}} as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

FEE, SLIPPAGE, CASH = 1e-4, 4e-4, 1e6
A_BARS, B_PAIRS = 50_000, 10


class Targets(Strategy):
    """Holds a target share of equity, traded only where it changes."""

    wanted: np.ndarray

    def init(self) -> None:
        self.held = 0.0

    def next(self) -> None:
        target = self.wanted[len(self.data) - 1]
        if target == self.held:
            return
        self.held = target
        price = self.data.Close[-1]
        units = int(target * self.equity / (price * (1 + FEE + 2 * SLIPPAGE))) - self.position.size
        if units > 0:
            self.buy(size=units)
        elif units < 0:
            self.sell(size=-units)


def run(open_: np.ndarray, close: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """CPU seconds and final equity."""
    frame = pd.DataFrame(
        {"Open": open_, "High": np.maximum(open_, close), "Low": np.minimum(open_, close), "Close": close},
        index=pd.date_range("1900-01-01", periods=len(close), freq="h"),
    )
    strategy = type("Wanted", (Targets,), {"wanted": target})
    began = time.process_time()
    # It charges the spread where a trade is opened, and none where it is closed: both legs at once.
    result = Backtest(frame, strategy, cash=CASH, commission=FEE, spread=2 * SLIPPAGE).run()
    return time.process_time() - began, float(result["Equity Final [$]"]) / CASH


def main(path: str) -> None:
    data = np.load(path)
    spent, final = run(data["a_open"][:A_BARS], data["a_close"][:A_BARS], data["a_target"][:A_BARS])
    share = A_BARS / len(data["a_close"])
    found = {"A": {"cpu_s": spent / share, "final": final, "share": share}}
    lines, pairs = data["b_lines"], data["b_pairs"]
    each = [
        run(data["b_open"], data["b_close"], (lines[up] > lines[down]).astype(float)) for up, down in pairs[:B_PAIRS]
    ]
    share = B_PAIRS / len(pairs)
    found["B"] = {
        "cpu_s": sum(spent for spent, _ in each) / share, "final": float(np.mean([final for _, final in each])), "share": share,
    }  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
