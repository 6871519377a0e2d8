"""How much would a figure have varied by luck? Resampling in blocks, which keeps the dependence between neighbouring bars.

Every function takes its random generator: the same generator state gives the same answer.
Source: Politis & Romano (1994), The stationary bootstrap, J. American Statistical Association 89(428).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.errors import InvalidRequest
from evolve.statistics.metric import Floats, Metric, series, table

# Draws resampled at once: 64 × 5,000 bars of int64 are 2.5 MB, which stays in the cache of one core.
DRAWS_AT_ONCE = 64


def stationary_indices(bars: int, draws: int, *, mean_block_bars: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of resampled bars, shape (draws, bars): blocks of geometric length from random starts, wrapping at the end.

    mean_block_bars: at least 1; 1 is the ordinary bootstrap.
    """
    if bars < 1 or draws < 1:
        raise InvalidRequest(f"resampling needs at least one bar and one draw, not {bars} and {draws}")
    if not mean_block_bars >= 1:
        raise InvalidRequest(f"mean_block_bars must be at least 1, not {mean_block_bars}")
    starts = rng.integers(0, bars, size=(draws, bars), dtype=np.int64)
    begins = rng.random((draws, bars)) < 1 / mean_block_bars
    begins[:, 0] = True
    place = np.arange(bars, dtype=np.int64)
    block_begin = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    indices = np.take_along_axis(starts, block_begin, axis=1) + (place - block_begin)
    return indices % bars


def resampling_weights(bars: int, draws: int, *, mean_block_bars: float, rng: np.random.Generator) -> Iterator[Floats]:
    """How often each bar is drawn, in chunks of shape (≤ 64, bars): a resampled sum is then a matrix product."""
    for first in range(0, draws, DRAWS_AT_ONCE):
        size = min(DRAWS_AT_ONCE, draws - first)
        indices = stationary_indices(bars, size, mean_block_bars=mean_block_bars, rng=rng)
        flat = (indices + bars * np.arange(size, dtype=np.int64)[:, None]).ravel()
        yield np.bincount(flat, minlength=size * bars).reshape(size, bars).astype(np.float64)


def optimal_block_bars(values: ArrayLike) -> float:
    """Mean block length that estimates the variance of the mean best, at least 1.

    1 for fewer than 8 bars or a constant series, where nothing can be estimated.
    Source: Politis & White (2004), Econometric Reviews 23(1), as corrected by Patton, Politis & White (2009), 28(4).
    """
    sample = series(values, "values")
    n = sample.size
    if n < 8:
        return 1.0
    centred = sample - sample.mean()
    if not np.any(np.abs(centred) > 1e-12 * np.abs(sample).max()):
        return 1.0
    quiet_lags = max(5, int(np.log10(n)))
    longest = min(n - 2, int(np.ceil(np.sqrt(n))) + quiet_lags)
    covariance = np.array([centred[lag:] @ centred[: n - lag] for lag in range(longest + 1)]) / n
    threshold = 2 * np.sqrt(np.log10(n) / n)
    quiet = np.abs(covariance[1:] / covariance[0]) < threshold
    # The first lag after which `quiet_lags` autocorrelations in a row are insignificant.
    runs = np.convolve(quiet, np.ones(quiet_lags), mode="valid") == quiet_lags
    significant = int(np.argmax(runs)) if runs.any() else None
    bandwidth = longest if significant is None else min(2 * max(significant, 1), longest)
    lag = np.arange(1, bandwidth + 1)
    flat_top = np.where(lag / bandwidth <= 0.5, 1.0, 2 * (1 - lag / bandwidth))
    slope = 2 * float(np.sum(flat_top * lag * covariance[1 : bandwidth + 1]))
    spectrum = float(covariance[0] + 2 * np.sum(flat_top * covariance[1 : bandwidth + 1]))
    ceiling = float(np.ceil(min(3 * np.sqrt(n), n / 3)))
    if spectrum == 0:
        return ceiling
    length = (2 * slope**2 / (2 * spectrum**2)) ** (1 / 3) * n ** (1 / 3)
    return float(min(max(length, 1.0), ceiling))


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[[Floats], Floats],
    *,
    mean_block_bars: float | None = None,
    level: float = 0.95,
    draws: int = 1000,
    rng: np.random.Generator,
) -> Metric:
    """The statistic of `values` with its percentile interval.

    statistic: takes (draws, bars), gives (draws,). mean_block_bars: `optimal_block_bars` when None.
    Undefined when the statistic is undefined for the data; resamples for which it is undefined are left out and counted.
    """
    sample = series(values, "values")
    if not sample.size:
        return Metric.undefined(0, "there is nothing to resample")
    value = float(statistic(sample[None, :])[0])
    if not np.isfinite(value):
        return Metric.undefined(sample.size, "undefined for these data")
    block = optimal_block_bars(sample) if mean_block_bars is None else mean_block_bars
    replicas = []
    for first in range(0, draws, DRAWS_AT_ONCE):
        size = min(DRAWS_AT_ONCE, draws - first)
        indices = stationary_indices(sample.size, size, mean_block_bars=block, rng=rng)
        replicas.append(statistic(sample[indices]))
    return percentile_interval(value, np.concatenate(replicas), sample.size, level=level)


def percentile_interval(value: float, replicas: Floats, n: int, *, level: float) -> Metric:
    """`value` with the central `level` of its replicas; undefined replicas are left out and counted in the note."""
    if not 0 < level < 1:
        raise InvalidRequest(f"level must lie between 0 and 1, not {level}")
    defined = replicas[np.isfinite(replicas)]
    if not defined.size:
        return Metric(value, n, "no interval: undefined in every resample")
    low, high = np.quantile(defined, [0.5 - level / 2, 0.5 + level / 2])
    lost = replicas.size - defined.size
    note = f"undefined in {lost} of {replicas.size} resamples" if lost else ""
    return Metric.between(value, n, low=float(low), high=float(high), level=level, note=note)


@dataclass(frozen=True, slots=True)
class SuperiorPredictiveAbility:
    """Is the best of many candidates better than the benchmark by more than the luck of having tried many?

    p: consistent p-value (Hansen's SPA_c) for "no candidate is better". p_lower, p_upper: its liberal and conservative bounds.
    best: column with the largest studentised mean; statistic: that value, or 0 when none is positive.
    """

    p: float
    p_lower: float
    p_upper: float
    statistic: float
    best: int
    mean_block_bars: float
    draws: int


def superior_predictive_ability(
    differences: ArrayLike,
    *,
    mean_block_bars: float | None = None,
    draws: int = 2000,
    rng: np.random.Generator,
) -> SuperiorPredictiveAbility:
    """Hansen's test over all candidates at once, studentised.

    differences: (bars, candidates), candidate minus benchmark, larger is better. mean_block_bars: the median of
    `optimal_block_bars` over the candidates when None. Raises InvalidRequest for a candidate that never differs.
    Source: Hansen (2005), A test for superior predictive ability, J. Business & Economic Statistics 23(4).
    """
    sample = table(differences, "differences")
    n, candidates = sample.shape
    if n < 2 or candidates < 1:
        raise InvalidRequest(f"needs at least two bars and one candidate, not {n} and {candidates}")
    still = np.flatnonzero(np.ptp(sample, axis=0) <= 1e-12 * np.abs(sample).max(axis=0))
    if still.size:
        raise InvalidRequest(
            f"candidate {int(still[0])} differs from the benchmark by the same amount on every bar; leave it out"
        )
    if mean_block_bars is None:
        mean_block_bars = float(np.median([optimal_block_bars(column) for column in sample.T]))

    mean = sample.mean(axis=0)
    centred = sample - mean
    omega = np.sqrt(_resampled_variance(centred, mean_block_bars))
    studentised = np.sqrt(n) * mean / omega
    statistic = max(0.0, float(studentised.max()))

    replicas = np.concatenate(
        [weights @ centred / n for weights in resampling_weights(n, draws, mean_block_bars=mean_block_bars, rng=rng)]
    )
    replicas = np.sqrt(n) * replicas / omega
    # A candidate far below the benchmark cannot be the best; recentring it at zero would cost power for nothing.
    hopeless = studentised < -np.sqrt(2 * np.log(max(np.log(n), 1.0)))
    liberal = np.minimum(studentised, 0.0)
    consistent = np.where(hopeless, studentised, 0.0)
    p_lower, p, p_upper = (
        _exceedance(np.maximum(0.0, (replicas + shift).max(axis=1)), statistic)
        for shift in (liberal, consistent, np.zeros(candidates))
    )
    return SuperiorPredictiveAbility(
        p=p,
        p_lower=p_lower,
        p_upper=p_upper,
        statistic=statistic,
        best=int(np.argmax(studentised)),
        mean_block_bars=float(mean_block_bars),
        draws=draws,
    )


def _exceedance(replicas: Floats, statistic: float) -> float:
    # The observed value counts as one of the draws: a simulated p-value is never 0 (Davison & Hinkley 1997, sect. 4.2).
    return float((1 + np.sum(replicas >= statistic)) / (1 + replicas.size))


def _resampled_variance(centred: Floats, mean_block_bars: float) -> Floats:
    """Variance of √n × resampled mean, exactly: what infinitely many stationary resamples would give (Politis & Romano, Lemma 1)."""
    n = len(centred)
    stay = 1 - 1 / mean_block_bars
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(centred, size, axis=0)
    covariance = np.fft.irfft(spectrum * spectrum.conj(), size, axis=0)[:n] / n
    lag = np.arange(n)[:, None]
    weight = (1 - lag / n) * stay**lag + (lag / n) * stay ** (n - lag)
    total = covariance[0] + 2 * np.sum(weight[1:] * covariance[1:], axis=0)
    return np.asarray(np.maximum(total, 1e-12 * covariance[0]))
