"""How good are the model families on real bars, and what does a fit cost?

Walks every family forward (five refits) over the bundled daily bars of AAPL, MSFT, GOOG and IBM, scores it against forecasting no
change, and measures one fit on 2,500 bars and one-row predictions in CPU time. Volatility and bands are scored on the same bars;
where `arch` is installed, on its S&P 500 too. An LSTM is trained beside darts and neuralforecast, each in an environment of its own
under `.bench/`, made on demand; one that cannot be installed or run is reported, never left out. Prints the tables of docs/models.md.

    python bench/models.py [--write docs/models.md] [--only cost,training]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import gzip
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
from report.page import ROOT, load, provenance, write_section

from evolve.agents.outlook import bands_out_of_sample
from evolve.agents.track_record import FOLDS
from evolve.compute.local import map_work
from evolve.errors import Unavailable
from evolve.forecasting import features
from evolve.forecasting.base import FittedForecaster, HyperValue, families, forecaster
from evolve.forecasting.learned import Learned, training_samples
from evolve.forecasting.neural import NeuralForecaster
from evolve.forecasting.training import Hardware, Precision, Training, train, trained_on, with_head
from evolve.forecasting.volatility import bar_variance, ewma_variance, fit_volatility
from evolve.forecasting.walk_forward import OutOfSample, out_of_sample
from evolve.market.bars import Bars
from evolve.market.indicators import log_returns
from evolve.market.sources.base import BarSpec
from evolve.market.sources.sample import SampleSource
from evolve.market.sources.simulated import SimulatedSource
from evolve.statistics.comparison import diebold_mariano
from evolve.statistics.garch import fit_garch
from evolve.statistics.scores import out_of_sample_r2, qlike, relative_mae
from evolve.statistics.splits import walk_forward

if TYPE_CHECKING:
    from torch import nn

SYMBOLS = ("AAPL", "MSFT", "GOOG", "IBM")
FIRST_TRAIN_BARS = 1000
FIT_BARS = 2500
ONE_ROW_RUNS = 300
SEED = 1
SIGNIFICANT = 0.05
NETWORKS = ("lstm", "tcn", "transformer")
LEARNED_FIVE = ("lstm", "tcn", "transformer", "xgboost", "ensemble")
INVENTED = ("NVDA", "TSLA", "AMZN", "BTCUSDT")  # what eight symbols cost does not depend on what moved them
WORKERS = 2
PEERS = ("darts", "neuralforecast")
ENVIRONMENTS = ROOT / ".bench"
# One LSTM, the same for all: what the family here uses, on 2,048 windows, so that each pass is eight steps of 256.
WINDOW, BATCH, HIDDEN, RATE, DECAY, ROWS = 10, 256, 8, 0.005, 0.01, 2048
PASSES = (10, 40)  # the difference is what 240 steps cost, without the start
FEW_PASSES = (1, 4)  # of wide networks, which take a hundred times as long
TRAINING_RUNS = 3
Steps = dict[str, dict[str, float]]
"""By number of passes: CPU seconds, and how many steps they took."""
HyperSize = dict[str, HyperValue]


def real(symbol: str) -> Bars:
    return SampleSource().load(BarSpec(symbol, "1d"))


def sp500() -> Bars | None:
    """The S&P 500 of the package arch (1999–2018), where it is installed: a benchmark's data set, not one of ours."""
    found = importlib.util.find_spec("arch")
    if found is None or not found.submodule_search_locations:
        return None
    # Read as a file: importing the package would load pandas and statsmodels for a table of numbers.
    with gzip.open(Path(found.submodule_search_locations[0]) / "data/sp500/sp500.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    column = {name: np.array([float(row[name]) for row in rows]) for name in ("Open", "High", "Low", "Close", "Volume")}
    days = [datetime.datetime.strptime(row["Date"], "%m/%d/%Y").replace(tzinfo=datetime.UTC) for row in rows]
    return Bars(
        symbol="S&P 500", timeframe="1d", time=np.array([int(day.timestamp() * 1000) for day in days]),
        open=column["Open"], close=column["Close"], volume=column["Volume"],
        # Its quotes of high and low are rounded otherwise than those of open and close.
        high=np.maximum.reduce([column["High"], column["Open"], column["Close"]]),
        low=np.minimum.reduce([column["Low"], column["Open"], column["Close"]]),
        source="arch.data", bars_per_year=252.0,
    )  # fmt: skip


def walked(family: str, bars: Bars) -> OutOfSample:
    folds = walk_forward(len(bars), folds=FOLDS, first_train_bars=FIRST_TRAIN_BARS, embargo_bars=0)
    return out_of_sample(forecaster(family), bars, folds, seed=SEED)


def skill_table(names: list[str]) -> list[str]:
    """One row per family: relative MAE (R², p) by symbol, then one sentence per symbol."""
    lines = [
        f"| family | {' | '.join(SYMBOLS)} | mean relative MAE | CPU s a walk |",
        f"|---|{'---|' * len(SYMBOLS)}---|---|",
    ]
    better: dict[str, list[str]] = {symbol: [] for symbol in SYMBOLS}
    for family in names:
        cells, ratios, spent = [], [], []
        for symbol in SYMBOLS:
            bars = real(symbol)
            started = time.process_time()
            forecasts = walked(family, bars)
            spent.append(time.process_time() - started)
            realised = log_returns(bars.close)[FIRST_TRAIN_BARS + 1 :]
            mean = forecasts.mean[:-1]
            mae = relative_mae(mean, realised, np.zeros_like(realised)).value
            r2 = out_of_sample_r2(mean, realised).value
            test = diebold_mariano((mean - realised) ** 2, realised**2, horizon_bars=1, alternative="less")
            if test.p is not None and test.p < SIGNIFICANT:
                better[symbol].append(f"{family} (p = {test.p:.3f})")
            p_value = "–" if test.p is None else f"{test.p:.2f}"
            cells.append(f"{mae:.4f} ({100 * r2:+.2f} %, {p_value})")
            ratios.append(mae)
        lines.append(f"| {family} | {' | '.join(cells)} | {np.mean(ratios):.4f} | {statistics.median(spent):.2f} |")
    lines.append("")
    lines.append("In a cell: MAE relative to no change (R² against no change, one-sided Diebold–Mariano p-value).")
    lines.append("")
    for symbol, winners in better.items():
        said = (
            f"better than no change at 5 %, one test at a time: {', '.join(winners)}"
            if winners
            else "**nothing beats naive here**"
        )
        lines.append(f"- {symbol}: {said}")
    return lines


def volatility_table(_: list[str]) -> list[str]:
    """QLIKE of tomorrow's variance, and how often bands held."""
    lines = [
        "| series | EWMA of squared returns | EWMA of ranges | GARCH(1,1) | log-HAR | full | full / EWMA | full / log-HAR | 90 % band held | worst half-year |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    index = sp500()
    for bars in (*([index] if index is not None else []), *(real(symbol) for symbol in SYMBOLS)):
        loss = variance_losses(bars)
        share, worst = band_coverage(bars)
        lines.append(
            f"| {bars.symbol} | {loss['squares']:.3f} | {loss['ewma']:.3f} | {loss['garch']:.3f} | {loss['log_har']:.3f} | {loss['full']:.3f} | "
            f"{loss['full'] / loss['ewma']:.2f} | {loss['full'] / loss['log_har']:.2f} | {share:.1%} | {worst:.1%} |"
        )
    return lines


def variance_losses(bars: Bars) -> dict[str, float]:
    variance, squares = bar_variance(bars), log_returns(bars.close) ** 2
    squares[0] = 0.0
    ahead = variance[FIRST_TRAIN_BARS + 1 :]
    made: dict[str, list[np.ndarray]] = {"log_har": [], "full": []}
    garch = []
    for fold in walk_forward(len(bars) - 1, folds=FOLDS, first_train_bars=FIRST_TRAIN_BARS, embargo_bars=0):
        for method, parts in made.items():
            fitted = fit_volatility(bars.slice(0, fold.train_stop), method=method)
            parts.append(fitted.variance(bars.slice(0, fold.test_stop), fold.test_start))
        known = log_returns(bars.close)[1 : fold.test_stop]
        of_returns = fit_garch(known[: fold.train_stop - 1])
        # It knows returns between closes; its level is brought to that of gaps and ranges, as the bars it was fitted on have it.
        level = variance[1 : fold.train_stop].mean() / of_returns.variance.mean()
        garch.append(
            level * of_returns.continued(known[fold.train_stop - 1 :])[fold.test_start - fold.train_stop + 1 :]
        )
    forecasts = {method: np.concatenate(parts) for method, parts in {**made, "garch": garch}.items()}
    forecasts["ewma"] = ewma_variance(variance)[FIRST_TRAIN_BARS:-1]
    forecasts["squares"] = ewma_variance(squares)[FIRST_TRAIN_BARS:-1]
    return {name: float(qlike(forecast, ahead).value) for name, forecast in forecasts.items()}


def band_coverage(bars: Bars) -> tuple[float, float]:
    """Of the 90 % bands around "no change": the share that held, and that of the worst 126 days in a row."""
    forecasts = walked("naive", bars)
    bands = bands_out_of_sample(forecasts, bars)
    realised = log_returns(bars.close)[forecasts.start + 1 :]
    held = (bands.low[-1, :-1] <= realised) & (realised <= bands.high[-1, :-1])
    return float(held.mean()), float(np.convolve(held, np.ones(126) / 126, mode="valid").min())


def milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """p50 and p99 of CPU time: others work on this machine too."""
    waits = []
    for run in range(ONE_ROW_RUNS + 10):
        began = time.process_time_ns()
        work()
        if run >= 10:  # the first fill caches
            waits.append((time.process_time_ns() - began) / 1e6)
    return float(np.median(waits)), float(np.quantile(waits, 0.99))


def cost_table(names: list[str]) -> list[str]:
    """CPU seconds of one fit on 2,500 bars, and milliseconds of one forecast of the newest bar."""
    bars = real("AAPL").slice(0, FIT_BARS)
    newest = bars.slice(FIT_BARS - 300, FIT_BARS)
    lines = [
        "| family | fit, CPU s | one forecast, p50 CPU ms | p99 | compiled, p50 | p99 | a row, p50 | p99 | to compile, ms | model kB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for family in names:
        forecaster(family).fit(bars.slice(0, 400), seed=SEED)  # imports and first calls are paid here
        started = time.process_time()
        fitted = forecaster(family).fit(bars, seed=SEED)
        spent = time.process_time() - started
        started = time.process_time()
        compiled = fitted.compiled()
        compiling = time.process_time() - started

        def forecast(model: FittedForecaster) -> Callable[[], object]:
            return lambda: model.predict(newest, len(newest) - 1, len(newest))

        row = row_of(compiled)
        cells = [
            *milliseconds(forecast(fitted)),
            *(milliseconds(forecast(compiled)) if compiled is not fitted else ()),
        ]
        shown = [f"{cell:.2f}" for cell in cells] + ["–"] * (4 - len(cells))
        shown += [f"{cell:.3f}" for cell in milliseconds(row)] if row else ["–", "–"]
        shown.append(f"{1000 * compiling:.0f}" if compiled is not fitted else "–")
        lines.append(f"| {family} | {spent:.2f} | {' | '.join(shown)} | {len(fitted.to_bytes()) / 1024:.0f} |")
    lines += [
        "",
        f"Peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB.",
        "A forecast is the whole way from 300 bars: features, standardisation, every member of the committee, scaling. A row is",
        "what `compiled()` makes of one row (or window) of standardised features.",
    ]
    return lines


def row_of(model: FittedForecaster) -> Callable[[], object] | None:
    """One row of features to one forecast, for a family that has rows."""
    if not isinstance(model, Learned):
        return None
    shape = (1, len(model.features)) if model.window_bars == 1 else (1, model.window_bars, len(model.features))
    row = np.random.default_rng(SEED).normal(0, 1, shape)
    return lambda: model.scaled_forecast(row)


def training_data() -> dict[str, np.ndarray]:
    """Standardised features of AAPL, by bar, and how to train: what the peers are given too."""
    matrix = features.feature_matrix(real("AAPL"), features.DEFAULT_FEATURES)[63 : 63 + ROWS + WINDOW]
    return {
        "features": features.Standardisation.fit(matrix).apply(matrix), "window": np.array(WINDOW), "batch": np.array(BATCH),
        "hidden": np.array(HIDDEN), "rate": np.array(RATE), "decay": np.array(DECAY), "epochs": np.array(PASSES),
        "runs": np.array(TRAINING_RUNS),
    }  # fmt: skip


def own_training(
    name: str = "lstm",
    *,
    size: HyperSize | None = None,
    precision: Precision = "float32",
    between: tuple[int, int] = PASSES,
) -> Steps:
    """As a peer tells it, by the product's own loop: each pass it also judges the tail and keeps the best weights."""
    family = forecaster(name)
    assert isinstance(family, NeuralForecaster)
    settings = family.settings({"window_bars": WINDOW, **(size or {})})
    share = 0.15
    _, samples = training_samples(name, real("AAPL"), features.DEFAULT_FEATURES, window_bars=WINDOW, horizon_bars=1)
    given = samples[: round(ROWS / (1 - share)) + 2]

    def build() -> nn.Module:
        inputs = len(features.DEFAULT_FEATURES)
        return with_head(family.build(inputs, settings), family.states, inputs=inputs, window_bars=WINDOW)

    def fit(passes: int) -> float:
        plan = Training(
            epochs=passes, patience=passes + 1, batch_rows=BATCH, learning_rate=RATE, weight_decay=DECAY, validation_share=share
        )  # fmt: skip
        began = time.process_time()
        with trained_on(Hardware(precision=precision)):
            train(build, given, training=plan, purge_bars=1, seed=SEED)
        return time.process_time() - began

    fit(1)
    spent = {passes: statistics.median(fit(passes) for _ in range(TRAINING_RUNS)) for passes in between}
    return {str(passes): {"cpu_s": spent[passes], "steps": passes * -(-ROWS // BATCH)} for passes in between}


def peer_training(name: str, path: Path) -> Steps:
    """The figures of a peer in its own environment. Raises CalledProcessError or OSError with why there are none."""
    environment = ENVIRONMENTS / f"models-{name}"
    python = environment / "bin" / "python"
    scripts = Path(__file__).resolve().parent / "peers"
    if not python.exists():
        print(f"installing {name} into {environment.relative_to(ROOT)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(scripts / f"models_{name}.txt")], check=True, timeout=1200)  # fmt: skip
    done = subprocess.run(
        [str(python), str(scripts / f"models_{name}.py"), str(path)], check=True, capture_output=True, text=True, timeout=1200
    )  # fmt: skip
    found: Steps = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def step_ms(found: Steps) -> float:
    few, many = found.values()
    return 1000 * (many["cpu_s"] - few["cpu_s"]) / (many["steps"] - few["steps"])


def training_table(_: list[str]) -> list[str]:
    """One LSTM by three libraries, and by ours in bfloat16."""
    figures = {"evolve": own_training()}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        np.savez(path, **training_data())
        for name in PEERS:
            try:
                figures[name] = peer_training(name, path)
            except (subprocess.SubprocessError, OSError) as error:
                failed[name] = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]
    own = step_ms(figures["evolve"])
    lines = [
        f"An LSTM of {HIDDEN} on {ROWS:,} windows of {WINDOW} bars × {len(features.DEFAULT_FEATURES)} features, batches of {BATCH}, AdamW, one thread, torch for all; medians of {TRAINING_RUNS}.",
        "",
        "| library | a step, CPU ms | evolve ÷ it | 40 passes with the start, CPU s |",
        "|---|---|---|---|",
    ]
    for name, found in figures.items():
        lines.append(
            f"| {name} | {step_ms(found):.2f} | {own / step_ms(found):.2f} | {found[str(PASSES[-1])]['cpu_s']:.2f} |"
        )
    lines += ["", "| network here | a step in float32, CPU ms | in bfloat16 |", "|---|---|---|"]
    sized: list[tuple[str, HyperSize]] = [("lstm", {"hidden": 8}), ("tcn", {"channels": 8}), ("tcn", {"channels": 64}), ("transformer", {"heads": 2})]  # fmt: skip
    for name, size in sized:
        single = f"{step_ms(own_training(name, size=size, between=FEW_PASSES)):.2f}"
        try:
            half = f"{step_ms(own_training(name, size=size, precision='bfloat16', between=FEW_PASSES)):.2f}"
        except Unavailable as error:
            half = f"not here: {error}"
        lines.append(f"| {name} of {next(iter(size.values()))} {next(iter(size))} | {single} | {half} |")
    return [*lines, "", *(f"{name} did not run: {why}" for name, why in failed.items())]


def work_table(_: list[str]) -> list[str]:
    """Eight symbols, five families, five refits each, on two worker processes."""
    everything = [real(symbol) for symbol in SYMBOLS] + [SimulatedSource().load(BarSpec(symbol, "1d")) for symbol in INVENTED]  # fmt: skip
    items = [(family, bars) for bars in everything for family in LEARNED_FIVE]
    here, peak = psutil.Process(), 0.0

    def weigh(done: int, total: int) -> None:  # noqa: ARG001 - what map_work calls with
        """Proportional sizes: a page that processes share counts once, split between them."""
        nonlocal peak
        everyone = (here, *here.children())
        peak = max(peak, sum(process.memory_full_info().pss for process in everyone if process.is_running()) / 2**20)

    before = os.times()
    began = time.monotonic()
    map_work(lambda item: len(walked(*item).mean), items, workers=WORKERS, progress=weigh)
    wall, after = time.monotonic() - began, os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return [
        f"{len(everything)} symbols × {len(LEARNED_FIVE)} families ({', '.join(LEARNED_FIVE)}), {FOLDS} refits each and forecasts of all bars after the first {FIRST_TRAIN_BARS:,},",
        f"{sum(map(len, everything)):,} bars in all ({', '.join(INVENTED)} simulated), on {WORKERS} worker processes: {wall:.0f} s wall, {cpu:.0f} CPU s;",
        f"peak memory {peak:.0f} MB in all (proportional sizes, after each walk), {child:.0f} MB resident in the larger worker.",
    ]


SECTIONS: dict[str, Callable[[list[str]], list[str]]] = {
    "work": work_table,  # first: it forks, and a process with threads cannot
    "skill": skill_table,
    "volatility": volatility_table,
    "cost": cost_table,
    "training": training_table,
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--write", type=Path, help="put the tables between the markers of this page")
    arguments.add_argument("--only", default=",".join(SECTIONS), help="which tables, comma-separated")
    options = arguments.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        # Read when the libraries are loaded, so it must be set before Python starts.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})  # fmt: skip
    torch = importlib.util.find_spec("torch") is not None
    names = [name for name in families() if torch or name not in NETWORKS]
    for name in options.only.split(","):
        before = load()
        lines = SECTIONS[name](names)
        text = "\n".join([f"{provenance()}; load {before} before, {load()} after.", "", *lines])
        print(f"== {name}\n{text}\n", flush=True)
        if options.write:
            write_section(options.write, name, text)


if __name__ == "__main__":
    main()
