"""What a trial is scored by: folds inside the bars that it is given, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evolve.errors import DataUnavailable
from evolve.forecasting.base import forecaster
from evolve.forecasting.tuning.objective import ForecastLoss, first_fold_bars
from evolve.forecasting.tuning.space import search_space
from evolve.market.bars import FIELDS, Bars
from unit.forecasting.worlds import planted

WORLD = planted("ar1", bars=900, seed=3, r2=0.1)


def objective(bars: Bars, family: str = "ridge", horizon_bars: int = 1) -> ForecastLoss:
    return ForecastLoss.of(
        forecaster(family),
        bars,
        first_fold_bars=400,
        folds=5,
        features=("return_1",),
        horizon_bars=horizon_bars,
        seed=0,
    )


def test_the_score_is_r2_against_no_change_over_the_folds_so_far() -> None:
    tested = objective(WORLD.bars)
    parts = [tested.losses({}, fold) for fold in range(5)]

    scores = [tested.score(np.concatenate(parts[: fold + 1])) for fold in range(5)]

    assert len(np.concatenate(parts)) == 499  # 500 tested bars, of which the last has no outcome yet
    assert 0.05 < scores[-1] < 0.2  # the planted signal explains 10 %
    assert scores[0] != scores[-1]


def test_no_change_scores_exactly_nothing() -> None:
    tested = objective(planted("noise", bars=900, seed=2).bars, "naive")

    assert tested.score(np.concatenate([tested.losses({}, fold) for fold in range(5)])) == 0.0


def test_a_fold_is_the_same_whatever_comes_after_it() -> None:
    """Bars after the fold's last outcome are changed, and nothing that was lost in it does."""
    before = objective(WORLD.bars).losses({}, 1)
    fold = objective(WORLD.bars).splits[1]
    changed = {name: getattr(WORLD.bars, name).copy() for name in FIELDS}
    for values in changed.values():
        values[fold.test_stop + 1 :] *= 3.0
    after = objective(replace(WORLD.bars, **changed)).losses({}, 1)

    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("horizon", [1, 5])
def test_training_labels_end_before_the_fold_that_they_would_betray(horizon: int) -> None:
    for fold in objective(WORLD.bars, horizon_bars=horizon).splits:
        assert fold.test_start - fold.train_stop == horizon - 1


def test_too_few_bars_before_the_tested_ones_are_refused_with_the_number_needed() -> None:
    family = forecaster("xgboost")
    with pytest.raises(DataUnavailable, match=r"300 bars of .* 5 folds of a search need \d+") as refused:
        first_fold_bars(family, search_space(family), WORLD.bars.slice(0, 300), features=(), folds=5, horizon_bars=1)
    assert refused.value.details["needed"] > 300


def test_the_longest_window_of_the_space_can_be_filled_before_the_first_fold() -> None:
    family = forecaster("lstm")
    short, long = (
        first_fold_bars(
            family,
            search_space(family, {"window_bars": [4, longest]}),
            WORLD.bars,
            features=(),
            folds=5,
            horizon_bars=1,
        )
        for longest in (20, 250)
    )
    assert (short, long) == (360, 486)  # 0.4 of 900; 35 to warm up, 250, 200 samples and one bar ahead
