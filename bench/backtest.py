"""What does a backtest cost: one symbol, a thousand parameter sets, five hundred symbols? Evolve's kernels beside four peers.

CPU seconds, warm (compiled before), medians, one run side by side; the same data, targets, fees and slippage for all, and the
final equity of each beside it, because a fast wrong answer is no answer. A peer that cannot do a work shows a dash, one that takes minutes is
run on a part and scaled up (~). Besides: the share of the memory bandwidth that the kernels reach, the two-thread sweep, a cold start
from the compiled cache, and a full trust card for five models on 3,000 bars. A peer is set up in an environment of its own under
`.bench/`, made on demand; one that cannot be installed or run is reported, never left out.

    python bench/backtest.py                            all
    python bench/backtest.py --write docs/performance.md
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from report.page import ROOT, load, provenance, write_section

from evolve.backtest.engine import backtest_positions
from evolve.backtest.portfolio import backtest_portfolio
from evolve.backtest.sweep import sweep_crossovers
from evolve.cards import Costs

COSTS = Costs(fee_bps=1.0, slippage_bps=4.0, borrow_bps_per_year=0.0)
DAYS = 252.0
RUNS = 15
RUNS_A_ROUND = 7
PEER_NAMES = ("vectorbt", "raptorbt", "backtesting", "backtrader")
PEERS = Path(__file__).resolve().parent / "peers"
ENVIRONMENTS = ROOT / ".bench"
WORKS = {
    "A": "one symbol, 500,000 bars, a new position every tenth bar",
    "B": "1,000 pairs of moving averages, 5,000 bars",
    "C": "500 symbols, 5,000 bars, new weights at every bar",
}


def data() -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(20_130_301)

    def prices(bars: int, *symbols: int) -> tuple[NDArray[Any], NDArray[Any]]:
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.002, (bars, *symbols)), axis=0))
        return np.concatenate([close[:1], close[:-1]]), close

    a_open, a_close = prices(500_000)
    target = np.repeat(rng.choice([0.0, 0.5, 1.0], 50_000), 10)
    b_open, b_close = prices(5_000)
    sums = np.concatenate([[0.0], np.cumsum(b_close)])
    lines = np.full((100, 5_000), np.nan)
    for row, window in enumerate(range(5, 105)):
        lines[row, window - 1 :] = (sums[window:] - sums[:-window]) / window
    c_open, c_close = prices(5_000, 500)
    weights = rng.random((5_000, 500))
    weights /= weights.sum(axis=1, keepdims=True)
    return {
        "a_open": a_open, "a_close": a_close, "a_target": target, "b_open": b_open, "b_close": b_close, "b_lines": lines,
        "b_pairs": rng.integers(0, 100, (1_000, 2)), "c_open": c_open, "c_close": c_close, "c_weights": weights,
    }  # fmt: skip


def works(given: dict[str, NDArray[Any]], engine: Any) -> dict[str, Callable[[], float]]:
    """Each work as Evolve does it; what it returns is the final equity."""
    return {
        "A": lambda: float(
            backtest_positions(given["a_open"], given["a_close"], given["a_target"], COSTS, bars_per_year=DAYS, engine=engine).equity[-1]
        ),
        "B": lambda: float(
            1 + sweep_crossovers(given["b_open"], given["b_close"], given["b_lines"], given["b_pairs"], COSTS, bars_per_year=DAYS, engine=engine)
            .total_return.mean()
        ),
        "C": lambda: float(
            backtest_portfolio(given["c_open"], given["c_close"], given["c_weights"], COSTS, bars_per_year=DAYS, engine=engine).equity[-1]
        ),
    }  # fmt: skip


class Rounds:
    """CPU seconds of the kernels and of the memory they move, taken in turn and in several rounds spread over the whole run.

    A neighbour of a rented machine takes memory bandwidth for seconds at a time: fifteen runs within one of them measure the neighbour.
    """

    def __init__(self, given: dict[str, NDArray[Any]]) -> None:
        self.own = works(given, "numba")
        self.once = {work: lambda names=names: [given[name].sum() for name in names] for work, names in MOVED.items()}
        self.final = {name: work() for name, work in self.own.items()}  # compiles, too
        self.spent: dict[str, list[float]] = {name: [] for name in self.own}
        self.moving: dict[str, list[float]] = {name: [] for name in self.once}

    def another(self) -> None:
        for name, work in self.own.items():
            self.spent[name] += [cpu_s(work) for _ in range(RUNS_A_ROUND)]
        for name, work in self.once.items():
            self.moving[name] += [cpu_s(work) for _ in range(RUNS_A_ROUND)]

    def found(self) -> dict[str, dict[str, float]]:
        return {name: {"cpu_s": statistics.median(self.spent[name]), "final": self.final[name]} for name in self.own}


def cpu_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


# What each work must read and write at least, in arrays of its bars: A reads open, close, target and writes equity, cash, quantity.
MOVED: dict[str, tuple[str, ...]] = {
    "A": ("a_open", "a_close", "a_target", "a_open", "a_close", "a_target"),
    "C": ("c_open", "c_close", "c_weights"),
}


def two_threads(given: dict[str, NDArray[Any]]) -> float:
    """CPU seconds of the busier of two threads that share the pairs of work B: the kernels let go of the interpreter's lock, so that
    this is the time it takes on two free cores, whatever else the machine does."""

    def half(pairs: NDArray[Any]) -> float:
        began = time.thread_time()
        sweep_crossovers(given["b_open"], given["b_close"], given["b_lines"], pairs, COSTS, bars_per_year=DAYS)
        return time.thread_time() - began

    with ThreadPoolExecutor(2) as pool:
        spent = [max(pool.map(half, np.array_split(given["b_pairs"], 2))) for _ in range(RUNS)]
    return statistics.median(spent)


COLD = """
import numpy as np
from evolve.backtest.engine import backtest_positions
from evolve.cards import Costs
price = np.linspace(100, 101, 100)
backtest_positions(price, price, np.zeros(100), Costs(1, 4), bars_per_year=252)
"""


def cold_start() -> float:
    """CPU seconds of a new process until its first backtest, the kernels compiled before."""
    spent = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-c", COLD], check=True)
        after = os.times()
        spent.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return statistics.median(spent)


def trust_card() -> dict[str, float]:
    """CPU seconds of a full trust card for five models on 3,000 bars, their forecasts stored: what the critic adds to training."""
    from evolve.agents.model_builder import BuildOrder, ModelBuilderAgent
    from evolve.agents.performance_critic import PerformanceCriticAgent
    from evolve.market.bars import Bars
    from evolve.market.store import BarStore
    from evolve.settings import Settings

    rng = np.random.default_rng(7)
    # A market that remembers: where there is nothing to find no model trades, and nothing is left to judge.
    returns = rng.normal(0.0003, 0.015, 3_000)
    for bar in range(1, 3_000):
        returns[bar] += 0.2 * returns[bar - 1]
    close = 100 * np.exp(np.cumsum(returns))
    opened = np.concatenate([[100.0], close[:-1]])
    bars = Bars(
        "BENCH", "1d", 1_262_304_000_000 + 86_400_000 * np.arange(3_000), opened, np.maximum(opened, close) * 1.001,
        np.minimum(opened, close) / 1.001, close, np.full(3_000, 1e6), "made for a benchmark", DAYS,
    )  # fmt: skip

    def silent(stage: str, done: int, total: int, message: str = "") -> None: ...

    with tempfile.TemporaryDirectory() as home:
        settings = Settings.load(home=Path(home), log_dir=Path(home))
        BarStore(settings.home).save(bars)
        builder, critic = ModelBuilderAgent.from_settings(settings), PerformanceCriticAgent.from_settings(settings)
        orders = [BuildOrder("ridge", "BENCH", "1d", hyperparameters={"alpha": alpha}) for alpha in (0.0, 10.0, 100.0)]
        orders += [
            BuildOrder("xgboost", "BENCH", "1d"),
            BuildOrder("xgboost", "BENCH", "1d", hyperparameters={"max_depth": 1}),
        ]
        began = time.process_time()
        ids = [
            builder.build(order, request_id=f"build-{place}", progress=silent).card.model_id
            for place, order in enumerate(orders)
        ]
        trained = time.process_time()
        critic.compare(
            ids, symbol=None, timeframe=None, period="90d", simulate=False, request_id="compare", progress=silent
        )
        return {"training": trained - began, "card": time.process_time() - trained}


def peer(name: str, path: Path) -> dict[str, dict[str, float]]:
    """The figures of a peer in its own environment. Raises CalledProcessError or OSError with why there are none."""
    environment = ENVIRONMENTS / f"backtest-{name}"
    python = environment / "bin" / "python"
    if not python.exists():
        print(f"installing {name} into {environment.relative_to(ROOT)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        requirements = PEERS / f"backtest_{name}.txt"
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(requirements)], check=True, timeout=600)
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(python), str(PEERS / f"backtest_{name}.py"), str(path)],
        check=True, capture_output=True, text=True, timeout=1200, env={**os.environ, **threads},
    )  # fmt: skip
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def _cell(found: dict[str, float] | None) -> str:
    return "–" if found is None else f"{'~' * ('share' in found)}{1000 * found['cpu_s']:,.1f}"


def _final(found: dict[str, float] | None, work: str, given: dict[str, NDArray[Any]]) -> str:
    """What became of 1; of a part of the work, beside ours on the same part."""
    if found is None:
        return "–"
    if "share" not in found:
        return f"{found['final']:.8g}"
    return f"{found['final']:.6g} (evolve {_on_part(work, found['share'], given):.6g})"


def _on_part(work: str, share: float, given: dict[str, NDArray[Any]]) -> float:
    if work == "A":
        part = slice(0, round(share * len(given["a_close"])))
        return float(backtest_positions(given["a_open"][part], given["a_close"][part], given["a_target"][part], COSTS, bars_per_year=DAYS).equity[-1])  # fmt: skip
    pairs = given["b_pairs"][: round(share * len(given["b_pairs"]))]
    return float(1 + sweep_crossovers(given["b_open"], given["b_close"], given["b_lines"], pairs, COSTS, bars_per_year=DAYS).total_return.mean())  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", type=Path, help="the page whose section `backtest` gets the table")
    arguments = parser.parse_args()
    before = load()
    given = data()
    rounds = Rounds(given)
    rounds.another()
    numpy_works = works(given, "numpy")
    twin = {name: {"cpu_s": cpu_s(work), "final": work()} for name, work in numpy_works.items()}
    figures = {"evolve (numba)": rounds.found(), "evolve (numpy)": twin}
    rounds.another()
    shared, cold, card = two_threads(given), cold_start(), trust_card()
    failed = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        np.savez(path, **given)
        for name in PEER_NAMES:
            rounds.another()
            try:
                figures[name] = peer(name, path)
            except (subprocess.SubprocessError, OSError) as error:
                failed[name] = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]
    rounds.another()
    own = figures["evolve (numba)"] = rounds.found()
    bounds = {work: statistics.median(spent) for work, spent in rounds.moving.items()}
    lines = [
        f"{provenance()}; load {before} before, {load()} after; CPU milliseconds, one thread, warm, medians (Evolve: of rounds before, between and after the peers); ~: run on a part and scaled up.",
        "",
        "| work | " + " | ".join(figures) + " | best peer ÷ evolve |",
        "|---" * (len(figures) + 2) + "|",
    ]
    for work, what in WORKS.items():
        cells = [_cell(each.get(work)) for each in figures.values()]
        rivals = [figures[name][work]["cpu_s"] for name in PEER_NAMES if work in figures.get(name, {})]
        ratio = f"{min(rivals) / own[work]['cpu_s']:,.0f}×" if rivals else "–"
        lines.append(f"| {work}: {what} | " + " | ".join(cells) + f" | {ratio} |")
    for work in WORKS:
        cells = [_final(each.get(work), work, given) for each in figures.values()]
        lines.append(f"| final equity {work}{' (mean)' * (work == 'B')} | " + " | ".join(cells) + " | |")
    lines += ["", "| promise | asked | measured |", "|---|---|---|"]
    lines += [
        f"| {what} | ≤ {most} | {found} |"
        for what, most, found in (
            ("A, one thread", "6.5 ms", f"{1000 * own['A']['cpu_s']:.1f} ms"),
            ("B, one thread", "43 ms", f"{1000 * own['B']['cpu_s']:.1f} ms"),
            ("B, two threads, CPU of the busier one", "25 ms", f"{1000 * shared:.1f} ms"),
            ("C, CPU", "4.5 ms", f"{1000 * own['C']['cpu_s']:.1f} ms"),
            ("cold start, compiled before, CPU", "2 s", f"{cold:.2f} s"),
            ("trust card, five models on 3,000 bars, CPU", "10 s", f"{card['card']:.1f} s (training them: {card['training']:.1f} s)"),
        )
    ]  # fmt: skip
    lines.append("")
    lines += [
        f"Moving the bytes of {work} once takes {1000 * bounds[work]:.1f} ms of CPU: the kernel works at {100 * bounds[work] / own[work]['cpu_s']:.0f} % of the memory bandwidth."
        for work in MOVED
    ]
    lines.append("B reads 40 KB of prices a thousand times, from the cache: no memory bandwidth bounds it.")
    lines += [f"{name} did not run: {why}" for name, why in failed.items()]
    text = "\n".join(lines)
    print(text)
    if arguments.write:
        write_section(arguments.write, "backtest", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
