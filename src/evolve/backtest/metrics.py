"""How did it do? Return, risk, and what was paid for it, each with its sample size, or None with the reason.

Returns are simple and net, one fraction per bar (0.01 = 1 %), shape (bars,), risk-free rate taken as zero.
bars_per_year: how many such bars a year of the venue holds (252 daily bars of a US stock); never guessed.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from evolve.backtest.engine import Backtest
from evolve.backtest.return_sums import ReturnSums, return_sums
from evolve.backtest.significance import sharpe_standard_error
from evolve.errors import InvalidRequest
from evolve.evidence import Unit
from evolve.statistics.bootstrap import optimal_block_bars, percentile_interval, resampling_weights
from evolve.statistics.comparison import newey_west_lags, regression_alphas
from evolve.statistics.metric import Metric, is_still, same_length, series

MetricName = Literal[
    "total_return",
    "cagr",
    "volatility",
    "sharpe",
    "sharpe_autocorrelation_corrected",
    "sortino",
    "calmar",
    "drawdown",
    "drawdown_bars",
    "win_rate",
    "profit_factor",
    "var_95",
    "cvar_95",
    "omega",
    "tail_ratio",
    "turnover_per_year",
    "exposure",
    "costs_paid",
    "alpha",
    "beta",
]
METRIC_UNITS: dict[MetricName, Unit] = {
    "total_return": "fraction",
    "cagr": "fraction",
    "volatility": "fraction",
    "sharpe": "ratio",
    "sharpe_autocorrelation_corrected": "ratio",
    "sortino": "ratio",
    "calmar": "ratio",
    "drawdown": "fraction",
    "drawdown_bars": "bars",
    "win_rate": "fraction",
    "profit_factor": "ratio",
    "var_95": "fraction",
    "cvar_95": "fraction",
    "omega": "ratio",
    "tail_ratio": "ratio",
    "turnover_per_year": "ratio",
    "exposure": "fraction",
    "costs_paid": "fraction",
    "alpha": "fraction",
    "beta": "ratio",
}

Returns = ArrayLike | ReturnSums  # figures of one track record share its `return_sums`: one pass, however many they are
NO_BARS = "there are no bars"
FEW = "needs at least two bars"
STILL = "the returns do not vary"


def performance(
    backtest: Backtest, *, bars_per_year: float, benchmark_returns: ArrayLike | None = None
) -> dict[MetricName, Metric]:
    """Every figure of a backtest by name; `METRIC_UNITS` has their units. Without a benchmark: no alpha and beta."""
    returns = return_sums(backtest.returns)
    figures: dict[MetricName, Metric] = {
        "total_return": total_return(returns),
        "cagr": cagr(returns, bars_per_year=bars_per_year),
        "volatility": annual_volatility(returns, bars_per_year=bars_per_year),
        "sharpe": sharpe_ratio(returns, bars_per_year=bars_per_year),
        "sharpe_autocorrelation_corrected": sharpe_ratio_lo(returns, bars_per_year=bars_per_year),
        "sortino": sortino_ratio(returns, bars_per_year=bars_per_year),
        "calmar": calmar_ratio(returns, bars_per_year=bars_per_year),
        "drawdown": max_drawdown(returns),
        "drawdown_bars": max_drawdown_bars(returns),
        "win_rate": win_rate(returns),
        "profit_factor": profit_factor(returns),
        "var_95": value_at_risk(returns),
        "cvar_95": conditional_value_at_risk(returns),
        "omega": omega_ratio(returns),
        "tail_ratio": tail_ratio(returns),
        "turnover_per_year": turnover_per_year(backtest.turnover, bars_per_year=bars_per_year),
        "exposure": exposure(backtest.quantity),
        "costs_paid": Metric.of(backtest.costs_paid / backtest.initial_equity, returns.n, "of the initial equity"),
    }
    if benchmark_returns is not None:
        figures["alpha"], figures["beta"] = alpha_beta(returns.sample, benchmark_returns, bars_per_year=bars_per_year)
    return figures


def total_return(returns: Returns) -> Metric:
    """Growth of the account over all bars, minus one."""
    known = return_sums(returns)
    if not known.n:
        return Metric.undefined(0, NO_BARS)
    return Metric.of(known.growth - 1, known.n)


def cagr(returns: Returns, *, bars_per_year: float) -> Metric:
    """Growth per year, compounded; for less than a year it is an extrapolation, and the note says so."""
    known, per_year = return_sums(returns), _yearly(bars_per_year)
    if not known.n:
        return Metric.undefined(0, NO_BARS)
    if known.growth <= 0 or known.ruined:
        return Metric.undefined(known.n, "the account was wiped out")
    years = known.n / per_year
    note = f"extrapolated from {years:.2f} years" if years < 1 else ""
    return Metric.of(float(np.expm1(np.log(known.growth) / years)), known.n, note).made_with(bars_per_year=per_year)


def annual_volatility(returns: Returns, *, bars_per_year: float) -> Metric:
    """Sample standard deviation (ddof=1) times √bars_per_year."""
    known, per_year = return_sums(returns), _yearly(bars_per_year)
    if known.n < 2:
        return Metric.undefined(known.n, FEW)
    return Metric.of(known.deviation(ddof=1) * math.sqrt(per_year), known.n).made_with(ddof=1, bars_per_year=per_year)


def sharpe_ratio(returns: Returns, *, bars_per_year: float, level: float = 0.95) -> Metric:
    """Annualised Sharpe ratio (ddof=1), with the interval of its asymptotic error.

    Scaling by √bars_per_year assumes independent bars; for autocorrelated returns see `sharpe_ratio_lo`. The error allows for
    skew and fat tails (Mertens 2002). Source: Sharpe (1994), The Sharpe Ratio, J. Portfolio Management 21(1).
    """
    known, per_year = return_sums(returns), _yearly(bars_per_year)
    if known.n < 2:
        return Metric.undefined(known.n, FEW)
    if known.is_still:
        return Metric.undefined(known.n, STILL)
    per_bar = known.mean / known.deviation(ddof=1)
    error = sharpe_standard_error(per_bar, bars=known.n, skew=known.skewness, kurtosis=known.kurtosis)
    reach = float(ndtri(0.5 + level / 2)) * error
    year = math.sqrt(per_year)
    return Metric.between(
        per_bar * year, known.n, low=(per_bar - reach) * year, high=(per_bar + reach) * year, level=level
    ).made_with(ddof=1, bars_per_year=per_year)


def sharpe_ratio_bootstrapped(
    returns: Returns,
    *,
    bars_per_year: float,
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = 2000,
    mean_block_bars: float | None = None,
) -> Metric:
    """Annualised Sharpe ratio with a stationary-bootstrap percentile interval, which keeps dependence between bars."""
    known, per_year = return_sums(returns), _yearly(bars_per_year)
    sample, plain = known.sample, sharpe_ratio(known, bars_per_year=per_year)
    if plain.value is None:
        return plain
    block = optimal_block_bars(sample) if mean_block_bars is None else mean_block_bars
    n = sample.size
    # Sums are all that a Sharpe ratio needs, and a resampled sum is a matrix product.
    moments = np.column_stack([sample, sample**2])
    sums = np.concatenate(
        [weights @ moments for weights in resampling_weights(n, draws, mean_block_bars=block, rng=rng)]
    )
    mean = sums[:, 0] / n
    variance = (sums[:, 1] - n * mean**2) / (n - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        replicas = np.where(variance > 0, mean / np.sqrt(variance), np.nan) * np.sqrt(per_year)
    return percentile_interval(plain.value, replicas, n, level=level).made_with(ddof=1, bars_per_year=per_year)


def lo_scale(autocorrelations: ArrayLike, *, bars_per_year: float) -> float:
    """η(q) = q / √(q + 2 Σ (q − k) ρ_k): what a per-bar Sharpe ratio is multiplied by for a year of q bars.

    autocorrelations: ρ_1, ρ_2, …; those not given count as zero. √q where all are zero. NaN where the implied annual variance
    is not positive. Source: Lo (2002), The statistics of Sharpe ratios, Financial Analysts Journal 58(4), eq. 20.
    """
    rho = series(autocorrelations, "autocorrelations")
    lag = np.arange(1, rho.size + 1)
    within = lag < bars_per_year
    variance = bars_per_year + 2 * float(np.sum((bars_per_year - lag[within]) * rho[within]))
    return bars_per_year / float(np.sqrt(variance)) if variance > 0 else float("nan")


def sharpe_ratio_lo(returns: Returns, *, bars_per_year: float, lags: int | None = None) -> Metric:
    """Annualised Sharpe ratio corrected for autocorrelation, over `lags` sample autocorrelations.

    lags: `newey_west_lags` when None; all bars_per_year − 1 of them, as for Lo's monthly data, would be mostly noise here.
    """
    known, per_year = return_sums(returns), _yearly(bars_per_year)
    sample = known.sample
    used = newey_west_lags(sample.size) if lags is None else lags
    if sample.size < max(3, used + 2):
        return Metric.undefined(sample.size, f"needs at least {max(3, used + 2)} bars")
    if known.is_still:
        return Metric.undefined(sample.size, STILL)
    centred = (sample - known.mean) / known.scale
    rho = [float(centred[lag:] @ centred[:-lag]) / known.squares for lag in range(1, used + 1)]
    scale = lo_scale(np.array(rho, dtype=np.float64), bars_per_year=per_year)
    if not np.isfinite(scale):
        return Metric.undefined(sample.size, "the autocorrelations imply a negative annual variance")
    return Metric.of(known.mean / known.deviation(ddof=1) * scale, sample.size, f"{used} autocorrelations").made_with(
        ddof=1, bars_per_year=per_year
    )


def sortino_ratio(returns: Returns, *, bars_per_year: float) -> Metric:
    """Mean over downside deviation below zero (root mean square over all bars), annualised.

    Source: Sortino & Price (1994), Performance measurement in a downside risk framework, J. Investing 3(3).
    """
    known, per_year = return_sums(returns), _yearly(bars_per_year)
    if known.n < 2:
        return Metric.undefined(known.n, FEW)
    if known.downside_deviation == 0:
        return Metric.undefined(known.n, "no bar lost money")
    return Metric.of(known.mean / known.downside_deviation * math.sqrt(per_year), known.n).made_with(
        ddof=0, bars_per_year=per_year
    )


def calmar_ratio(returns: Returns, *, bars_per_year: float) -> Metric:
    """Growth per year over the size of the maximum drawdown. Source: Young (1991), Calmar ratio, Futures 20(1)."""
    known = return_sums(returns)
    growth, fall = cagr(known, bars_per_year=bars_per_year), max_drawdown(known)
    if growth.value is None:
        return growth
    if not fall.value:
        return Metric.undefined(growth.n, "there was no drawdown")
    return Metric.of(growth.value / -fall.value, growth.n, growth.note).made_with(bars_per_year=bars_per_year)


def max_drawdown(returns: Returns) -> Metric:
    """The deepest fall from a peak (the initial equity is one), a fraction between −1 and 0."""
    known = return_sums(returns)
    return Metric.of(known.drawdown, known.n) if known.n else Metric.undefined(0, NO_BARS)


def max_drawdown_bars(returns: Returns) -> Metric:
    """Bars from the peak before the maximum drawdown until equity is back at it, or until the last bar."""
    known = return_sums(returns)
    if not known.n:
        return Metric.undefined(0, NO_BARS)
    return Metric.of(known.drawdown_bars, known.n, "" if known.recovered else "not recovered by the last bar")


def win_rate(returns: Returns) -> Metric:
    """Share of bars with a gain among those with a gain or a loss: bars, not trades."""
    known = return_sums(returns)
    decided = known.winners + known.losers
    return Metric.of(known.winners / decided, decided) if decided else Metric.undefined(0, "no bar gained or lost")


def profit_factor(returns: Returns) -> Metric:
    """Sum of the gains over sum of the losses, by bar."""
    known = return_sums(returns)
    if known.losses == 0:
        return Metric.undefined(known.n, "no bar lost money")
    return Metric.of(known.gains / known.losses, known.n)


def value_at_risk(returns: Returns, *, level: float = 0.95) -> Metric:
    """The return that all but the worst 1 − level of the bars exceeded: an empirical quantile, negative for a loss."""
    known = return_sums(returns)
    if known.n < 2:
        return Metric.undefined(known.n, FEW)
    return Metric.of(known.quantile(1 - level), known.n)


def conditional_value_at_risk(returns: Returns, *, level: float = 0.95) -> Metric:
    """The mean of the worst 1 − level of the bars (expected shortfall), at least one bar.

    Source: Rockafellar & Uryasev (2000), Optimization of conditional value-at-risk, J. Risk 2(3).
    """
    known = return_sums(returns)
    if known.n < 2:
        return Metric.undefined(known.n, FEW)
    worst = int((known.n - 1) * (1 - level)) + 1
    return Metric.of(float(known.ordered[:worst].mean()), known.n, f"{worst} bars")


def omega_ratio(returns: Returns, *, threshold: float = 0.0) -> Metric:
    """Sum of the returns above the threshold over the sum below it.

    Source: Keating & Shadwick (2002), A universal performance measure, J. Performance Measurement 6(3).
    """
    known = return_sums(returns)
    if threshold != 0:
        known = return_sums(known.sample - threshold)
    if known.losses == 0:
        return Metric.undefined(known.n, "no bar fell short of the threshold")
    return Metric.of(known.gains / known.losses, known.n)


def tail_ratio(returns: Returns) -> Metric:
    """Size of the 95 % quantile of the returns over that of the 5 % quantile: above 1, large gains outweigh large losses."""
    known = return_sums(returns)
    if known.n < 2:
        return Metric.undefined(known.n, FEW)
    low, high = known.quantile(0.05), known.quantile(0.95)
    if low == 0:
        return Metric.undefined(known.n, "the 5 % quantile is zero")
    return Metric.of(abs(high) / abs(low), known.n)


def turnover_per_year(turnover: ArrayLike, *, bars_per_year: float) -> Metric:
    """Notional traded a year, in multiples of equity; `turnover`: per bar, as in `Backtest`."""
    sample, per_year = series(turnover, "turnover"), _yearly(bars_per_year)
    if not sample.size:
        return Metric.undefined(0, NO_BARS)
    return Metric.of(float(sample.sum()) * per_year / sample.size, sample.size).made_with(bars_per_year=per_year)


def exposure(quantity: ArrayLike) -> Metric:
    """Share of bars that closed with a position, long or short."""
    sample = series(quantity, "quantity")
    if not sample.size:
        return Metric.undefined(0, NO_BARS)
    return Metric.of(float(np.mean(sample != 0)), sample.size)


def alpha_beta(
    returns: ArrayLike, benchmark_returns: ArrayLike, *, bars_per_year: float, level: float = 0.95
) -> tuple[Metric, Metric]:
    """Annualised alpha (per bar × bars_per_year) with its HAC interval, and beta, of a regression on the benchmark.

    Source: Jensen (1968), The performance of mutual funds, J. Finance 23(2); Newey & West (1987).
    """
    sample, per_year = series(returns, "returns"), _yearly(bars_per_year)
    benchmark = series(benchmark_returns, "benchmark_returns")
    same_length(returns=sample, benchmark_returns=benchmark)
    n = sample.size
    if n < 4:
        return Metric.undefined(n, "needs at least four bars"), Metric.undefined(n, "needs at least four bars")
    if is_still(benchmark):
        return Metric.undefined(n, "the benchmark does not vary"), Metric.undefined(n, "the benchmark does not vary")
    fit = regression_alphas(sample[:, None], benchmark[:, None])
    alpha, error = float(fit.alpha[0]) * per_year, float(fit.standard_error[0]) * per_year
    beta = Metric.of(float(fit.betas[0, 0]), n)
    spent = n - fit.degrees_of_freedom
    if not np.isfinite(error):
        plain = Metric.of(alpha, n, "the benchmark explains every bar")
        return plain.made_with(ddof=spent, bars_per_year=per_year), beta
    reach = float(stdtrit(fit.degrees_of_freedom, 0.5 + level / 2)) * error
    bounded = Metric.between(alpha, n, low=alpha - reach, high=alpha + reach, level=level)
    return bounded.made_with(ddof=spent, bars_per_year=per_year), beta


def _yearly(bars_per_year: float) -> float:
    if not bars_per_year > 0:
        raise InvalidRequest(f"bars_per_year must be positive, not {bars_per_year}")
    return float(bars_per_year)
