"""How does a sweep grow with its workers, and what does a cluster cost over the processes of one machine?

The same pairs of symbol and family, scored as `evolve sweep` scores them: by one local worker, by two, and by two on a Dask and a Ray
cluster that are started here, where these are installed. Made-up bars: what is measured is the work, not the market.

A shared machine changes its speed by half within a minute, so no engine is measured after another: all of them are at the same sweep at the
same time, and take turns of five seconds, in which the processes of the others are stopped. An engine's wall clock is the sum of its turns; what
the machine did meanwhile, it did to all. What is paid once (connecting, importing) is shown apart. Beside the wall clock stands the CPU time
of all processes of an engine. The symbols come in a few sweeps, so that it is seen how far the ratios differ by themselves.

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
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import pairwise
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
SWEEPS = 2
TURN_S = 5.0


@dataclass(frozen=True, slots=True)
class Slice:
    """The symbols from `first` to before `last`, as one sweep. alone: by the process that is asked, without workers."""

    first: int
    last: int
    alone: bool = False


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
    for line in sys.stdin:
        asked = Slice(**json.loads(line))
        series = {f"S{number}": made_up(number, bars) for number in range(asked.first, asked.last)}
        print("run", json.dumps(asdict(_run(engine, 1 if asked.alone else workers, series, families))), flush=True)


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
    """cluster: its processes now; none of a local engine, whose workers are children of its driver."""

    name: str
    driver: subprocess.Popen[bytes]
    cluster: Callable[[], list[psutil.Process]]
    runs: list[Run] = field(default_factory=list)
    _wall_s: float = 0.0
    _before_s: float = 0.0
    _cpu_s: dict[int, float] = field(default_factory=dict)

    def ask(self, asked: Slice) -> None:
        self._wall_s, self._before_s = 0.0, self._seen_s()
        assert self.driver.stdin is not None
        self.driver.stdin.write(json.dumps(asdict(asked)).encode() + b"\n")

    def turn(self) -> bool:
        """A turn at what was asked: whether it was the last, whose run then is in `runs`."""
        awake = self._processes()
        _each(awake, psutil.Process.resume)
        started = time.perf_counter()
        answer = self._answer(started + TURN_S)
        self._wall_s += time.perf_counter() - started
        _each(awake, psutil.Process.suspend)
        self.stop()  # who was started in the turn
        seen_s = self._seen_s()
        if answer is None:
            return False
        run = Run(**json.loads(answer))
        self.runs.append(Run(self._wall_s, run.cpu_s + seen_s - self._before_s, run.scores))
        return True

    def stop(self) -> None:
        _each(self._processes(), psutil.Process.suspend)

    def _answer(self, until: float) -> str | None:
        assert self.driver.stdout is not None
        while select.select([self.driver.stdout], [], [], max(0.0, until - time.perf_counter()))[0]:
            line = self.driver.stdout.readline().decode()
            if not line:
                raise SystemExit(f"{self.name}: its process ended with {self.driver.wait(20)}")
            if line.startswith("run "):
                return line.removeprefix("run ")
        return None

    def _processes(self) -> list[psutil.Process]:
        """The driver first: stopped, it starts no more."""
        driver = psutil.Process(self.driver.pid)
        return [driver, *driver.children(recursive=True), *self.cluster()]

    def _seen_s(self) -> float:
        """CPU time of the cluster's processes so far, with that of those that have ended: the most that was seen of each."""
        for process in self.cluster():
            with suppress(psutil.NoSuchProcess):
                self._cpu_s[process.pid] = max(self._cpu_s.get(process.pid, 0.0), sum(process.cpu_times()[:2]))
        return sum(self._cpu_s.values())


def _each(processes: Sequence[psutil.Process], do: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            do(process)


@contextmanager
def engines(wanted: Sequence[str], families: str, bars: int) -> Iterator[list[Engine]]:
    with ExitStack() as stack:

        def driven(
            name: str, address: str, workers: int, cluster: Callable[[], list[psutil.Process]] = list, **more: str
        ) -> Engine:
            driver = subprocess.Popen(
                [sys.executable, __file__, "--drive", address, "--workers", str(workers), "--families", families, "--bars", str(bars)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **more},
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
        for engine in all_of_them:
            engine.stop()
        print("  first sweep, with all that is paid once: connecting, starting and importing (2 symbols)")
        for engine, run in zip(all_of_them, in_turns(all_of_them, Slice(symbols, symbols + 2)), strict=True):
            told(engine.name, run)
        # Workers of a cluster live from one sweep to the next; those that are forked anew begin with what their parent has loaded.
        in_turns(all_of_them, Slice(symbols, symbols + 1, alone=True))
        for engine in all_of_them:
            engine.runs.clear()
        edges = np.linspace(0, symbols, SWEEPS + 1).round().astype(int).tolist()
        for number, (first, last) in enumerate(pairwise(edges), start=1):
            in_turns(all_of_them, Slice(first, last))
            print(f"  sweep {number} of {SWEEPS}: " + ", ".join(f"{each.name} {each.runs[-1].wall_s:.1f} s" for each in all_of_them), flush=True)  # fmt: skip
        print("  all sweeps")
        sums = [Run(sum(run.wall_s for run in each.runs), sum(run.cpu_s for run in each.runs), "") for each in all_of_them]  # fmt: skip
        for engine, run in zip(all_of_them, sums, strict=True):
            told(engine.name, run)
        one, two, *clusters = all_of_them
        print(f"  2 workers over one: {sums[0].wall_s / sums[1].wall_s:.2f} times as fast, CPU {_percent(two, one, _cpu)}, results {_same(two, one)}")  # fmt: skip
        for there in clusters:
            print(f"  {there.name} over local: wall {_percent(there, two, _wall)}, CPU {_percent(there, two, _cpu)}, results {_same(there, one)}")  # fmt: skip


def in_turns(all_of_them: Sequence[Engine], asked: Slice) -> list[Run]:
    """One sweep by each, in turns."""
    for engine in all_of_them:
        engine.ask(asked)
    waiting = list(all_of_them)
    while waiting:
        waiting = [engine for engine in waiting if not engine.turn()]
        waiting = waiting[1:] + waiting[:1]
    return [engine.runs[-1] for engine in all_of_them]


def told(what: str, run: Run) -> None:
    print(f"    {what:<18} {run.wall_s:7.1f} s   CPU {run.cpu_s:7.1f} s", flush=True)


def _wall(run: Run) -> float:
    return run.wall_s


def _cpu(run: Run) -> float:
    return run.cpu_s


def _percent(over: Engine, under: Engine, of: Callable[[Run], float]) -> str:
    """What `over` takes more, of all sweeps, and the range of the single ones."""
    single = [100 * (of(mine) / of(theirs) - 1) for mine, theirs in zip(over.runs, under.runs, strict=True)]
    total = 100 * (sum(map(of, over.runs)) / sum(map(of, under.runs)) - 1)
    return f"{total:+.1f} % ({min(single):+.1f} to {max(single):+.1f})"


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
