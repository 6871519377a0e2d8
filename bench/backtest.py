"""What does a backtest cost: one symbol, a thousand parameter sets, five hundred symbols? Evolve's kernels beside vectorbt's.

CPU seconds, warm (compiled before), medians, one run side by side; the same data, targets, fees and slippage for all, and the
final equity of each beside it, because a fast wrong answer is no answer. A peer is set up in an environment of its own under
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


def ours(given: dict[str, NDArray[Any]], engine: Any, runs: int) -> dict[str, dict[str, float]]:
    works: dict[str, Callable[[], float]] = {
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
    found = {}
    for name, work in works.items():
        final = work()
        spent = []
        for _ in range(runs):
            began = time.process_time()
            work()
            spent.append(time.process_time() - began)
        found[name] = {"cpu_s": statistics.median(spent), "final": final}
    return found


def reading_once(given: dict[str, NDArray[Any]]) -> float:
    """CPU seconds to read all that work C reads, once: below that no kernel can go."""
    spent = []
    for _ in range(RUNS):
        began = time.process_time()
        for name in ("c_open", "c_close", "c_weights"):
            given[name].sum()
        spent.append(time.process_time() - began)
    return statistics.median(spent)


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


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", type=Path, help="the page whose section `backtest` gets the table")
    arguments = parser.parse_args()
    before = load()
    given = data()
    figures = {"evolve (numba)": ours(given, "numba", RUNS), "evolve (numpy)": ours(given, "numpy", 1)}
    bound = reading_once(given)
    failed = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        np.savez(path, **given)
        try:
            figures["vectorbt"] = peer("vectorbt", path)
        except (subprocess.SubprocessError, OSError) as error:
            failed["vectorbt"] = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]
    best = (
        {work: min(each[work]["cpu_s"] for name, each in figures.items() if "evolve" not in name) for work in WORKS}
        if len(figures) > 2
        else {}
    )
    own = figures["evolve (numba)"]
    lines = [
        f"{provenance()}; load {before} before, {load()} after; CPU milliseconds, one thread, warm, medians.",
        "",
        "| work | " + " | ".join(figures) + " | best peer ÷ evolve |",
        "|---" * (len(figures) + 2) + "|",
    ]
    for work, what in WORKS.items():
        cells = [f"{1000 * each[work]['cpu_s']:,.1f}" for each in figures.values()]
        ratio = f"{best[work] / own[work]['cpu_s']:,.0f}×" if best else "–"
        lines.append(f"| {work}: {what} | " + " | ".join(cells) + f" | {ratio} |")
    lines.append("| final equity A, B (mean), C | " + " | ".join(", ".join(f"{each[work]['final']:.8g}" for work in WORKS) for each in figures.values()) + " | |")  # fmt: skip
    lines += [
        "",
        f"Reading the prices and weights of C once takes {1000 * bound:.1f} ms of CPU: the kernel needs {own['C']['cpu_s'] / bound:.1f} times that.",
    ]
    lines += [f"{name} did not run: {why}" for name, why in failed.items()]
    text = "\n".join(lines)
    print(text)
    if arguments.write:
        write_section(arguments.write, "backtest", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
