"""How much will the price move? Unlike the direction of daily returns, that can be forecast, and well.

Measured by bar is a variance: the squared overnight gap plus the Garman–Klass range of the session, several times less noisy than
a squared return. Forecast is the log of its mean over the horizon:

- `log_har`: least squares on the log variance of the last bar, week and month (Corsi 2009). Milliseconds.
- `full`: a ridge line over more of the past (averages from 1 to 66 bars, sudden falls, volume, and the same days a quarter, half a
  year and a year ago, when companies report), and shallow trees for what the line leaves, trained on the gamma deviance, which is
  QLIKE, the loss that volatility forecasts are judged by. A tenth of a second.

Measured on real stocks `full` loses 6 to 26 % less than `log_har` at one bar ahead, but more at 5 and 21 bars, where outcomes overlap
and 400 bars hold few of them: `method_for` says which to take.

Source: Garman & Klass (1980), J. Business 53(1); Corsi (2009), J. Financial Econometrics 7(2); Patton (2011) on QLIKE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.forecasting.base import check_horizon
from evolve.forecasting.features import VOLATILITY_FLOOR, Standardisation
from evolve.forecasting.learned import MIN_SAMPLES, purged_blocks
from evolve.forecasting.ridge import Line, ridge
from evolve.market import indicators
from evolve.market.bars import Bars, Floats

if TYPE_CHECKING:
    import xgboost

Method = Literal["log_har", "full"]

RISKMETRICS = 0.94
# The longest average; what lies further back is 0, "nothing unusual", until there is a bar.
WARM_UP_BARS: Mapping[Method, int] = {"log_har": 22, "full": 66}
HAR_WINDOWS = (1, 5, 22)
WINDOWS = (1, 2, 5, 10, 22, 66)
# First and last bar back, counted from the bar that is forecast, and what is taken of the log variance above its monthly average.
# Companies report each quarter within a few days of the same date; 252 trading days are a year.
SEASONS: Mapping[str, tuple[tuple[int, int, Literal["max", "mean"]], ...]] = {
    "1d": ((61, 65, "max"), (62, 64, "mean"), (58, 68, "max"), (124, 128, "max"), (249, 255, "max")),
}
BLOCKS = 4
TREES = 60
TREE: Mapping[str, float | str] = {
    "max_depth": 2, "eta": 0.05, "subsample": 0.5, "colsample_bytree": 0.5, "min_child_weight": 10, "reg_lambda": 1,
    "objective": "reg:gamma", "base_score": 1.0, "max_bin": 64, "nthread": 1,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Volatility:
    """A fitted forecaster of volatility. lines, trees: by member of the committee; trees are empty for `log_har`."""

    method: Method
    horizon_bars: int
    timeframe: str
    with_volume: bool
    standardisation: Standardisation
    lines: tuple[Line, ...]
    trees: tuple[xgboost.Booster, ...]
    log_level: float
    return_ratio: float

    @property
    def first_bar(self) -> int:
        return WARM_UP_BARS[self.method]

    def variance(self, bars: Bars, start: int) -> Floats:
        """Expected mean of `bar_variance` over the horizon, as known at the closes of bars start … len(bars) − 1."""
        if bars.timeframe != self.timeframe:
            raise InvalidRequest(f"this volatility was fitted on {self.timeframe} bars, not {bars.timeframe}")
        if not self.first_bar <= start < len(bars):
            raise InvalidRequest(
                f"volatility can be forecast at bars {self.first_bar} to {len(bars) - 1}, not at {start}"
            )
        raw = predictors(bars, method=self.method, with_volume=self.with_volume)[start:]
        variance: Floats = np.exp(self._log_forecast(self.standardisation.apply(raw)) + self.log_level)
        return variance

    def std(self, bars: Bars, start: int) -> Floats:
        """Expected standard deviation of the log return over the horizon, from close to close."""
        std: Floats = np.sqrt(self.return_ratio * self.horizon_bars * self.variance(bars, start))
        return std

    def _log_forecast(self, table: Floats) -> Floats:
        members = zip(self.lines, self.trees or (None,) * len(self.lines), strict=True)
        mean: Floats = np.mean([_of_member(line, trees, table) for line, trees in members], axis=0)
        return mean


def method_for(horizon_bars: int) -> Method:
    return "full" if horizon_bars == 1 else "log_har"


def fit_volatility(bars: Bars, *, horizon_bars: int = 1, method: Method | None = None, seed: int = 0) -> Volatility:
    """A forecaster of the volatility of all of `bars`. Deterministic. method None: `method_for` the horizon.

    Raises DataUnavailable for too few bars or prices that never move.
    """
    check_horizon(horizon_bars)
    method = method or method_for(horizon_bars)
    variance = bar_variance(bars)
    rows = np.arange(WARM_UP_BARS[method], len(bars) - horizon_bars)
    if len(rows) < MIN_SAMPLES:
        raise DataUnavailable(
            f"volatility needs at least {WARM_UP_BARS[method] + MIN_SAMPLES + horizon_bars} {bars.timeframe} bars to learn from; {bars.symbol} has {len(bars)} here"
        )
    if not variance[rows].any():
        raise DataUnavailable(f"the prices of {bars.symbol} never move after {bars.date(0)}: no volatility to learn")
    with_volume = method == "full" and bool(np.isfinite(bars.volume[rows]).mean() > 0.5)
    raw = predictors(bars, method=method, with_volume=with_volume)[rows]
    standardisation = Standardisation.fit(raw)
    table, target = standardisation.apply(raw), np.log(mean_ahead(variance, horizon_bars)[rows])
    lines: list[Line] = []
    trees: list[xgboost.Booster] = []
    held = np.empty(len(rows))
    if method == "log_har":
        lines.append(ridge(table, target, alpha=1e-9))
        held[:] = lines[0].predict(table)
    else:
        for number, (train, held_out) in enumerate(purged_blocks(rows, BLOCKS, purge_bars=horizon_bars)):
            lines.append(ridge(table[train], target[train], alpha=None))
            trees.append(_fit_trees(table[train], target[train] - lines[-1].predict(table[train]), seed + number))
            held[held_out] = _of_member(lines[-1], trees[-1], table[held_out])
    # The mean of a log is below the log of a mean: the level at which variances come out right on average, which QLIKE asks for.
    log_level = float(np.log(np.mean(np.exp(target - held))))
    ahead = np.log(bars.close[rows + horizon_bars] / bars.close[rows])
    ratio = float(np.mean(ahead**2 / (horizon_bars * np.exp(held + log_level))))
    return Volatility(
        method=method,
        horizon_bars=horizon_bars,
        timeframe=bars.timeframe,
        with_volume=with_volume,
        standardisation=standardisation,
        lines=tuple(lines),
        trees=tuple(trees),
        log_level=log_level,
        return_ratio=ratio if ratio > 0 else 1.0,
    )


def bar_variance(bars: Bars) -> Floats:
    """Variance of the log price over each bar, from the close before: squared gap plus Garman–Klass range.

    Never below a hundredth of its mean so far, so that a bar without a trade is a calm one and not an infinitely calm one.
    """
    gap = np.zeros(len(bars))
    gap[1:] = np.log(bars.open[1:] / bars.close[:-1])
    session = 0.5 * np.log(bars.high / bars.low) ** 2 - (2 * np.log(2) - 1) * np.log(bars.close / bars.open) ** 2
    raw = gap**2 + np.maximum(session, 0.0)
    so_far = np.cumsum(raw) / np.arange(1, len(raw) + 1)
    variance: Floats = np.maximum(raw, VOLATILITY_FLOOR**2 * so_far)
    return variance


def mean_ahead(values: Floats, horizon_bars: int) -> Floats:
    """Mean of the next horizon_bars values after each bar, NaN where they are not all known."""
    ahead = np.full(len(values), np.nan)
    ahead[:-horizon_bars] = sliding_window_view(values, horizon_bars)[1:].mean(axis=1)
    return ahead


def ewma_variance(values: Floats, *, decay: float = RISKMETRICS) -> Floats:
    """Exponentially weighted mean up to each bar, as RiskMetrics (1996) forecasts variance; started at the first value."""
    return np.array(list(accumulate(values.tolist(), lambda mean, value: mean + (1 - decay) * (value - mean))))


def predictors(bars: Bars, *, method: Method, with_volume: bool) -> Floats:
    """What the forecast at each close may look at, shape (bars, columns); known from `WARM_UP_BARS` on."""
    variance = bar_variance(bars)
    logs = np.log(np.where(variance > 0, variance, np.nan))
    if method == "log_har":
        return np.stack([_average(logs, window) for window in HAR_WINDOWS], axis=1)
    returns = indicators.log_returns(bars.close)
    returns[0] = 0.0
    recent = ewma_variance(variance)
    std = np.sqrt(np.where(recent > 0, recent, np.nan))
    surprise, falls = returns / std, np.minimum(returns, 0.0) / std
    floor = VOLATILITY_FLOOR**2 * recent
    ranges = np.log(np.maximum(np.log(bars.high / bars.low) ** 2 / (4 * np.log(2)), floor))
    gaps = np.zeros(len(bars))
    gaps[1:] = np.log(bars.open[1:] / bars.close[:-1]) ** 2
    columns = [
        *(_average(logs, window) for window in WINDOWS),
        np.log(recent),
        np.log(np.maximum(ewma_variance(returns**2), floor)),
        np.log(ewma_variance(variance, decay=0.8)),
        ranges,
        _average(ranges, 5),
        surprise,
        np.abs(surprise),
        falls,
        _average(surprise, 5),
        _average(falls, 5),
        _average(returns, 22) / std,
        np.log(np.maximum(gaps, floor)),
    ]
    if with_volume:
        volume = np.log1p(np.where(np.isfinite(bars.volume), bars.volume, np.nan))
        above = volume - _known_average(volume, 22)
        columns += [above, _known_average(above, 5)]
    unusual = logs - _average(logs, 22)
    columns += [_season(unusual, *season) for season in SEASONS.get(bars.timeframe, ())]
    return np.stack(columns, axis=1)


def _average(values: Floats, window: int) -> Floats:
    """Mean of the last `window` values, NaN until there are so many."""
    means = np.full(len(values), np.nan)
    if len(values) >= window:
        means[window - 1 :] = sliding_window_view(values, window).mean(axis=1)
    return means


def _known_average(values: Floats, window: int) -> Floats:
    """`_average` over the values that are known; NaN where none is."""
    known = np.isfinite(values)
    share = _average(known.astype(np.float64), window)
    total = _average(np.where(known, values, 0.0), window)
    mean: Floats = np.divide(total, share, out=np.full(len(values), np.nan), where=share > 0)
    return mean


def _season(unusual: Floats, first: int, last: int, take: Literal["max", "mean"]) -> Floats:
    """Of `unusual` at the bars that lie `first` … `last` before the next bar; 0 where there are none yet."""
    found = np.zeros(len(unusual))
    if len(unusual) < last:
        return found
    known = np.where(np.isfinite(unusual), unusual, 0.0)
    views = sliding_window_view(known, last - first + 1)
    taken = views.max(axis=1) if take == "max" else views.mean(axis=1)
    found[last - 1 :] = taken[: len(unusual) - last + 1]
    return found


def _of_member(line: Line, trees: xgboost.Booster | None, table: Floats) -> Floats:
    along = line.predict(table)
    if trees is None:
        return along
    ratio: NDArray[np.float32] = trees.inplace_predict(table)
    return along + np.log(np.asarray(ratio, dtype=np.float64))


def _fit_trees(table: Floats, left: Floats, seed: int) -> xgboost.Booster:
    import xgboost

    rows = xgboost.DMatrix(table, np.exp(left), nthread=1)
    return xgboost.train({**TREE, "seed": seed % 2**31, "verbosity": 0}, rows, num_boost_round=TREES)
