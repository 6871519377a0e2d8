"""How does a sweep grow with its workers, and what does a cluster cost over the processes of one machine?

The same pairs of symbol and family, scored as `evolve sweep` scores them: by one local worker, by two, and by two on a Dask and a Ray
cluster that are started here, where these are installed. Made-up bars: what is measured is the work, not the market.

A shared machine changes its speed within minutes, so nothing is measured once and alone: each engine has a process that lives through the run,
the symbols come in slices, and every slice is done by each engine in turn, in another order each time. What counts is the ratio within a
slice; of these the median. A cluster whose turn it is not is stopped. What is paid once (connecting, importing) is shown apart. Beside the
wall clock stands the CPU time of all processes of an engine, which other work on the machine disturbs less.

    python bench/scale.py                                   100 symbols × 5 families, ten minutes on two cores
    python bench/scale.py --symbols 10 --engines local      a minute
"""

# ruff: noqa: E402 - the threads of numpy are decided before it is loaded

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy: a process whose arithmetic has threads is not forked

import argparse
import hashlib
import json
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

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

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from clusters import dask_processes, ray_processes

DAY_MS = 86_400_000
FAMILIES = "ridge,xgboost,lstm,tcn,transformer"
ROUNDS = 5
POLL_S = 0.25  # what a process did since is lost when it dies, and a worker of Ray may


@dataclass(frozen=True, slots=True)
class Slice:
    """The symbols from `first` to before `last`, as one sweep."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Run:
    """cpu_s: of the process that asked and all it waited for. scores: a hash of the results."""

    wall_s: float
    cpu_s: float
    scores: str


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


# ── The process that asks an engine ──────────────────────────────────────────────────────────────────────────────────


def drive(engine: str, workers: int, families: Sequence[str], bars: int) -> None:
    """One sweep for each line of the input: a slice in, a run out."""
    for number, line in enumerate(sys.stdin):
        if number == 1 and engine == "local":
            # Workers of a cluster live from one sweep to the next; those that are forked anew begin with what this process has loaded.
            _run("local", 1, {"S0": made_up(0, bars)}, families)
        asked = Slice(**json.loads(line))
        series = {f"S{number}": made_up(number, bars) for number in range(asked.first, asked.last)}
        print("run", json.dumps(asdict(_run(engine, workers, series, families))), flush=True)


def _run(engine: str, workers: int, series: dict[str, Bars], families: Sequence[str]) -> Run:
    def score(recipe: Recipe) -> SweepScore:
        return score_of(recipe, series[recipe.symbol])

    cpu_s, started = sum(os.times()[:4]), time.perf_counter()
    scores = map_work(score, longest_first(recipes_of(series, families)), workers=workers, engine=engine)
    wall_s = time.perf_counter() - started
    return Run(wall_s, sum(os.times()[:4]) - cpu_s, hashlib.sha256(repr(scores).encode()).hexdigest())


# ── The engines, each with its process and, of a cluster, its others ─────────────────────────────────────────────────


@dataclass
class Engine:
    """cluster: its processes now; none of a local engine, whose workers the driver waits for."""

    name: str
    driver: subprocess.Popen[str]
    cluster: Callable[[], list[psutil.Process]]
    runs: list[Run] = field(default_factory=list)
    _cpu_s: dict[int, float] = field(default_factory=dict)

    def sweep(self, asked: Slice) -> Run:
        with self._awake():
            before = self._seen_s()
            assert self.driver.stdin is not None
            self.driver.stdin.write(json.dumps(asdict(asked)) + "\n")
            self.driver.stdin.flush()
            said: list[str] = []
            reading = threading.Thread(target=lambda: said.extend(self._answer()))
            reading.start()
            while reading.is_alive():
                reading.join(POLL_S)
                self._seen_s()
            if not said:
                raise SystemExit(f"{self.name}: its process ended with {self.driver.wait()}")
            run = Run(**json.loads(said[0]))
            return Run(run.wall_s, run.cpu_s + self._seen_s() - before, run.scores)

    def _answer(self) -> Iterator[str]:
        assert self.driver.stdout is not None
        for line in self.driver.stdout:
            if line.startswith("run "):
                yield line.removeprefix("run ")
                return

    def _seen_s(self) -> float:
        """CPU time of the cluster's processes so far, with that of those that have ended: the most that was seen of each."""
        for process in self.cluster():
            with suppress(psutil.NoSuchProcess):
                self._cpu_s[process.pid] = max(self._cpu_s.get(process.pid, 0.0), sum(process.cpu_times()[:2]))
        return sum(self._cpu_s.values())

    @contextmanager
    def _awake(self) -> Iterator[None]:
        self._each(psutil.Process.resume)
        try:
            yield
        finally:
            self._each(psutil.Process.suspend)

    def _each(self, do: Callable[[psutil.Process], None]) -> None:
        for process in self.cluster():
            with suppress(psutil.NoSuchProcess):
                do(process)
        if self.driver.poll() is None:
            do(psutil.Process(self.driver.pid))


@contextmanager
def engines(wanted: Sequence[str], families: str, bars: int) -> Iterator[list[Engine]]:
    with ExitStack() as stack:

        def driven(
            name: str, address: str, workers: int, cluster: Callable[[], list[psutil.Process]] = list, **more: str
        ) -> Engine:
            driver = subprocess.Popen(
                [sys.executable, __file__, "--drive", address, "--workers", str(workers), "--families", families, "--bars", str(bars)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **more},
            )  # fmt: skip
            stack.callback(driver.wait, 20)
            stack.callback(driver.kill)
            return Engine(name, driver, cluster)

        found = [driven("local, 1 worker", "local", 1), driven("local, 2 workers", "local", 2)]
        for name, package in (("dask", "distributed"), ("ray", "ray")):
            if name in wanted and find_spec(package) is None:
                print(f"  {name}: not installed (pip install 'evolve-trading[{name}]')")
        if "dask" in wanted and find_spec("distributed"):
            dask = stack.enter_context(dask_processes())
            found.append(driven("dask, 2 workers", dask.engine, 2, dask.processes))
        if "ray" in wanted and find_spec("ray"):
            ray = stack.enter_context(ray_processes())
            found.append(driven("ray, 2 workers", ray.engine, 2, ray.processes, RAY_ADDRESS=ray.address))
        yield found


# ── What they took ───────────────────────────────────────────────────────────────────────────────────────────────────


def compare(symbols: int, families: str, bars: int, wanted: Sequence[str]) -> None:
    with engines(wanted, families, bars) as all_of_them:
        print("  first sweep, with all that is paid once: connecting, starting and importing (2 symbols)")
        for engine in all_of_them:
            told(engine.name, engine.sweep(Slice(symbols, symbols + 2)))
        edges = np.linspace(0, symbols, ROUNDS + 1).round().astype(int).tolist()
        for number in range(ROUNDS):
            turn = number % len(all_of_them)
            for engine in all_of_them[turn:] + all_of_them[:turn]:
                engine.runs.append(engine.sweep(Slice(edges[number], edges[number + 1])))
            print(f"  slice {number + 1} of {ROUNDS}: " + ", ".join(f"{each.name} {each.runs[-1].wall_s:.1f} s" for each in all_of_them), flush=True)  # fmt: skip
        print("  all slices")
        for engine in all_of_them:
            told(engine.name, Run(sum(run.wall_s for run in engine.runs), sum(run.cpu_s for run in engine.runs), ""))
        one, two, *clusters = all_of_them
        print(
            f"  2 workers over one: {_ratio(one, two, _wall):.2f} times as fast, CPU {_percent(two, one, _cpu)}, results {_same(two, one)}"
        )
        for there in clusters:
            print(
                f"  {there.name} over local: wall {_percent(there, two, _wall)}, CPU {_percent(there, two, _cpu)}, results {_same(there, one)}"
            )


def told(what: str, run: Run) -> None:
    print(f"    {what:<18} {run.wall_s:7.1f} s   CPU {run.cpu_s:7.1f} s", flush=True)


def _wall(run: Run) -> float:
    return run.wall_s


def _cpu(run: Run) -> float:
    return run.cpu_s


def _ratios(over: Engine, under: Engine, of: Callable[[Run], float]) -> list[float]:
    return [of(mine) / of(theirs) for mine, theirs in zip(over.runs, under.runs, strict=True)]


def _ratio(over: Engine, under: Engine, of: Callable[[Run], float]) -> float:
    return statistics.median(_ratios(over, under, of))


def _percent(over: Engine, under: Engine, of: Callable[[Run], float]) -> str:
    """The median, and the range it comes from."""
    found = [100 * (ratio - 1) for ratio in _ratios(over, under, of)]
    return f"{statistics.median(found):+.1f} % ({min(found):+.1f} to {max(found):+.1f})"


def _same(engine: Engine, other: Engine) -> str:
    return "equal" if [run.scores for run in engine.runs] == [run.scores for run in other.runs] else "DIFFER"


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--symbols", type=int, default=100)
    options.add_argument("--bars", type=int, default=450)
    options.add_argument("--families", default=FAMILIES)
    options.add_argument("--engines", default="local,dask,ray")
    options.add_argument("--drive", metavar="ADDRESS", help=argparse.SUPPRESS)
    options.add_argument("--workers", type=int, default=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.drive:
        drive(given.drive, given.workers, given.families.split(","), given.bars)
        return
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}: "
        f"{given.symbols} symbols of {given.bars} bars × {len(given.families.split(','))} families ({given.families})",
        flush=True,
    )
    compare(given.symbols, given.families, given.bars, given.engines.split(","))


if __name__ == "__main__":
    main()
