"""The three works of `bench/backtest.py` by vectorbt, as its documentation advises: orders to a target share of equity at the open.

The caller lags: vectorbt fills on the bar that an order stands at. Prints {work: {cpu_s, final}} as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import vectorbt as vbt

FEE, SLIPPAGE = 1e-4, 4e-4
RUNS = 3


def orders(targets: np.ndarray) -> np.ndarray:
    """The target of the bar before where it changed, else no order."""
    before = np.zeros_like(targets)
    before[1:] = targets[:-1]
    changed = np.zeros(targets.shape, dtype=bool)
    changed[1:] = before[1:] != before[:-1]
    return np.where(changed, before, np.nan)


def final(close: np.ndarray, open_: np.ndarray, size: np.ndarray, **options: object) -> np.ndarray:
    portfolio = vbt.Portfolio.from_orders(
        close, size, size_type="targetpercent", price=open_, fees=FEE, slippage=SLIPPAGE, init_cash=1.0, freq="1D", **options
    )  # fmt: skip
    return np.atleast_1d(portfolio.final_value())


def main(path: str) -> None:
    data = np.load(path)

    def positions() -> np.ndarray:
        return final(data["a_close"], data["a_open"], orders(data["a_target"]))

    def sweep() -> np.ndarray:
        lines, pairs = data["b_lines"], data["b_pairs"]
        targets = (lines[pairs[:, 0]] > lines[pairs[:, 1]]).astype(np.float64).T
        return final(np.broadcast_to(data["b_close"][:, None], targets.shape), data["b_open"][:, None], orders(targets))

    def portfolio() -> np.ndarray:
        size = np.full(data["c_weights"].shape, np.nan)
        size[1:] = data["c_weights"][:-1]
        return final(data["c_close"], data["c_open"], size, group_by=True, cash_sharing=True, call_seq="auto")

    found = {}
    for name, work in {"A": positions, "B": sweep, "C": portfolio}.items():
        values = work()  # compiles, and is the answer
        spent = []
        for _ in range(RUNS):
            began = time.process_time()
            work()
            spent.append(time.process_time() - began)
        found[name] = {"cpu_s": float(np.median(spent)), "final": float(values.mean())}
        print(name, found[name], file=sys.stderr)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
