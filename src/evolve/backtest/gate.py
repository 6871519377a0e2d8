"""Is any of these models worth trusting? The verdict, and the sentence that says why.

`edge` is claimed on alpha, not on return: what is left of a candidate's net returns after buy-and-hold and vol-targeted
buy-and-hold have explained what they can. Being long a rising market, or less of it when it is wild, is no forecasting skill.
Two hurdles must both be passed:

1. Superior predictive ability over the alphas of all candidates at once, at 5 %: was the best one better than the best of so
   many lucky ones would be? (Hansen 2005; stationary bootstrap, blocks at least as long as the horizon.)
2. The deflated Sharpe ratio of the winner's alpha, at 95 %, over every trial ever made on these bars, with the null variance
   1/T: the empirical variance across trials would count skill as luck once several candidates are good.

Neither passed is `no_edge` only where an edge worth having would probably have been seen; else it is `insufficient_data`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from evolve.backtest.return_sums import return_sums
from evolve.backtest.significance import (
    deflated_sharpe_ratio,
    expected_max_sharpe,
    expected_maximum,
    minimum_track_record,
    probabilistic_sharpe_ratio,
)
from evolve.cards import Verdict
from evolve.errors import InvalidRequest
from evolve.statistics.bootstrap import SuperiorPredictiveAbility, optimal_block_bars, superior_predictive_ability
from evolve.statistics.comparison import Alphas, newey_west_lags, p_value, regression_alphas
from evolve.statistics.metric import Floats, Metric, same_length, series, table

LEVEL = 0.05
# One year of days: below it neither autocorrelation nor fat tails can be estimated, and no verdict is given.
MIN_BARS = 250
# Fewer bars with a result than this are anecdotes: their sum is no average, whatever its t statistic.
MIN_ACTIVE_BARS = 30
# The alpha worth finding, as an annual Sharpe ratio. With so few bars that the gate would miss it more often than not, silence proves nothing.
WORTH_FINDING = 2.0
# Decay of the variance estimate of the vol-targeted benchmark (RiskMetrics 1996, daily), and the most it may hold.
VARIANCE_DECAY = 0.94
MAX_LEVERAGE = 2.0


@dataclass(frozen=True, slots=True)
class CandidateVerdict:
    """What the gate knows about one candidate. alpha: annualised, with its HAC interval.

    t: of the alpha, HAC. p: one-sided, that the alpha is not positive, for this candidate alone. Undefined, with the reason, for
    a candidate that hardly trades or that the benchmark explains completely.
    probabilistic_sharpe: probability that the Sharpe ratio of the alpha is positive, had it been the only trial; deflated_sharpe:
    after all trials; min_track_record_years: how long a record of such an alpha must be until the first is 95 %.
    """

    name: str
    alpha: Metric
    t: Metric
    p: Metric
    probabilistic_sharpe: Metric
    deflated_sharpe: Metric
    min_track_record_years: Metric
    beta: float | None
    beta_vol_targeted: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """winner: index of the candidate with an edge, or None. spa: p-value over all candidates. hurdle_sharpe: annual Sharpe ratio
    of the alpha that the best of `trials` lucky candidates is expected to show on so many bars."""

    verdict: Verdict
    winner: int | None
    reason: str
    candidates: tuple[CandidateVerdict, ...]
    spa: Metric
    hurdle_sharpe: float
    bars: int
    years: float
    trials: int
    mean_block_bars: float | None


def judge(
    candidate_returns: ArrayLike,
    benchmark_returns: ArrayLike,
    names: Sequence[str],
    *,
    horizon_bars: int,
    trials: int,
    bars_per_year: float,
    rng: np.random.Generator,
    draws: int = 2000,
) -> Judgement:
    """The verdict on all candidates together, out of sample.

    candidate_returns: (bars, candidates), net simple returns of the test stretches. benchmark_returns: (bars,), buy-and-hold on
    the same bars. horizon_bars: how far ahead the models look. trials: every distinct model ever tried on this symbol, at least
    the candidates. rng: seeded; the same state gives the same verdict. Raises InvalidRequest.
    """
    returns, benchmark = table(candidate_returns, "candidate_returns"), series(benchmark_returns, "benchmark_returns")
    bars = same_length(candidate_returns=returns, benchmark_returns=benchmark)
    _check(returns, names, horizon_bars=horizon_bars, trials=trials, bars_per_year=bars_per_year, draws=draws)
    years = bars / bars_per_year
    hurdle = expected_max_sharpe(trials, variance=1 / max(bars, 1)) * float(np.sqrt(bars_per_year))

    def ruling(
        verdict: Verdict,
        reason: str,
        candidates: tuple[CandidateVerdict, ...],
        spa: Metric,
        *,
        winner: int | None = None,
        block: float | None = None,
    ) -> Judgement:
        return Judgement(verdict, winner, reason, candidates, spa, hurdle, bars, years, trials, block)

    if bars < MIN_BARS:
        why = f"only {bars} bars out of sample"
        nothing = tuple(_unjudged(name, bars, why) for name in names)
        reason = f"{why}; at least {MIN_BARS} are needed before luck and skill can be told apart."
        return ruling("insufficient_data", reason, nothing, Metric.undefined(bars, why))

    fit = alphas(returns, benchmark, horizon_bars=horizon_bars)
    barred = why_barred(returns, fit)
    judged = np.array([index for index, why in enumerate(barred) if not why], dtype=np.int64)
    candidates = tuple(
        _unjudged(name, bars, barred[index])
        if barred[index]
        else _candidate(name, index, fit, bars=bars, trials=trials, bars_per_year=bars_per_year)
        for index, name in enumerate(names)
    )
    too_short = _years_to_see(WORTH_FINDING, trials=trials)
    silence: Verdict = "no_edge" if years >= too_short else "insufficient_data"
    doubt = (
        ""
        if silence == "no_edge"
        else f" With {years:.2f} years and {_counted(trials)} that proves little: even an alpha with a Sharpe ratio of "
        f"{WORTH_FINDING:g} takes {too_short:.2f} years to be seen more often than not."
    )
    opening = "No edge" if silence == "no_edge" else "Not enough data"
    if not judged.size:
        why = "no candidate took a position of its own"
        return ruling(silence, f"{opening}: {why}.{doubt}", candidates, Metric.undefined(bars, why))

    spa = _spa(fit.influence[:, judged], horizon_bars=horizon_bars, draws=draws, rng=rng)
    p = Metric(spa.p, bars, f"{spa.draws} resamples, mean block {spa.mean_block_bars:.1f} bars")
    best = int(judged[spa.best])
    deflated = candidates[best].deflated_sharpe
    alpha = candidates[best].alpha.value or 0.0
    who = f"{names[best]} (alpha {100 * alpha:+.1f} % a year over buy-and-hold and vol-targeted buy-and-hold)"
    luck = f"the best of {judged.size} lucky candidates" if judged.size > 1 else "a lucky one"
    beats_luck = spa.p <= LEVEL
    survives = deflated.value is not None and deflated.value >= 1 - LEVEL
    if beats_luck and survives:
        return ruling(
            "edge",
            f"{who} is better than {luck} would be (SPA p {'= ' if spa.p >= 0.001 else ''}{_small(spa.p)}), and the Sharpe ratio of that "
            f"alpha survives deflation by {_counted(trials)} (probability {deflated.value:.3f}).",
            candidates,
            p,
            winner=best,
            block=spa.mean_block_bars,
        )
    failed = []
    if not beats_luck:
        failed.append(f"{luck} does as well with probability {spa.p:.2f} (at most {LEVEL:g} is asked)")
    if not survives:
        shown = "undefined" if deflated.value is None else f"{deflated.value:.2f}"
        failed.append(
            f"after {_counted(trials)} the Sharpe ratio of that alpha is above zero with probability {shown} (at least {1 - LEVEL:g} is asked)"
        )
    return ruling(
        silence,
        f"{opening}: the best candidate is {who}, but {', and '.join(failed)}.{doubt}",
        candidates,
        p,
        block=spa.mean_block_bars,
    )


def alphas(returns: Floats, benchmark: Floats, *, horizon_bars: int) -> Alphas:
    """What buy-and-hold and vol-targeted buy-and-hold leave of each column of `returns`, shape (bars, candidates)."""
    factors = np.column_stack([benchmark, vol_targeted(benchmark)])
    return regression_alphas(returns, factors, lags=max(horizon_bars - 1, newey_west_lags(len(benchmark))))


def vol_targeted(benchmark_returns: Floats) -> Floats:
    """Buy-and-hold, scaled before each bar to its average volatility so far by an estimate from earlier bars only; shape (bars,).

    Exponentially weighted variance; at most `MAX_LEVERAGE` times the benchmark. Fills and costs are left out: it explains, nobody
    trades it.
    """
    squares = benchmark_returns**2
    bars = squares.size
    so_far = np.concatenate([[0.0], np.cumsum(squares)[:-1]]) / np.maximum(np.arange(bars), 1)
    recent = np.empty(bars)
    variance = 0.0
    weight = 0.0
    for bar, square in enumerate(squares.tolist()):
        # Divided by the weights seen so far, so that the first estimates do not lean towards zero.
        recent[bar] = variance / weight if weight else 0.0
        variance = VARIANCE_DECAY * variance + (1 - VARIANCE_DECAY) * square
        weight = VARIANCE_DECAY * weight + (1 - VARIANCE_DECAY)
    scale = np.sqrt(np.divide(so_far, recent, out=np.ones(bars), where=recent > 0))
    return benchmark_returns * np.minimum(scale, MAX_LEVERAGE)


def _check(
    returns: Floats, names: Sequence[str], *, horizon_bars: int, trials: int, bars_per_year: float, draws: int
) -> None:
    if returns.shape[1] != len(names) or not names:
        raise InvalidRequest(f"{returns.shape[1]} columns of candidate returns need as many names, not {len(names)}")
    if horizon_bars < 1:
        raise InvalidRequest(f"horizon_bars must be at least 1, not {horizon_bars}")
    if trials < len(names):
        raise InvalidRequest(
            f"trials must count every model ever tried, so at least the {len(names)} candidates, not {trials}"
        )
    if not bars_per_year > 0:
        raise InvalidRequest(f"bars_per_year must be positive, not {bars_per_year}")
    if draws < 100:
        raise InvalidRequest(f"draws must be at least 100, not {draws}: a p-value of 5 % cannot be told from fewer")


def why_barred(returns: Floats, fit: Alphas) -> list[str]:
    """For each candidate, why it cannot be judged; empty where it can."""
    reasons = []
    for column in range(returns.shape[1]):
        active = int(np.sum(returns[:, column] != 0))
        if active == 0:
            reasons.append("it never held a position")
        elif active < MIN_ACTIVE_BARS:
            reasons.append(f"it held a position on {active} bars only; at least {MIN_ACTIVE_BARS} are needed")
        elif fit.explained[column] or not fit.standard_error[column] > 0:
            reasons.append("the benchmark explains every bar of it")
        else:
            reasons.append("")
    return reasons


def _unjudged(name: str, bars: int, why: str) -> CandidateVerdict:
    unknown = Metric.undefined(bars, why)
    return CandidateVerdict(name, unknown, unknown, unknown, unknown, unknown, unknown, None, None)


def _candidate(name: str, index: int, fit: Alphas, *, bars: int, trials: int, bars_per_year: float) -> CandidateVerdict:
    alpha, error, t = float(fit.alpha[index]), float(fit.standard_error[index]), float(fit.t[index])
    reach = float(ndtri(1 - LEVEL / 2)) * error
    own = return_sums(alpha + fit.residual[:, index])
    sharpe, skew, fourth = own.mean / own.deviation(ddof=1), own.skewness, own.kurtosis
    record = minimum_track_record(sharpe, level=1 - LEVEL, skew=skew, kurtosis=fourth)
    return CandidateVerdict(
        name=name,
        alpha=Metric.between(
            alpha * bars_per_year,
            bars,
            low=(alpha - reach) * bars_per_year,
            high=(alpha + reach) * bars_per_year,
            level=1 - LEVEL,
        ).made_with(ddof=bars - fit.degrees_of_freedom, bars_per_year=bars_per_year),
        t=Metric.of(t, bars, f"HAC, {fit.lags} lags"),
        p=Metric.of(float(p_value(t, fit.degrees_of_freedom, "greater")), bars, "one-sided, this candidate alone"),
        probabilistic_sharpe=probabilistic_sharpe_ratio(sharpe, bars=bars, skew=skew, kurtosis=fourth),
        deflated_sharpe=deflated_sharpe_ratio(
            sharpe, trials=trials, variance=1 / bars, bars=bars, skew=skew, kurtosis=fourth
        ),
        min_track_record_years=Metric.undefined(bars, record.note)
        if record.value is None
        else Metric.of(record.value / bars_per_year, bars),
        beta=float(fit.betas[0, index]),
        beta_vol_targeted=float(fit.betas[1, index]),
    )


def _spa(influence: Floats, *, horizon_bars: int, draws: int, rng: np.random.Generator) -> SuperiorPredictiveAbility:
    estimated = float(np.median([optimal_block_bars(column) for column in influence.T]))
    return superior_predictive_ability(
        influence, mean_block_bars=max(float(horizon_bars), estimated), draws=draws, rng=rng
    )


def _small(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _counted(trials: int) -> str:
    return f"{trials} trial{'s' * (trials != 1)}"


def _years_to_see(sharpe: float, *, trials: int) -> float:
    """Years after which the deflated hurdle is passed half the time by an alpha of that annual Sharpe ratio."""
    return ((expected_maximum(trials) + float(ndtri(1 - LEVEL))) / sharpe) ** 2
