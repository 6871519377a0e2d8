"""Works A and B of `bench/backtest.py` by backtrader: `order_target_percent` at a close, filled at the next open.

Bar after bar in Python: A is run on its first bars and B on its first pairs, and the times are scaled up (`share` says from how much);
final equity is that of what was run. C it would run in hours. Prints {work: {cpu_s, final, share}} as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import backtrader as bt
import numpy as np
import pandas as pd

FEE, SLIPPAGE, CASH = 1e-4, 4e-4, 1e6
A_BARS, B_PAIRS = 20_000, 3


class Targets(bt.Strategy):
    params = (("wanted", None),)

    def __init__(self) -> None:
        self.held = 0.0

    def next(self) -> None:
        target = self.p.wanted[len(self) - 1]
        if target == self.held:
            return
        self.held = target
        # Less what the fill costs: an order that cash cannot pay for is refused as a whole.
        self.order_target_percent(target=target / (1 + FEE + SLIPPAGE))


def run(open_: np.ndarray, close: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """CPU seconds and final equity."""
    frame = pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * 1.01,
            "low": np.minimum(open_, close) / 1.01,
            "close": close,
        },
        index=pd.date_range("1900-01-01", periods=len(close), freq="h"),
    )
    began = time.process_time()
    engine = bt.Cerebro(stdstats=False)
    engine.broker.setcash(CASH)
    engine.broker.setcommission(commission=FEE)
    engine.broker.set_slippage_perc(SLIPPAGE, slip_open=True)
    engine.adddata(bt.feeds.PandasData(dataname=frame, volume=None, openinterest=None))
    engine.addstrategy(Targets, wanted=target)
    engine.run()
    return time.process_time() - began, float(engine.broker.getvalue()) / CASH


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
