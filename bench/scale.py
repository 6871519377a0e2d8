"""How does a sweep grow with its workers, and what does a cluster cost over the processes of one machine?

The same pairs of symbol and family, scored as `evolve sweep` scores them: by one local worker, by two, and by two on a Dask and a Ray
cluster that are started here, where these are installed. Made-up bars: what is measured is the work, not the market. Beside the
wall clock stands the CPU time of all processes of a run, which other work on the machine disturbs less. A cluster is measured twice:
at its first sweep, when its workers import what they compute with, and at the next.

    python bench/scale.py                                   100 symbols × 5 families, ten minutes on two cores
    python bench/scale.py --symbols 8 --engines local       a minute
"""

# ruff: noqa: E402 - the threads of numpy are decided before it is loaded

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy: a process whose arithmetic has threads is not forked

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec

import numpy as np
import psutil

from evolve.agents.sweep import longest_first, score_of
from evolve.agents.track_record import FOLDS, first_train_bars
from evolve.cards import Recipe
from evolve.compute.work import map_work
from evolve.forecasting.base import forecaster
from evolve.forecasting.features import usable
from evolve.market.bars import Bars
from evolve.memory.sweep_scores import SweepScore

DAY_MS = 86_400_000
FAMILIES = "ridge,xgboost,lstm,tcn,transformer"


@dataclass(frozen=True, slots=True)
class Run:
    wall_s: float
    cpu_s: float
    scores: tuple[SweepScore, ...]


def made_up(number: int, count: int) -> Bars:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(number).normal(0, 0.01, count)))
    time_ms = 946_684_800_000 + DAY_MS * np.arange(count)
    return Bars(symbol=f"S{number}", timeframe="1d", time=time_ms, open=close, high=close * 1.01, low=close * 0.99, close=close, volume=np.full(count, 1e6), source="made up", bars_per_year=252.0, currency="USD")  # fmt: skip


def recipes_of(series: dict[str, Bars], families: Sequence[str]) -> list[Recipe]:
    return [
        Recipe(
            model_type=name, symbol=bars.symbol, timeframe="1d", features=usable(bars, ())[0], hyperparameters=dict(forecaster(name).settings(None)),
            horizon_bars=1, seed=0, folds=FOLDS, embargo_bars=0, first_train_bars=first_train_bars(len(bars), horizon_bars=1),
        )
        for bars in series.values()
        for name in families
    ]  # fmt: skip


def sweep_of(series: dict[str, Bars], families: Sequence[str]) -> Callable[[int, str], Run]:
    recipes = longest_first(recipes_of(series, families))

    def score(recipe: Recipe) -> SweepScore:
        return score_of(recipe, series[recipe.symbol])

    def run(workers: int, engine: str) -> Run:
        cpu, started = _cpu_s(), time.perf_counter()
        scores = map_work(score, recipes, workers=workers, engine=engine)
        wall_s = time.perf_counter() - started
        return Run(wall_s, _cpu_s() - cpu, tuple(scores))

    return run


def _cpu_s() -> float:
    """Of this process, of the children that it has waited for, and of those that run (clusters)."""
    total = sum(psutil.Process().cpu_times()[:4])
    for child in psutil.Process().children(recursive=True):
        try:
            total += sum(child.cpu_times()[:4])
        except psutil.NoSuchProcess:  # an interpreter that Ray retired meanwhile
            continue
    return total


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--symbols", type=int, default=100)
    options.add_argument("--bars", type=int, default=600)
    options.add_argument("--families", default=FAMILIES)
    options.add_argument("--engines", default="local,dask,ray")
    given = options.parse_args()
    families = given.families.split(",")
    series = {f"S{number}": made_up(number, given.bars) for number in range(given.symbols)}
    run = sweep_of(series, families)
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}: "
        f"{given.symbols} symbols of {given.bars} bars × {len(families)} families ({given.families})",
        flush=True,
    )
    two = run(2, "local")
    told("local, 2 workers", two)
    one = run(1, "local")
    told("local, 1 worker", one)
    print(
        f"  2 workers {one.wall_s / two.wall_s:.2f} times as fast as one (CPU {100 * (two.cpu_s / one.cpu_s - 1):+.1f} %), results {_same(two, one)}"
    )
    for name, package, cluster in (("dask", "distributed", dask_cluster), ("ray", "ray", ray_cluster)):
        if name not in given.engines.split(","):
            continue
        if find_spec(package) is None:
            print(f"  {name}: not installed (pip install 'evolve-trading[{name}]')")
            continue
        with cluster(workers=2) as address:
            for which in ("first", "next"):
                there = run(2, address)
                told(f"{name}, 2 workers, {which} sweep", there)
                print(
                    f"    over local: wall {100 * (there.wall_s / two.wall_s - 1):+.1f} %, CPU {100 * (there.cpu_s / two.cpu_s - 1):+.1f} %, results {_same(there, one)}",
                    flush=True,
                )


def told(what: str, run: Run) -> None:
    print(f"  {what:<28} {run.wall_s:7.1f} s   CPU {run.cpu_s:7.1f} s", flush=True)


def _same(run: Run, other: Run) -> str:
    return "equal" if run.scores == other.scores else "DIFFER"


@contextmanager
def dask_cluster(workers: int) -> Iterator[str]:
    processes: list[subprocess.Popen[str]] = []

    def start(sign: str, *command: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        processes.append(process)
        assert process.stderr is not None
        return next(line for line in process.stderr if sign in line).split()[-1]

    try:
        scheduler = start("Scheduler at:", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")  # fmt: skip
        for _ in range(workers):
            start("Registered to:", "distributed.cli.dask_worker", scheduler, "--nthreads", "1", "--no-dashboard", "--no-nanny")  # fmt: skip
        yield scheduler.replace("tcp://", "dask://")
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@contextmanager
def ray_cluster(workers: int) -> Iterator[str]:
    place = tempfile.mkdtemp(dir="/tmp")  # a longer path does not fit into its sockets
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
    head = subprocess.Popen(
        [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--num-cpus={workers}", "--port=0", "--include-dashboard=false",
            f"--temp-dir={place}", "--object-store-memory=200000000", "--block",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert head.stdout is not None
        address = next(line for line in head.stdout if "--address=" in line).split("'")[1]
        os.environ["RAY_ADDRESS"] = address
        yield "ray://auto"
    finally:
        head.terminate()
        head.communicate()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
