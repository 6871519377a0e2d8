"""Work B of `bench/backtest.py` by raptorbt: its parameter sweep in Rust, on one thread, long while one average is above the other.

A and C are not among what it runs: its entries and exits take and leave whole positions, and target weights need rebalancing.
Prints {work: {cpu_s, final}} as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"

import numpy as np
import raptorbt

FEE, SLIPPAGE = 1e-4, 4e-4
RUNS = 3
DAY_NS = 86_400_000_000_000


def main(path: str) -> None:
    data = np.load(path)
    close, open_ = data["b_close"], data["b_open"]
    stamps = DAY_NS * np.arange(len(close), dtype=np.int64)
    high, low, volume = np.maximum(open_, close), np.minimum(open_, close), np.ones_like(close)
    config = raptorbt.BacktestConfig(initial_capital=1e6, fees=FEE, slippage=SLIPPAGE, fill_timing="next_bar_open")

    def sweep() -> float:
        lines, pairs = data["b_lines"], data["b_pairs"]
        above = lines[pairs[:, 0]] > lines[pairs[:, 1]]
        before = np.zeros_like(above)
        before[:, 1:] = above[:, :-1]
        items = [
            raptorbt.BatchSingleItem(str(row), above[row] & ~before[row], before[row] & ~above[row])
            for row in range(len(above))
        ]
        found = raptorbt.batch_single_backtest(stamps, open_, high, low, close, volume, items, config)
        return float(np.mean([result.equity_curve()[-1] for _, result in found])) / 1e6

    final = sweep()
    spent = []
    for _ in range(RUNS):
        began = time.process_time()
        sweep()
        spent.append(time.process_time() - began)
    print(json.dumps({"B": {"cpu_s": float(np.median(spent)), "final": final}}))


if __name__ == "__main__":
    main(sys.argv[1])
