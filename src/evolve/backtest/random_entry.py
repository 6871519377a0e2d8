"""Would entering at random have done as well? Strategies that trade as much and are in the market as long, but know nothing.

Each random strategy keeps the sequence of positions of the one it is compared with (flat, long, flat, short …): its stretches of one
side are dealt out anew among the places of that side, and its bars out of the market are spread at random over the pauses. So the
number of entries, the bars held long and short, the sizes held and what is traded stay; only when is left to chance.
Source: Aronson (2006), Evidence-Based Technical Analysis (the Monte Carlo permutation method).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from evolve.backtest.sweep import Sweep, sweep_targets
from evolve.cards import Costs
from evolve.errors import InvalidRequest
from evolve.statistics.metric import Floats, Metric, same_length, series

DRAWS = 500  # a share of 5 % then has a standard error of 1 %
# With fewer ways to place the trades than this, no share of them is as small as 5 %.
MIN_ARRANGEMENTS = 20
DRAWS_AT_ONCE = 100  # 100 × 10,000 bars are 8 MB
BAND = 0.90


@dataclass(frozen=True, eq=False, slots=True)
class RandomEntry:
    """sharpe: the median annual net Sharpe ratio of the random strategies, and the band that holds 90 % of them.

    percentile: share of them that the strategy did better than, those that did as well counting half; both undefined, with the
    reason, where its trades can hardly be placed otherwise. turnover: median of theirs over the strategy's own.
    """

    sharpe: Metric
    percentile: Metric
    turnover: Metric


def random_entry(
    open: ArrayLike,
    close: ArrayLike,
    target: ArrayLike,
    costs: Costs,
    *,
    bars_per_year: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> RandomEntry:
    """The strategy of `target` (what it decided at each close, shape (bars,)) among `draws` random ones, by net Sharpe ratio.

    A strategy that does not vary counts as a Sharpe ratio of 0, one that loses everything as the worst. Raises as
    `backtest_positions` does for prices, targets and costs.
    """
    opens, closes, wanted = series(open, "open"), series(close, "close"), series(target, "target")
    bars = same_length(open=opens, close=closes, target=wanted)
    if draws < 1:
        raise InvalidRequest(f"draws must be at least 1, not {draws}")
    own = sweep_targets(opens, closes, wanted[None, :], costs, bars_per_year=bars_per_year)
    why = _why_not(wanted)
    if why:
        nothing = Metric.undefined(bars, why)
        return RandomEntry(nothing, nothing, nothing)
    sharpes, turnovers = [], []
    for first in range(0, draws, DRAWS_AT_ONCE):
        chance = random_targets(wanted, min(DRAWS_AT_ONCE, draws - first), rng=rng)
        swept = sweep_targets(opens, closes, chance, costs, bars_per_year=bars_per_year)
        sharpes.append(_ranked(swept))
        turnovers.append(swept.turnover)
    found = np.concatenate(sharpes)
    mine = float(_ranked(own)[0])
    beaten = (float(np.sum(found < mine)) + 0.5 * float(np.sum(found == mine))) / draws
    note = f"{draws} random strategies"
    survived = found[np.isfinite(found)]
    if survived.size:
        low, median, high = np.quantile(survived, [0.5 - BAND / 2, 0.5, 0.5 + BAND / 2])
        sharpe = Metric.between(float(median), draws, low=float(low), high=float(high), level=BAND, note=note)
    else:
        sharpe = Metric.undefined(draws, "every random strategy lost everything")
    turnover = float(np.nanmedian(np.concatenate(turnovers))) if survived.size else float("nan")
    return RandomEntry(
        sharpe, Metric.of(beaten, draws, note), Metric.of(turnover / float(own.turnover[0]), draws, note)
    )


def random_targets(target: ArrayLike, draws: int, *, rng: np.random.Generator) -> Floats:
    """Targets that hold and trade what `target` does at other times, shape (draws, bars).

    The sum of all changes of target is the same, but for the last stretch, which nothing closes.
    """
    wanted = series(target, "target")
    if not wanted.size:
        raise InvalidRequest("there are no targets to place otherwise")
    side, start, length = _stretches(wanted)
    held = np.array([np.sum(length[side == each]) for each in (-1, 0, 1)])
    made = np.empty((draws, wanted.size))
    for draw in range(draws):
        order = np.arange(len(side))
        for each in (-1, 1):
            places = np.flatnonzero(side == each)
            order[places] = rng.permutation(places)
        lengths = length[order]
        pauses = np.flatnonzero(side == 0)
        if pauses.size:
            cuts = np.sort(rng.choice(int(held[1]) - 1, pauses.size - 1, replace=False)) + 1
            lengths[pauses] = np.diff(np.concatenate([[0], cuts, [held[1]]]))
        first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        source = np.repeat(start[order] - first, lengths) + np.arange(wanted.size)
        flat = np.repeat(side == 0, lengths)
        made[draw] = np.where(flat, 0.0, wanted[np.where(flat, 0, source)])
    return made


def _stretches(target: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Side (−1, 0, 1), first bar and length of each stretch on one side of the market."""
    sides = np.sign(target).astype(np.int64)
    start = np.concatenate([[0], np.flatnonzero(np.diff(sides)) + 1]).astype(np.int64)
    length = np.diff(np.concatenate([start, [len(target)]])).astype(np.int64)
    return sides[start], start, length


def _why_not(target: Floats) -> str:
    """Why the trades of `target` cannot be placed otherwise; empty where they can."""
    if not target.any():
        return "it never held a position"
    side, _, length = _stretches(target)
    pauses, out = int(np.sum(side == 0)), int(np.sum(length[side == 0]))
    ways = sum(float(gammaln(np.sum(side == each) + 1)) for each in (-1, 1))
    if pauses:
        ways += float(gammaln(out) - gammaln(pauses) - gammaln(out - pauses + 1))
    if ways < np.log(MIN_ARRANGEMENTS):
        return f"its trades can hardly be placed otherwise ({int(np.sum(side != 0))} in the market)"
    return ""


def _ranked(swept: Sweep) -> Floats:
    ruined = np.where(swept.ruined >= 0, -np.inf, swept.sharpe)
    return np.where(np.isnan(ruined), 0.0, ruined)
