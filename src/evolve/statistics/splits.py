"""Which bars may a model be trained on, and which may judge it?

Time order is kept: what is tested lies after what was trained on, with an embargo between them, so that no training label
(which looks `horizon` bars ahead) reaches into the test.
Source: López de Prado (2018), Advances in Financial Machine Learning, chapters 7 and 12.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from evolve.errors import DataUnavailable, InvalidRequest


@dataclass(frozen=True, slots=True)
class Fold:
    """Train on the bars 0 … train_stop − 1, test on test_start … test_stop − 1."""

    train_stop: int
    test_start: int
    test_stop: int


def bars_needed(*, folds: int, first_train_bars: int, embargo_bars: int) -> int:
    """The fewest bars `walk_forward` accepts: the first training stretch, one embargo, one test bar a fold."""
    return first_train_bars + embargo_bars + folds


def walk_forward(bars: int, *, folds: int, first_train_bars: int, embargo_bars: int) -> tuple[Fold, ...]:
    """Folds with an expanding training window, refitted before each test stretch.

    The test stretches are contiguous, of equal length up to one bar (earlier ones are longer), and cover everything after
    the first training stretch and its embargo. embargo_bars: at least the horizon of the labels, minus one.
    Raises InvalidRequest for impossible settings, DataUnavailable for too few bars.
    """
    if folds < 1:
        raise InvalidRequest(f"folds must be at least 1, not {folds}")
    if first_train_bars < 1:
        raise InvalidRequest(f"first_train_bars must be at least 1, not {first_train_bars}")
    if embargo_bars < 0:
        raise InvalidRequest(f"embargo_bars must not be negative, not {embargo_bars}")
    needed = bars_needed(folds=folds, first_train_bars=first_train_bars, embargo_bars=embargo_bars)
    if bars < needed:
        raise DataUnavailable(
            f"{bars} bars are too few: {folds} folds after {first_train_bars} training bars and an embargo of "
            f"{embargo_bars} need at least {needed}; take a longer history or fewer folds",
            bars=bars,
            needed=needed,
        )
    first_test = first_train_bars + embargo_bars
    length, longer = divmod(bars - first_test, folds)
    made, start = [], first_test
    for fold in range(folds):
        stop = start + length + (fold < longer)
        made.append(Fold(train_stop=start - embargo_bars, test_start=start, test_stop=stop))
        start = stop
    return tuple(made)


@dataclass(frozen=True, eq=False, slots=True)
class CombinatorialSplit:
    """train, test: bar indices, ascending. groups: which of the groups are tested."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    groups: tuple[int, ...]


def combinatorial_counts(groups: int, test_groups: int) -> tuple[int, int]:
    """How many splits there are, and how many whole test paths they make up."""
    if not 1 <= test_groups < groups:
        raise InvalidRequest(f"test_groups must lie between 1 and groups − 1 = {groups - 1}, not {test_groups}")
    splits = comb(groups, test_groups)
    return splits, splits * test_groups // groups


def group_edges(bars: int, groups: int) -> tuple[int, ...]:
    """Where each of the groups of `combinatorial_purged` begins, and after the last one where it ends."""
    return tuple(int(edge) for edge in np.linspace(0, bars, groups + 1).round())


def combinatorial_purged(
    bars: int, *, groups: int, test_groups: int, horizon_bars: int, embargo_bars: int
) -> tuple[CombinatorialSplit, ...]:
    """Every choice of `test_groups` of `groups` contiguous stretches as the test, the rest purged as training.

    Purged: the `horizon_bars` before each tested stretch, whose labels reach into it, and the `embargo_bars` after it.
    Raises DataUnavailable when a split leaves nothing to train on.
    """
    combinatorial_counts(groups, test_groups)
    if horizon_bars < 0 or embargo_bars < 0:
        raise InvalidRequest("horizon_bars and embargo_bars must not be negative")
    if bars < groups:
        raise DataUnavailable(f"{bars} bars are too few for {groups} groups; take a longer history")
    edges = group_edges(bars, groups)
    every_bar = np.arange(bars, dtype=np.int64)
    made = []
    for chosen in combinations(range(groups), test_groups):
        tested = np.zeros(bars, dtype=np.bool_)
        barred = np.zeros(bars, dtype=np.bool_)
        for group in chosen:
            start, stop = edges[group], edges[group + 1]
            tested[start:stop] = True
            barred[max(0, start - horizon_bars) : stop + embargo_bars] = True
        if barred.all():
            raise DataUnavailable(
                f"testing the groups {chosen} leaves no bar to train on; take more than {bars} bars, fewer groups, or a "
                f"shorter horizon than {horizon_bars} and embargo than {embargo_bars}"
            )
        made.append(CombinatorialSplit(every_bar[~barred], every_bar[tested], chosen))
    return tuple(made)
