"""What in a search is more than luck? When a trial may be given up, when a search may end, and whether anything beats the defaults.

Trials are compared bar by bar on the same folds: most of what a fold loses is the market's noise, which both share and the difference
does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evolve.market.bars import Floats
from evolve.statistics.bootstrap import superior_predictive_ability
from evolve.statistics.comparison import hac_mean, newey_west_lags
from evolve.statistics.selection import stepwise_superior

GIVE_UP_T = 2.0  # a trial this many standard errors behind the best would have to be lucky to catch up
# Twice the ten random trials that a sampler begins with: before, it has not searched.
MIN_TRIALS = 20
PATIENCE = 15
LEVEL = 0.05
RESAMPLING_SEED = 20_130_301
STILL = 1e-12  # differences this small beside the losses are rounding


@dataclass(frozen=True, eq=False, slots=True)
class Tried:
    """A finished trial that was not a failure. losses: of the folds it ran, joined; whole: all of them."""

    number: int
    losses: Floats
    score: float
    whole: bool


def is_worse(losses: Floats, best: Floats, *, horizon_bars: int) -> bool:
    """Whether a trial that is under way loses more than the best one did on the same bars, by more than luck.

    Racing: Maron & Moore (1994), Hoeffding races, NeurIPS 6; Birattari et al. (2002), F-race, GECCO.
    """
    difference = losses - best[: len(losses)]
    t = hac_mean(difference, lags=_lags(len(difference), horizon_bars)).t
    return t is not None and t > GIVE_UP_T


def worth(tried: Tried, best: Tried | None, score_so_far: float) -> float:
    """What a sampler should take a trial to be worth: its score; of one given up, the best score less what it was behind.

    score_so_far: of the best, on the folds that the trial ran. The first folds may be easier than all: their score alone would flatter.
    """
    if tried.whole or best is None:
        return tried.score
    return best.score - (score_so_far - tried.score)


def has_stalled(tried: Sequence[Tried], *, horizon_bars: int) -> bool:
    """Whether the last `PATIENCE` trials brought nothing beyond noise: the best is ahead of the best before by less than one
    standard error of their difference."""
    if len(tried) < max(MIN_TRIALS, PATIENCE + 1):
        return False
    before, now = best_of(tried[:-PATIENCE]), best_of(tried)
    if before is None or now is None:
        return False
    if now.number == before.number:
        return True
    gain = hac_mean(before.losses - now.losses, lags=_lags(len(now.losses), horizon_bars))
    return gain.t is None or gain.t < 1.0


def best_of(tried: Sequence[Tried]) -> Tried | None:
    """The highest score of those that ran all folds; of equals the first."""
    whole = [each for each in tried if each.whole]
    return max(whole, key=lambda each: (each.score, -each.number)) if whole else None


@dataclass(frozen=True, slots=True)
class Finding:
    """better: trials that beat the defaults, the chance of naming even one falsely held at `LEVEL`; p: of "none does", None where
    none differs."""

    better: tuple[int, ...]
    p: float | None


def compare_with_defaults(defaults: Tried, tried: Sequence[Tried], *, horizon_bars: int) -> Finding:
    """Which whole trials are better than the defaults, for having tried so many? Larger scores that luck explains are not.

    Source: Hansen (2005) for p, Romano & Wolf (2005) for the set; both resample the differences in blocks.
    """
    columns: Mapping[int, Floats] = {
        each.number: defaults.losses - each.losses
        for each in tried
        if each.whole and each.number != defaults.number and _differs(each.losses, defaults.losses)
    }
    if not columns or len(defaults.losses) < 2 * horizon_bars + 2:
        return Finding((), None)
    differences = np.column_stack(list(columns.values()))
    # Equal trials, as where nothing is believed, would count as many; they are one.
    _, kept = np.unique(differences, axis=1, return_index=True)
    kept = np.sort(kept)
    numbers = [list(columns)[index] for index in kept]
    distinct = differences[:, kept]
    p = superior_predictive_ability(distinct, rng=np.random.default_rng(RESAMPLING_SEED)).p
    found = stepwise_superior(distinct, level=LEVEL, rng=np.random.default_rng(RESAMPLING_SEED))
    return Finding(tuple(numbers[index] for index in found.superior), p)


def _differs(losses: Floats, other: Floats) -> bool:
    difference = losses - other
    return bool(np.ptp(difference) > STILL * float(np.abs(losses).max()))


def _lags(bars: int, horizon_bars: int) -> int:
    return max(newey_west_lags(bars), horizon_bars - 1)
