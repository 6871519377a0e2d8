"""Out-of-sample forecasts and the position that follows from one."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import planted, with_other_future

from evolve.errors import Cancelled, InvalidRequest
from evolve.forecasting.base import forecaster
from evolve.forecasting.walk_forward import out_of_sample, position_from_forecast
from evolve.statistics.splits import Fold, walk_forward

BARS = planted("ar1", bars=900, seed=1, r2=0.1).bars
FOLDS = walk_forward(900, folds=3, first_train_bars=500, embargo_bars=2)


def test_every_test_bar_is_forecast_once_by_a_model_fitted_before_its_fold():
    result = out_of_sample(forecaster("ridge"), BARS, FOLDS)

    assert (result.start, result.stop) == (502, 900)
    assert np.isfinite(result.mean).all()
    assert np.isfinite(result.std).all()
    for fold in FOLDS:
        alone = forecaster("ridge").fit(BARS.slice(0, fold.train_stop)).predict(BARS, fold.test_start, fold.test_stop)
        np.testing.assert_array_equal(result.mean[fold.test_start - 502 : fold.test_stop - 502], alone.mean)


@pytest.mark.parametrize("cut", [510, 633, 640, 760, 899])
def test_later_bars_change_no_earlier_out_of_sample_forecast(cut):
    reference = out_of_sample(forecaster("ridge"), BARS, FOLDS)

    perturbed = out_of_sample(forecaster("ridge"), with_other_future(BARS, cut), FOLDS)

    np.testing.assert_array_equal(reference.mean[: cut - 502], perturbed.mean[: cut - 502])
    np.testing.assert_array_equal(reference.std[: cut - 502], perturbed.std[: cut - 502])
    assert reference.std[cut - 502] != perturbed.std[cut - 502]


def test_progress_is_told_after_each_fold():
    told = []

    out_of_sample(forecaster("naive"), BARS, FOLDS, progress=lambda *step: told.append(step))

    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert told[0][2] == "naive: 1 of 3 folds fitted and forecast"


def test_a_progress_call_can_end_the_work():
    def cancel(done, total, text):
        raise Cancelled("stopped by the user")

    with pytest.raises(Cancelled):
        out_of_sample(forecaster("naive"), BARS, FOLDS, progress=cancel)


def test_features_hyperparameters_horizon_and_seed_reach_the_model():
    options = {"features": ["close"], "hyperparameters": {"n_estimators": 20}, "horizon_bars": 3, "seed": 8}
    result = out_of_sample(forecaster("xgboost"), BARS, FOLDS[:1], **options)

    alone = forecaster("xgboost").fit(BARS.slice(0, 500), **options).predict(BARS, 502, FOLDS[0].test_stop)

    np.testing.assert_array_equal(result.mean, alone.mean)
    assert result.horizon_bars == 3


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([], "no folds"),
        ([Fold(500, 600, 901)], "does not fit 900 bars"),
        ([Fold(500, 501, 600)], "at least 2 bars before"),
        ([Fold(500, 502, 600), Fold(600, 610, 700)], "one ends at bar 600, the next starts at 610"),
    ],
)
def test_folds_that_leave_gaps_or_let_labels_reach_into_the_test_are_refused(folds, message):
    with pytest.raises(InvalidRequest, match=message):
        out_of_sample(forecaster("naive"), BARS, folds, horizon_bars=3)


OPTIONS = {"horizon_bars": 1, "bars_per_year": 252.0, "round_trip_cost": 0.002, "target_volatility": 0.15}


def test_a_forecast_that_the_costs_would_eat_gives_no_position():
    position = position_from_forecast(np.array([0.0, 0.002, -0.0019, 0.0021]), np.full(4, 0.01), **OPTIONS)

    assert list(position[:3]) == [0, 0, 0]
    assert position[3] > 0


def test_the_size_is_target_over_forecast_volatility_at_most_one():
    """std 2 % a day is 31.7 % a year: 0.15 / 0.3175; 0.5 % a day is 7.9 %: more than one would be borrowed."""
    position = position_from_forecast(np.array([0.01, -0.01, 0.01]), np.array([0.02, 0.02, 0.005]), **OPTIONS)

    np.testing.assert_allclose(position, [0.15 / (0.02 * np.sqrt(252)), -0.15 / (0.02 * np.sqrt(252)), 1.0])


def test_a_deviation_over_five_bars_is_annualised_as_such():
    five = position_from_forecast(np.array([0.05]), np.array([0.02 * np.sqrt(5)]), **{**OPTIONS, "horizon_bars": 5})

    np.testing.assert_allclose(five, 0.15 / (0.02 * np.sqrt(252)))


def test_long_only_turns_short_positions_into_none():
    position = position_from_forecast(np.array([0.01, -0.01]), np.full(2, 0.02), **OPTIONS, long_only=True)

    assert position[0] > 0
    assert position[1] == 0


@pytest.mark.parametrize(("name", "value"), [("round_trip_cost", -0.1), ("target_volatility", 0.0)])
def test_impossible_costs_and_targets_are_refused(name, value):
    with pytest.raises(InvalidRequest, match=name):
        position_from_forecast(np.zeros(1), np.ones(1), **{**OPTIONS, name: value})
