"""Could this Sharpe ratio be luck? Its probability, its deflation by the number of tries, and the odds of an overfitted pick.

Sharpe ratios here are per bar, not annualised. kurtosis: 3 for a normal (not the excess).
Sources: Bailey & López de Prado (2012), The Sharpe ratio efficient frontier, J. Risk 15(2) [PSR, MinTRL]; (2014), The deflated
Sharpe ratio, J. Portfolio Management 40(5) [DSR]; Bailey, Borwein, López de Prado & Zhu (2017), The probability of backtest
overfitting, J. Computational Finance 20(4) [PBO].
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.statistics.metric import Floats, Metric, series, table


def sharpe_standard_error(sharpe: float, *, bars: int, skew: float = 0.0, kurtosis: float = 3.0) -> float:
    """Asymptotic standard error of a Sharpe ratio per bar, over √(bars − 1). Source: Mertens (2002); Bailey & López de Prado (2012)."""
    if bars < 2:
        raise InvalidRequest(f"a Sharpe ratio needs at least two bars, not {bars}")
    return float(np.sqrt(_unit_variance(sharpe, skew, kurtosis) / (bars - 1)))


def probabilistic_sharpe_ratio(
    sharpe: float, *, benchmark: float = 0.0, bars: int, skew: float = 0.0, kurtosis: float = 3.0
) -> Metric:
    """Probability that the true Sharpe ratio exceeds `benchmark`."""
    error = sharpe_standard_error(sharpe, bars=bars, skew=skew, kurtosis=kurtosis)
    if error == 0:
        return Metric.undefined(bars, "the returns take two values only, so that their Sharpe ratio has no error")
    return Metric.of(float(ndtr((sharpe - benchmark) / error)), bars)


def expected_maximum(trials: int) -> float:
    """Expected largest of `trials` independent standard normals, by extreme-value theory; 0 for one.

    The approximation of Bailey & López de Prado (2014), eq. 1: within 4 % of the truth for ten trials and more.
    """
    if trials < 1:
        raise InvalidRequest(f"trials must be at least 1, not {trials}")
    if trials == 1:
        return 0.0
    gamma = float(np.euler_gamma)
    return float((1 - gamma) * ndtri(1 - 1 / trials) + gamma * ndtri(1 - 1 / (trials * np.e)))


def expected_max_sharpe(trials: int, *, variance: float) -> float:
    """The best Sharpe ratio per bar to expect among `trials` without skill; variance: of the Sharpe ratios across trials."""
    if not variance >= 0:
        raise InvalidRequest(f"variance must not be negative, not {variance}")
    return float(np.sqrt(variance)) * expected_maximum(trials)


def deflated_sharpe_ratio(
    sharpe: float, *, trials: int, variance: float, bars: int, skew: float = 0.0, kurtosis: float = 3.0
) -> Metric:
    """Probability that the true Sharpe ratio is positive, after having picked the best of `trials`."""
    hurdle = expected_max_sharpe(trials, variance=variance)
    return probabilistic_sharpe_ratio(sharpe, benchmark=hurdle, bars=bars, skew=skew, kurtosis=kurtosis)


def minimum_track_record(
    sharpe: float, *, benchmark: float = 0.0, level: float = 0.95, skew: float = 0.0, kurtosis: float = 3.0
) -> Metric:
    """Bars needed until a Sharpe ratio as observed exceeds `benchmark` with confidence `level`."""
    if not 0.5 < level < 1:
        raise InvalidRequest(f"level must lie between 0.5 and 1, not {level}")
    if sharpe <= benchmark:
        return Metric.undefined(
            0, f"a Sharpe ratio of {sharpe:g} does not exceed {benchmark:g} however long the record"
        )
    z = float(ndtri(level))
    return Metric.of(1 + _unit_variance(sharpe, skew, kurtosis) * (z / (sharpe - benchmark)) ** 2, 0)


@dataclass(frozen=True, eq=False, slots=True)
class Overfitting:
    """probability: share of the splits whose best candidate in sample is below the median out of sample.

    overfitted, splits: the counts behind it. logits: one per split; ≤ 0 is overfitted.
    """

    probability: float
    overfitted: int
    splits: int
    logits: Floats


def backtest_overfitting(returns: ArrayLike, *, blocks: int = 10) -> Overfitting:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation, judged by Sharpe ratio.

    returns: (bars, candidates). blocks: even; every half of them is once in sample. The last bars % blocks bars are left out.
    Raises InvalidRequest for fewer than two candidates or an odd number of blocks, DataUnavailable for too few bars.
    """
    sample = table(returns, "returns")
    bars, candidates = sample.shape
    if candidates < 2:
        raise InvalidRequest(f"overfitting is a matter of choice: it needs at least two candidates, not {candidates}")
    if blocks < 2 or blocks % 2:
        raise InvalidRequest(f"blocks must be even and at least 2, not {blocks}")
    length = bars // blocks
    if length < 2:
        raise DataUnavailable(f"{bars} bars are too few for {blocks} blocks; at least {2 * blocks} are needed")
    blocked = sample[: length * blocks].reshape(blocks, length, candidates)
    sums, squares = blocked.sum(axis=1), (blocked**2).sum(axis=1)
    chosen = np.zeros((comb(blocks, blocks // 2), blocks))
    for row, inside in enumerate(combinations(range(blocks), blocks // 2)):
        chosen[row, list(inside)] = 1
    size = length * blocks // 2
    inside_sharpe = _sharpe_from_sums(chosen @ sums, chosen @ squares, size)
    outside_sharpe = _sharpe_from_sums((1 - chosen) @ sums, (1 - chosen) @ squares, size)
    best = np.argmax(inside_sharpe, axis=1)
    picked = np.take_along_axis(outside_sharpe, best[:, None], axis=1)
    below = np.sum(outside_sharpe < picked, axis=1)
    equal = np.sum(outside_sharpe == picked, axis=1)
    # The mean rank among equals, so that candidates that do the same are neither good nor bad.
    rank = (below + (equal + 1) / 2) / (candidates + 1)
    logits = np.log(rank / (1 - rank))
    overfitted = int(np.sum(logits <= 0))
    return Overfitting(overfitted / len(logits), overfitted, len(logits), logits)


def circular_shift_test(positions: ArrayLike, returns: ArrayLike, *, shortest_shift: int = 20) -> Metric:
    """p-value of "the timing is luck": how often the best candidate does as well when its positions are moved in time.

    positions: (bars, candidates), held over the bar whose return of the asset is in `returns`, shape (bars,). Every circular
    shift from `shortest_shift` bars on, both ways, keeps each candidate's turnover, exposure and autocorrelation and what all of
    them share, and breaks only their hold on the future: each is a random entry at equal turnover. The statistic is the largest
    t of position × (return − mean return) over the candidates, so that being long in a rising market is no timing. Costs are the
    same for every shift and cancel. Undefined where no position ever changes or the bars are too few to shift.
    """
    held, moves = table(positions, "positions"), series(returns, "returns")
    bars = len(moves)
    if held.shape[0] != bars:
        raise InvalidRequest(f"positions have {held.shape[0]} bars, returns {bars}")
    if bars < 3 * shortest_shift:
        return Metric.undefined(bars, f"needs at least {3 * shortest_shift} bars to shift")
    held = held[:, np.ptp(held, axis=0) > 0]
    if not held.shape[1]:
        return Metric.undefined(bars, "no position ever changes")
    excess = moves - moves.mean()
    gained = _circular_sums(held, excess) / bars
    squared = _circular_sums(held**2, excess**2) / bars
    spread = np.sqrt(np.maximum(squared - gained**2, 1e-300))
    best = (gained / spread * np.sqrt(bars)).max(axis=1)
    shifted = best[shortest_shift : bars - shortest_shift + 1]
    # As for every simulated p-value, the observed one counts among the draws.
    return Metric.of(float((1 + np.sum(shifted >= best[0])) / (1 + shifted.size)), bars, f"{shifted.size} shifts")


def _circular_sums(columns: Floats, values: Floats) -> Floats:
    """For every shift s and column: Σ over bars t of column[t − s] × values[t], by the discrete correlation theorem."""
    spectrum = np.fft.rfft(values)[:, None] * np.fft.rfft(columns, axis=0).conj()
    return np.asarray(np.fft.irfft(spectrum, len(values), axis=0))


def _sharpe_from_sums(sums: Floats, squares: Floats, size: int) -> Floats:
    mean = sums / size
    variance = np.maximum(squares / size - mean**2, 0.0) * size / (size - 1)
    # A candidate that never trades has neither mean nor variance: Sharpe 0, so that it can be ranked.
    deviation = np.sqrt(variance)
    return np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > 1e-15)


def _unit_variance(sharpe: float, skew: float, kurtosis: float) -> float:
    # Pearson's inequality, kurtosis ≥ skew² + 1, makes this non-negative; rounding may not know that.
    return max(0.0, 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2)
