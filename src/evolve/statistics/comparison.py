"""Is one series better than another by more than luck? Tests that hold under autocorrelation and changing variance.

(The module is not called `tests`: test runners would collect it.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr

from evolve.errors import InvalidRequest
from evolve.statistics.metric import Floats, same_length, series, table

Alternative = Literal["two-sided", "greater", "less"]

# Variation below this share of the explained variation is rounding error of the regression, not a risk taken.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Inference:
    """An estimate with its t statistic and p-value; t and p are None, with the reason in `note`, where there is no variation."""

    estimate: float | None
    t: float | None
    p: float | None
    n: int
    lags: int
    note: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Alphas:
    """What the factors do not explain, one entry per column of the returns.

    alpha: per bar; standard_error, t: HAC (NaN for a column that has no residual variation); betas: (factors, columns);
    residual: (bars, columns), mean zero. influence: (bars, columns), mean `alpha`; resampling it resamples the estimate
    of alpha, the estimation of the betas included. explained: True for a column that the factors reproduce exactly.
    """

    alpha: Floats
    standard_error: Floats
    t: Floats
    betas: Floats
    residual: Floats
    influence: Floats
    explained: np.ndarray[tuple[int], np.dtype[np.bool_]]
    lags: int
    degrees_of_freedom: int


def newey_west_lags(n: int) -> int:
    """Lags by the rule 4 (n / 100)^(2/9). Source: Newey & West (1994), Review of Economic Studies 61(4)."""
    return min(max(0, n - 1), int(4 * (n / 100) ** (2 / 9)))


def long_run_variance(values: Floats, *, lags: int) -> Floats:
    """Variance of √n × mean, by Bartlett weights over `lags` autocovariances; shape () for (bars,), (columns,) for (bars, columns).

    Never negative. Source: Newey & West (1987), Econometrica 55(3).
    """
    centred = values - values.mean(axis=0)
    n = len(centred)
    total = np.asarray((centred * centred).sum(axis=0) / n)
    for lag in range(1, min(lags, n - 1) + 1):
        weight = 1 - lag / (lags + 1)
        total = total + 2 * weight * (centred[lag:] * centred[:-lag]).sum(axis=0) / n
    return np.asarray(np.maximum(total, 0.0))


def p_value(t: Floats | float, degrees_of_freedom: Floats | int, alternative: Alternative) -> Floats:
    """Student-t tail probability of the statistic `t`."""
    statistic = np.asarray(t, dtype=np.float64)
    if alternative == "greater":
        return np.asarray(stdtr(degrees_of_freedom, -statistic))
    if alternative == "less":
        return np.asarray(stdtr(degrees_of_freedom, statistic))
    return np.asarray(2 * stdtr(degrees_of_freedom, -np.abs(statistic)))


def hac_mean(values: ArrayLike, *, lags: int | None = None, alternative: Alternative = "two-sided") -> Inference:
    """The mean and its heteroskedasticity- and autocorrelation-consistent t statistic (null: mean zero).

    lags: `newey_west_lags` when None. Uses the small-sample factor n / (n − 1) and Student's t with n − 1 degrees.
    """
    sample = series(values, "values")
    n = sample.size
    used = newey_west_lags(n) if lags is None else lags
    _require_lags(used)
    if n < 2:
        return Inference(float(sample.mean()) if n else None, None, None, n, used, "needs at least two observations")
    mean = float(sample.mean())
    variance = float(long_run_variance(sample, lags=used)) * n / (n - 1)
    if _is_constant(sample) or variance <= 0:
        return Inference(mean, None, None, n, used, "the series does not vary")
    t = mean / float(np.sqrt(variance / n))
    return Inference(mean, t, float(p_value(t, n - 1, alternative)), n, used)


def regression_alphas(returns: ArrayLike, factors: ArrayLike, *, lags: int | None = None) -> Alphas:
    """Intercepts of `returns` (bars, columns) regressed on `factors` (bars, factors), with HAC t statistics.

    Least squares by pseudo-inverse: a factor that is constant, or a copy of another, adds nothing and harms nothing.
    The HAC error uses the factor n / (n − k). Raises InvalidRequest with fewer than k + 2 bars.
    """
    outcome, explaining = table(returns, "returns"), table(factors, "factors")
    n = same_length(returns=outcome, factors=explaining)
    parameters = explaining.shape[1] + 1
    if n < parameters + 2:
        raise InvalidRequest(f"a regression on {parameters - 1} factors needs at least {parameters + 2} bars, not {n}")
    used = newey_west_lags(n) if lags is None else lags
    _require_lags(used)

    factor_mean = explaining.mean(axis=0)
    scale = explaining.std(axis=0)
    scale = np.where(scale > ROUNDING * np.maximum(np.abs(factor_mean), 1e-300), scale, np.inf)
    standard = (explaining - factor_mean) / scale
    centred = outcome - outcome.mean(axis=0)
    precision = np.linalg.pinv(standard.T @ standard / n, rcond=1e-10, hermitian=True)
    standard_betas = precision @ (standard.T @ centred / n)
    betas = standard_betas / scale[:, None]
    residual = centred - standard @ standard_betas
    alpha = outcome.mean(axis=0) - factor_mean @ betas
    # How far a bar's factors lie from their mean, in the metric that moves the intercept.
    leverage = 1 - standard @ (precision @ (factor_mean / scale))
    influence = alpha + residual * leverage[:, None]

    spread = outcome.std(axis=0)
    explained = residual.std(axis=0) <= ROUNDING * np.maximum(spread, np.abs(outcome).max(axis=0))
    variance = long_run_variance(influence, lags=used) * n / (n - parameters) / n
    standard_error = np.where(explained | (variance <= 0), np.nan, np.sqrt(variance))
    return Alphas(
        alpha=alpha,
        standard_error=standard_error,
        t=alpha / standard_error,
        betas=betas,
        residual=residual,
        influence=influence,
        explained=explained,
        lags=used,
        degrees_of_freedom=n - parameters,
    )


def diebold_mariano(
    loss: ArrayLike, rival_loss: ArrayLike, *, horizon_bars: int = 1, alternative: Alternative = "two-sided"
) -> Inference:
    """Do two forecasts differ in mean loss? A negative estimate says that the first loses less.

    loss, rival_loss: (forecasts,), of the same targets, `horizon_bars` ahead and made at every bar, so that errors overlap over
    horizon − 1 lags. alternative "less": is the first better? Autocovariances up to that lag count fully; where that makes
    the variance negative (the rule allows it) Bartlett weights are used, and the note says so.
    Source: Diebold & Mariano (1995), JBES 13(3), with Harvey, Leybourne & Newbold (1997), Int. J. Forecasting 13(2).
    """
    if horizon_bars < 1:
        raise InvalidRequest(f"horizon_bars must be at least 1, not {horizon_bars}")
    first, second = series(loss, "loss"), series(rival_loss, "rival_loss")
    n = same_length(loss=first, rival_loss=second)
    lags = horizon_bars - 1
    difference = first - second
    if n < max(2, 2 * horizon_bars):
        note = f"needs at least {max(2, 2 * horizon_bars)} forecasts {horizon_bars} bars ahead"
        return Inference(float(difference.mean()) if n else None, None, None, n, lags, note)
    mean = float(difference.mean())
    if _is_constant(difference):
        note = "the two forecasts lose the same on every bar" if mean == 0 else "the loss difference does not vary"
        return Inference(mean, None, None, n, lags, note)
    centred = difference - mean
    variance = float(centred @ centred) / n
    for lag in range(1, lags + 1):
        variance += 2 * float(centred[lag:] @ centred[:-lag]) / n
    note = ""
    if variance <= 0:
        variance, note = (
            float(long_run_variance(difference, lags=lags)),
            "Bartlett weights: the plain variance was negative",
        )
    correction = (n + 1 - 2 * horizon_bars + horizon_bars * (horizon_bars - 1) / n) / n
    t = mean / float(np.sqrt(variance / n)) * float(np.sqrt(correction))
    return Inference(mean, t, float(p_value(t, n - 1, alternative)), n, lags, note)


def _is_constant(values: Floats) -> bool:
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max()) if values.size else True


def _require_lags(lags: int) -> None:
    if lags < 0:
        raise InvalidRequest(f"lags must not be negative, not {lags}")
