from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.statistics.splits import (
    Fold,
    bars_needed,
    combinatorial_counts,
    combinatorial_purged,
    walk_forward,
)


def test_the_training_window_expands_and_ends_an_embargo_before_each_test() -> None:
    folds = walk_forward(20, folds=3, first_train_bars=8, embargo_bars=2)

    # 20 − 8 − 2 = 10 test bars in three stretches: 4, 3, 3.
    assert folds == (Fold(8, 10, 14), Fold(12, 14, 17), Fold(15, 17, 20))


@given(
    folds=st.integers(1, 9),
    first_train_bars=st.integers(1, 50),
    embargo_bars=st.integers(0, 20),
    more=st.integers(0, 200),
)
@settings(deadline=None)
def test_test_stretches_are_contiguous_cover_the_rest_and_never_touch_their_training(
    folds: int, first_train_bars: int, embargo_bars: int, more: int
) -> None:
    bars = bars_needed(folds=folds, first_train_bars=first_train_bars, embargo_bars=embargo_bars) + more

    made = walk_forward(bars, folds=folds, first_train_bars=first_train_bars, embargo_bars=embargo_bars)

    assert len(made) == folds
    assert made[0].train_stop == first_train_bars
    assert made[-1].test_stop == bars
    assert all(later.test_start == earlier.test_stop for earlier, later in pairwise(made))
    assert all(fold.test_start - fold.train_stop == embargo_bars for fold in made)
    lengths = [fold.test_stop - fold.test_start for fold in made]
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1


def test_too_few_bars_say_how_many_are_needed() -> None:
    with pytest.raises(DataUnavailable, match="need at least 265") as raised:
        walk_forward(264, folds=5, first_train_bars=250, embargo_bars=10)

    assert raised.value.details == {"bars": 264, "needed": 265}


@pytest.mark.parametrize(
    "wrong",
    [
        {"folds": 0, "first_train_bars": 10, "embargo_bars": 0},
        {"folds": 2, "first_train_bars": 0, "embargo_bars": 0},
        {"folds": 2, "first_train_bars": 10, "embargo_bars": -1},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidRequest):
        walk_forward(100, **wrong)


@pytest.mark.parametrize(("groups", "test_groups", "counts"), [(6, 2, (15, 5)), (10, 2, (45, 9)), (10, 5, (252, 126))])
def test_combinatorial_splits_and_paths_are_counted_as_by_lopez_de_prado(
    groups: int, test_groups: int, counts: tuple[int, int]
) -> None:
    """Advances in Financial Machine Learning, section 12.4, and skfolio's counts."""
    assert combinatorial_counts(groups, test_groups) == counts


def test_combinatorial_training_keeps_its_distance_from_every_tested_stretch() -> None:
    splits = combinatorial_purged(60, groups=6, test_groups=2, horizon_bars=3, embargo_bars=2)

    assert len(splits) == 15
    first = next(split for split in splits if split.groups == (1, 3))
    # Groups 1 and 3 are bars 10…19 and 30…39: 7…21 and 27…41 are barred.
    assert first.train.tolist() == [*range(7), *range(22, 27), *range(42, 60)]
    assert first.test.tolist() == [*range(10, 20), *range(30, 40)]


def test_every_bar_is_tested_on_as_many_splits_as_there_are_paths() -> None:
    splits = combinatorial_purged(60, groups=6, test_groups=2, horizon_bars=0, embargo_bars=0)

    assert set(np.bincount(np.concatenate([split.test for split in splits]))) == {5}


def test_a_split_without_training_bars_is_an_error_not_an_empty_fit() -> None:
    with pytest.raises(DataUnavailable, match="leaves no bar to train on"):
        combinatorial_purged(10, groups=2, test_groups=1, horizon_bars=5, embargo_bars=5)
