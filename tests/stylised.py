"""Which facts do returns of real stocks share? One number per fact, from daily closes; what simulated bars are measured by.

Source of the list: Cont (2001), Empirical properties of asset returns: stylized facts and statistical issues, Quant. Finance 1.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
WINDOW = 2_000  # returns, eight years: as long as a simulated path, since many of these numbers drift with the sample's length


def kurtosis(r: Floats) -> float:
    centred = r - r.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2)


def skewness(r: Floats) -> float:
    centred = r - r.mean()
    return float((centred**3).mean() / (centred**2).mean() ** 1.5)


def correlation(ahead: Floats, behind: Floats, lag: int) -> float:
    return float(np.corrcoef(ahead[: len(ahead) - lag], behind[lag:])[0, 1])


def mean_correlation(ahead: Floats, behind: Floats, lags: range) -> float:
    return float(np.mean([correlation(ahead, behind, lag) for lag in lags]))


def summed(r: Floats, bars: int) -> Floats:
    return r[: len(r) // bars * bars].reshape(-1, bars).sum(axis=1)


def tail_index(losses: Floats, share: float = 0.05) -> float:
    """Hill's estimator on the largest `share` of positive values."""
    largest = np.sort(losses[losses > 0])[::-1][: int(share * len(losses)) + 1]
    return float(1 / np.mean(np.log(largest[:-1] / largest[-1])))


def monthly_volatility(r: Floats) -> Floats:
    variance = np.mean(r[: len(r) // 21 * 21].reshape(-1, 21) ** 2, axis=1)
    return 0.5 * np.log(variance[variance > 0])  # a month without any trade has none


def days_to(r: Floats, level: float) -> float:
    """Median number of days until the price stands `level` (a log return) from where one begins; starts a week apart."""
    path = np.concatenate([[0.0], np.cumsum(r)])
    waits = []
    for start in range(0, len(path) - 250, 5):
        moved = path[start : start + 250] - path[start]
        reached = np.flatnonzero(moved >= level if level > 0 else moved <= level)
        if reached.size:
            waits.append(int(reached[0]))
    return float(np.median(waits)) if waits else float("nan")


FACTS: dict[str, Callable[[Floats], float]] = {
    "volatility a year": lambda r: float(r.std() * np.sqrt(252)),
    "kurtosis": kurtosis,
    "skewness": skewness,
    "kurtosis of weeks": lambda r: kurtosis(summed(r, 5)),
    "kurtosis of months": lambda r: kurtosis(summed(r, 21)),
    "tail index of losses": lambda r: tail_index(-r),
    "tail index of gains": lambda r: tail_index(r),
    "largest move in standard deviations": lambda r: float(np.abs(r).max() / r.std()),
    "share beyond four standard deviations": lambda r: float(np.mean(np.abs(r) > 4 * r.std())),
    "share within half a standard deviation": lambda r: float(np.mean(np.abs(r) < 0.5 * r.std())),
    "autocorrelation of returns, lag 1": lambda r: correlation(r, r, 1),
    "autocorrelation of returns, lags 2-10": lambda r: mean_correlation(r, r, range(2, 11)),
    "autocorrelation of sizes, lag 1": lambda r: correlation(np.abs(r), np.abs(r), 1),
    "autocorrelation of sizes, lags 1-20": lambda r: mean_correlation(np.abs(r), np.abs(r), range(1, 21)),
    "autocorrelation of sizes, lags 50-100": lambda r: mean_correlation(np.abs(r), np.abs(r), range(50, 101)),
    "leverage: return, then size, lags 1-10": lambda r: mean_correlation(r, np.abs(r), range(1, 11)),
    "size, then return, lags 1-10": lambda r: mean_correlation(np.abs(r), r, range(1, 11)),
    "spread of monthly volatility": lambda r: float(monthly_volatility(r).std()),
    "persistence of monthly volatility": lambda r: correlation(monthly_volatility(r), monthly_volatility(r), 1),
    "worst percentile over best": lambda r: float(-np.quantile(r, 0.01) / np.quantile(r, 0.99)),
    "days to lose a tenth over days to gain it": lambda r: days_to(r, -0.1) / days_to(r, 0.1),
}


def facts_of(close: Floats) -> dict[str, float]:
    """Every fact of the last WINDOW daily returns of `close`."""
    r = np.diff(np.log(close))[-WINDOW:]
    return {name: fact(r) for name, fact in FACTS.items()}


def windows_of(close: Floats) -> list[Floats]:
    """Closes of consecutive stretches of WINDOW returns, the latest last; what is left over at the beginning is dropped."""
    count = (len(close) - 1) // WINDOW
    first = len(close) - 1 - count * WINDOW
    return [close[first + n * WINDOW : first + (n + 1) * WINDOW + 1] for n in range(count)]


TABLE = Path(__file__).parent / "stylised_real.csv"


def real_facts() -> list[dict[str, float]]:
    """Facts of 80 stretches of eight years: 20 stocks of the S&P 500, 1990-2022, from the closes in the package skfolio 1.12.

    Kept as a table, so that the closes (and that package) are needed only by the proof that recomputes it.
    """
    with TABLE.open(newline="") as file:
        return [{name: float(row[name]) for name in FACTS} for row in csv.DictReader(file)]


def real_band(share: float = 0.95) -> dict[str, tuple[float, float]]:
    """Between which values the middle `share` of the real stretches lies, by fact."""
    rows = real_facts()
    tails = ((1 - share) / 2, (1 + share) / 2)
    return {name: tuple(np.quantile([row[name] for row in rows], tails)) for name in FACTS}


def inside(facts: dict[str, float], band: dict[str, tuple[float, float]]) -> dict[str, bool]:
    return {name: low <= facts[name] <= high for name, (low, high) in band.items()}


def main() -> None:
    """Writes the table anew from skfolio: `python tests/stylised.py`."""
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["stock", "stretch", *FACTS], lineterminator="\n")
        writer.writeheader()
        for stock, closes in skfolio_closes().items():
            for number, stretch in enumerate(windows_of(closes)):
                facts = {name: f"{value:.6g}" for name, value in facts_of(stretch).items()}
                writer.writerow({"stock": stock, "stretch": number, **facts})


def skfolio_closes() -> dict[str, Floats]:
    content = gzip.decompress((resources.files("skfolio") / "datasets" / "data" / "sp500_dataset.csv.gz").read_bytes())
    header, *rows = csv.reader(io.StringIO(content.decode()))
    table = np.array([[float(cell) for cell in row[1:]] for row in rows])
    return {stock: table[:, place] for place, stock in enumerate(header[1:])}


if __name__ == "__main__":
    main()
