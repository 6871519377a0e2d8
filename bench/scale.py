"""How does a sweep grow with its workers, and what does a cluster cost over the processes of one machine?

The same pairs of symbol and family (`--symbols`, `--families`) in a home of their own each time: one local worker, two, and two on a
Dask cluster started here where `distributed` is installed. Made-up bars: what is measured is the work, not the market.

    python bench/scale.py --symbols 8 --bars 800 --families ridge,xgboost
"""

# ruff: noqa: E402 - the threads of numpy are decided before it is loaded

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy: a process whose arithmetic has threads is not forked

import argparse
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np

from evolve.agents.sweep import score_of
from evolve.agents.track_record import FOLDS, first_train_bars
from evolve.cards import Recipe
from evolve.compute.work import map_work
from evolve.forecasting.base import forecaster
from evolve.forecasting.features import usable
from evolve.market.bars import Bars

DAY_MS = 86_400_000


def made_up(number: int, count: int) -> Bars:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(number).normal(0, 0.01, count)))
    time_ms = 946_684_800_000 + DAY_MS * np.arange(count)
    return Bars(symbol=f"S{number}", timeframe="1d", time=time_ms, open=close, high=close * 1.01, low=close * 0.99, close=close, volume=np.full(count, 1e6), source="made up", bars_per_year=252.0, currency="USD")  # fmt: skip


def recipes_of(series: dict[str, Bars], families: list[str]) -> list[Recipe]:
    return [
        Recipe(
            model_type=name, symbol=bars.symbol, timeframe="1d", features=usable(bars, ())[0], hyperparameters=dict(forecaster(name).settings(None)),
            horizon_bars=1, seed=0, folds=FOLDS, embargo_bars=0, first_train_bars=first_train_bars(len(bars), horizon_bars=1),
        )
        for bars in series.values()
        for name in families
    ]  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--symbols", type=int, default=8)
    options.add_argument("--bars", type=int, default=800)
    options.add_argument("--families", default="ridge,xgboost")
    given = options.parse_args()
    series = {f"S{number}": made_up(number, given.bars) for number in range(given.symbols)}
    recipes = recipes_of(series, given.families.split(","))

    def score(recipe: Recipe) -> object:
        return score_of(recipe, series[recipe.symbol])

    def measured(workers: int, engine: str = "local") -> tuple[float, list[object]]:
        started = time.perf_counter()
        return (
            found := map_work(score, recipes, workers=workers, engine=engine)
        ) and time.perf_counter() - started, found

    score(recipes[0])  # imports and compiled kernels are not what is compared
    two_s, two = measured(2)
    one_s, one = measured(1)
    print(f"{len(recipes)} pairs ({given.symbols} symbols of {given.bars} bars, {given.families})")
    print(f"  local, 1 worker   {one_s:7.1f} s")
    print(
        f"  local, 2 workers  {two_s:7.1f} s   {one_s / two_s:.2f} times as fast, results {'equal' if one == two else 'DIFFER'}"
    )
    if find_spec("distributed") is None:
        print("  Dask: not installed (pip install 'evolve-trading[dask]')")
        return
    address, processes = dask(workers=2)
    try:
        measured(2, address)  # workers import and compile
        there_s, there = measured(2, address)
    finally:
        for process in processes:
            process.kill()
    print(
        f"  Dask, 2 workers   {there_s:7.1f} s   {100 * (there_s / two_s - 1):+.1f} % over local, results {'equal' if there == one else 'DIFFER'}"
    )


def dask(workers: int) -> tuple[str, list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []

    def start(sign: str, *command: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        processes.append(process)
        assert process.stderr is not None
        return next(line for line in process.stderr if sign in line).split()[-1]

    scheduler = start(
        "Scheduler at:", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"
    )
    for _ in range(workers):
        start(
            "Registered to:",
            "distributed.cli.dask_worker",
            scheduler,
            "--nthreads",
            "1",
            "--no-dashboard",
            "--no-nanny",
        )
    return scheduler.replace("tcp://", "dask://"), processes


if __name__ == "__main__":
    main()
