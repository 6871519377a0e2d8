"""Between which prices, and how likely up? Bands whose share of hits is kept by looking at past misses, not by assuming a law.

The forecast's errors over the expected volatility are collected as they become known. A band holds the middle of the last of them
(rolling conformal prediction); when bands of that level were missed too often of late, the next one is wider, and narrower when too
seldom (adaptive conformal inference), so the share stays right when markets change.

Source: Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World; Gibbs & Candès (2021), Adaptive conformal
inference under distribution shift, NeurIPS 34.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.market.bars import Floats

LEVELS = (0.5, 0.8, 0.9)
WINDOW = 500  # two years of days: the 5 % tail then rests on 25 errors
MIN_ERRORS = 50  # below, the 90 % band would rest on the two or three largest errors
STEP = 0.01  # of the miss rate, after each bar; the share of hits over n bars is off by at most about 1 / (STEP · n)


@dataclass(frozen=True, eq=False)
class Bands:
    """What may happen over the horizon, by decision bar. Log returns from the decision's close.

    levels: shape (levels,); median, probability_up: shape (bars,); low, high: shape (levels, bars).
    """

    levels: tuple[float, ...]
    median: Floats
    probability_up: Floats
    low: Floats
    high: Floats


def conformal_bands(
    mean: Floats,
    std: Floats,
    realised: Floats,
    *,
    horizon_bars: int,
    earlier_errors: Floats,
    levels: tuple[float, ...] = LEVELS,
) -> Bands:
    """Bands around `mean`, each from errors that were known at its bar.

    mean, std: forecast log return over the horizon and its expected standard deviation, shape (bars,), consecutive bars;
    realised: what came, NaN where it is not known yet; earlier_errors: (realised − mean) / std of the bars before, oldest first, known
    at the first bar. Raises DataUnavailable for fewer than MIN_ERRORS of those.
    """
    if not len(mean) == len(std) == len(realised):
        raise InvalidRequest("mean, std and realised must have one value per bar")
    if len(earlier_errors) < MIN_ERRORS:
        raise DataUnavailable(f"{len(earlier_errors)} known errors are too few for a band; it needs {MIN_ERRORS}")
    scaled = np.concatenate([earlier_errors, (realised - mean) / std]).tolist()
    bars, before = len(mean), len(earlier_errors)
    median, up = np.empty(bars), np.empty(bars)
    low, high = np.empty((len(levels), bars)), np.empty((len(levels), bars))
    miss_rates = [1 - level for level in levels]
    # Kept sorted from bar to bar: one error comes in, one goes out.
    errors = sorted(scaled[max(0, before - WINDOW) : before])
    for bar in range(bars):
        judged = bar - horizon_bars  # the last bar whose outcome is known at this one
        if judged >= 0:
            for number, level in enumerate(levels):
                missed = not low[number, judged] <= realised[judged] <= high[number, judged]
                miss_rates[number] += STEP * (1 - level - missed)
            insort(errors, scaled[before + judged])
            if len(errors) > WINDOW:
                del errors[bisect_left(errors, scaled[before + judged - WINDOW])]
        median[bar] = mean[bar] + std[bar] * errors[len(errors) // 2]
        below = bisect_left(errors, -mean[bar] / std[bar])
        up[bar] = (len(errors) - below + 0.5) / (len(errors) + 1)
        for number, miss_rate in enumerate(miss_rates):
            floor, ceiling = _middle(errors, miss_rate)
            low[number, bar] = mean[bar] + std[bar] * floor
            high[number, bar] = mean[bar] + std[bar] * ceiling
    return Bands(levels=levels, median=median, probability_up=up, low=low, high=high)


def _middle(errors: Sequence[float], miss_rate: float) -> tuple[float, float]:
    """The range of sorted errors that leaves out half of miss_rate on each side; all of them and a tenth more at 0 and below."""
    if miss_rate <= 0:
        return 1.1 * min(errors[0], 0.0), 1.1 * max(errors[-1], 0.0)
    # (n + 1) p − 1: the rank at which a new error of the same kind lies below with probability p.
    rank = min(miss_rate, 1.0) / 2 * (len(errors) + 1) - 1
    return _at(errors, rank), _at(errors, len(errors) - 1 - rank)


def _at(errors: Sequence[float], rank: float) -> float:
    """The error of that rank, between two of them in proportion; the first or last beyond the ends."""
    rank = min(max(rank, 0.0), len(errors) - 1.0)
    below = int(rank)
    share = rank - below
    return errors[below] if share == 0 else (1 - share) * errors[below] + share * errors[below + 1]
