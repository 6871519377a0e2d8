"""How good are the model families on real bars, and what does a fit cost?

Walks every family forward (five refits) over the bundled daily bars of AAPL, MSFT, GOOG and IBM, scores it against forecasting no
change, and measures one fit on 2,500 bars and one-row predictions in CPU time. Volatility and bands are scored on the same bars;
where `arch` is installed, on its S&P 500 too. Prints the tables of docs/models.md.

    python bench/models.py [--write docs/models.md] [--quick]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import gzip
import importlib.util
import resource
import statistics
import time
from pathlib import Path

import numpy as np
from report.page import load, provenance, write_section

from evolve.agents.outlook import bands_out_of_sample
from evolve.agents.track_record import FOLDS
from evolve.forecasting.base import families, forecaster
from evolve.forecasting.volatility import bar_variance, ewma_variance, fit_volatility
from evolve.forecasting.walk_forward import OutOfSample, out_of_sample
from evolve.market.bars import Bars
from evolve.market.indicators import log_returns
from evolve.market.sources.base import BarSpec
from evolve.market.sources.sample import SampleSource
from evolve.statistics.comparison import diebold_mariano
from evolve.statistics.scores import out_of_sample_r2, qlike, relative_mae
from evolve.statistics.splits import walk_forward

SYMBOLS = ("AAPL", "MSFT", "GOOG", "IBM")
FIRST_TRAIN_BARS = 1000
FIT_BARS = 2500
ONE_ROW_RUNS = 300
SEED = 1
SIGNIFICANT = 0.05


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


def volatility_table() -> list[str]:
    """QLIKE of tomorrow's variance, and how often bands held."""
    lines = [
        "| series | EWMA of squared returns | EWMA of ranges | log-HAR | full | full / EWMA | full / log-HAR | 90 % band held | worst half-year |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    index = sp500()
    for bars in (*([index] if index is not None else []), *(real(symbol) for symbol in SYMBOLS)):
        loss = variance_losses(bars)
        share, worst = band_coverage(bars)
        lines.append(
            f"| {bars.symbol} | {loss['squares']:.3f} | {loss['ewma']:.3f} | {loss['log_har']:.3f} | {loss['full']:.3f} | "
            f"{loss['full'] / loss['ewma']:.2f} | {loss['full'] / loss['log_har']:.2f} | {share:.1%} | {worst:.1%} |"
        )
    return lines


def variance_losses(bars: Bars) -> dict[str, float]:
    variance, squares = bar_variance(bars), log_returns(bars.close) ** 2
    squares[0] = 0.0
    ahead = variance[FIRST_TRAIN_BARS + 1 :]
    made: dict[str, list[np.ndarray]] = {"log_har": [], "full": []}
    for fold in walk_forward(len(bars) - 1, folds=FOLDS, first_train_bars=FIRST_TRAIN_BARS, embargo_bars=0):
        for method, parts in made.items():
            fitted = fit_volatility(bars.slice(0, fold.train_stop), method=method)
            parts.append(fitted.variance(bars.slice(0, fold.test_stop), fold.test_start))
    forecasts = {method: np.concatenate(parts) for method, parts in made.items()}
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


def cost_table(names: list[str]) -> list[str]:
    """CPU seconds of one fit on 2,500 bars, and milliseconds of one forecast of the newest bar."""
    bars = real("AAPL").slice(0, FIT_BARS)
    lines = ["| family | fit, CPU s | one forecast, p50 CPU ms | p99 | model kB |", "|---|---|---|---|---|"]
    for family in names:
        forecaster(family).fit(bars.slice(0, 400), seed=SEED)  # imports and first calls are paid here
        started = time.process_time()
        fitted = forecaster(family).fit(bars, seed=SEED)
        spent = time.process_time() - started
        newest = bars.slice(FIT_BARS - 300, FIT_BARS)
        waits = []
        for _ in range(ONE_ROW_RUNS):
            began = time.process_time_ns()  # CPU time: others work on this machine too
            fitted.predict(newest, len(newest) - 1, len(newest))
            waits.append((time.process_time_ns() - began) / 1e6)
        lines.append(
            f"| {family} | {spent:.2f} | {np.median(waits):.2f} | {np.quantile(waits, 0.99):.2f} | {len(fitted.to_bytes()) / 1024:.0f} |"
        )
    lines.append("")
    lines.append(f"Peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB.")
    lines.append(
        "A forecast is the whole way from 300 bars: features, standardisation, every member of the committee, scaling."
    )
    return lines


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--write", type=Path, help="put the tables between the markers of this page")
    arguments.add_argument("--quick", action="store_true", help="without the walks of the families")
    options = arguments.parse_args()
    torch = importlib.util.find_spec("torch") is not None
    names = [name for name in families() if torch or name not in ("lstm", "tcn", "transformer")]
    before = load()
    sections = {"volatility": volatility_table(), "cost": cost_table(names)}
    if not options.quick:
        sections = {"skill": skill_table(names), **sections}
    for name, lines in sections.items():
        text = "\n".join([f"{provenance()}; load {before} before, {load()} after.", "", *lines])
        print(f"== {name}\n{text}\n")
        if options.write:
            write_section(options.write, name, text)


if __name__ == "__main__":
    main()
