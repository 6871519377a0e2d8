"""How good was a forecast? Errors, skill against a naive forecast, hits, and how often an interval held.

Forecast and realised values are arrays of shape (bars,), aligned: entry i of one belongs to entry i of the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from evolve.errors import InvalidRequest
from evolve.statistics.metric import Floats, Metric, same_length, series

NOTHING = "there is no forecast to score"


def mean_absolute_error(forecast: ArrayLike, realised: ArrayLike) -> Metric:
    predicted, actual = _pair(forecast, realised)
    if not actual.size:
        return Metric.undefined(0, NOTHING)
    return Metric.of(float(np.mean(np.abs(actual - predicted))), actual.size)


def root_mean_squared_error(forecast: ArrayLike, realised: ArrayLike) -> Metric:
    predicted, actual = _pair(forecast, realised)
    if not actual.size:
        return Metric.undefined(0, NOTHING)
    return Metric.of(float(np.sqrt(np.mean((actual - predicted) ** 2))), actual.size)


def relative_mae(forecast: ArrayLike, realised: ArrayLike, naive: ArrayLike) -> Metric:
    """Mean absolute error divided by that of the `naive` forecast: below 1 is better than naive.

    Source: Hyndman & Koehler (2006), Another look at measures of forecast accuracy, Int. J. Forecasting 22(4).
    """
    predicted, actual = _pair(forecast, realised)
    rival = series(naive, "naive")
    same_length(forecast=predicted, naive=rival)
    if not actual.size:
        return Metric.undefined(0, NOTHING)
    naive_error = float(np.mean(np.abs(actual - rival)))
    if naive_error == 0:
        return Metric.undefined(actual.size, "the naive forecast made no error")
    return Metric.of(float(np.mean(np.abs(actual - predicted))) / naive_error, actual.size)


def out_of_sample_r2(forecast: ArrayLike, realised: ArrayLike) -> Metric:
    """1 − SSE / SSE of forecasting zero: negative means that saying nothing was better.

    Against zero, not against the mean: an estimated mean return is itself a poor forecast and flatters the model.
    Source: Gu, Kelly & Xiu (2020), Empirical asset pricing via machine learning, Rev. Financial Studies 33(5), eq. 19.
    """
    predicted, actual = _pair(forecast, realised)
    if not actual.size:
        return Metric.undefined(0, NOTHING)
    total = float(np.sum(actual**2))
    if total == 0:
        return Metric.undefined(actual.size, "every realised value is zero")
    return Metric.of(1 - float(np.sum((actual - predicted) ** 2)) / total, actual.size)


def directional_accuracy(forecast: ArrayLike, realised: ArrayLike, *, level: float = 0.95) -> Metric:
    """Share of forecasts with the right sign, with its Wilson interval.

    Only bars where both forecast and realised value have a sign count: a zero forecast takes no side.
    """
    predicted, actual = _pair(forecast, realised)
    sided = (predicted != 0) & (actual != 0)
    return proportion(int(np.sum(np.sign(predicted[sided]) == np.sign(actual[sided]))), int(sided.sum()), level=level)


def qlike(variance_forecast: ArrayLike, realised_variance: ArrayLike) -> Metric:
    """Mean of σ²/h − ln(σ²/h) − 1: the loss of a variance forecast h that noise in the proxy σ² does not mislead; 0 is perfect.

    Bars whose realised variance is zero (no price moved) have no such loss and are left out; the note counts them.
    Source: Patton (2011), Volatility forecast comparison using imperfect volatility proxies, J. Econometrics 160(1).
    """
    predicted, actual = _pair(variance_forecast, realised_variance)
    if np.any(predicted <= 0):
        return Metric.undefined(actual.size, "a variance forecast is not positive")
    if np.any(actual < 0):
        return Metric.undefined(actual.size, "a realised variance is negative")
    moved = actual > 0
    if not moved.any():
        return Metric.undefined(0, "no bar with a positive realised variance")
    ratio = actual[moved] / predicted[moved]
    still = int(actual.size - moved.sum())
    note = f"{still} bars without price movement left out" if still else ""
    return Metric.of(float(np.mean(ratio - np.log(ratio) - 1)), int(moved.sum()), note)


def pinball(quantile_forecast: ArrayLike, realised: ArrayLike, *, quantile: float) -> Metric:
    """Mean pinball (quantile) loss of a forecast of that `quantile`, in units of the realised values."""
    if not 0 < quantile < 1:
        raise InvalidRequest(f"quantile must lie between 0 and 1, not {quantile}")
    predicted, actual = _pair(quantile_forecast, realised)
    if not actual.size:
        return Metric.undefined(0, NOTHING)
    error = actual - predicted
    return Metric.of(float(np.mean(np.maximum(quantile * error, (quantile - 1) * error))), actual.size)


def scaled_error(forecast: ArrayLike, realised: ArrayLike, history: ArrayLike, *, season: int = 1) -> Metric:
    """Mean absolute error over that of the seasonal naive forecast within `history`, which the forecast was made from (MASE).

    history: in time order, longer than `season` bars. Source: Hyndman & Koehler (2006), Int. J. Forecasting 22(4), eq. 2.
    """
    predicted, actual = _pair(forecast, realised)
    past = series(history, "history")
    if not 1 <= season < past.size:
        raise InvalidRequest(f"season must be from 1 to {past.size - 1}, the bars of history less one, not {season}")
    if not actual.size:
        return Metric.undefined(0, NOTHING)
    scale = float(np.mean(np.abs(past[season:] - past[:-season])))
    if scale == 0:
        return Metric.undefined(actual.size, "the history never changes")
    return Metric.of(float(np.mean(np.abs(actual - predicted))) / scale, actual.size)


def crps_normal(mean: ArrayLike, std: ArrayLike, realised: ArrayLike) -> Metric:
    """Continuous ranked probability score of normal forecasts, in units of the forecast: smaller is better.

    mean, std: of each bar's forecast; std positive. Source: Gneiting & Raftery (2007), Strictly proper scoring rules, prediction,
    and estimation, J. American Statistical Association 102, eq. 21.
    """
    predicted, actual = _pair(mean, realised)
    spread = series(std, "std")
    same_length(mean=predicted, std=spread)
    if (spread <= 0).any():
        raise InvalidRequest(f"std of bar {int(np.argmax(spread <= 0))} is {spread.min():g}; it must be positive")
    if not actual.size:
        return Metric.undefined(0, NOTHING)
    z = (actual - predicted) / spread
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return Metric.of(float(np.mean(spread * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)))), actual.size)


def coverage(low: ArrayLike, high: ArrayLike, realised: ArrayLike, *, level: float = 0.95) -> Metric:
    """Share of realised values inside low … high (ends included), with its Wilson interval at `level`."""
    floor, actual = _pair(low, realised)
    ceiling = series(high, "high")
    same_length(low=floor, high=ceiling)
    if np.any(floor > ceiling):
        bar = int(np.flatnonzero(floor > ceiling)[0])
        raise InvalidRequest(f"the interval at {bar} is upside down: low {floor[bar]} is above high {ceiling[bar]}")
    return proportion(int(np.sum((floor <= actual) & (actual <= ceiling))), actual.size, level=level)


def proportion(successes: int, n: int, *, level: float = 0.95) -> Metric:
    """A share with its Wilson score interval, which keeps its level for few observations and near 0 or 1.

    Source: Wilson (1927), J. American Statistical Association 22(158); Brown, Cai & DasGupta (2001), Statistical Science 16(2).
    """
    if not 0 < level < 1:
        raise InvalidRequest(f"level must lie between 0 and 1, not {level}")
    if n == 0:
        return Metric.undefined(0, "nothing to count")
    z = float(ndtri(0.5 + level / 2))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return Metric.between(share, n, low=max(0.0, centre - reach), high=min(1.0, centre + reach), level=level)


def _pair(forecast: ArrayLike, realised: ArrayLike) -> tuple[Floats, Floats]:
    predicted, actual = series(forecast, "forecast"), series(realised, "realised")
    same_length(forecast=predicted, realised=actual)
    return predicted, actual
