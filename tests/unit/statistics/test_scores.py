from __future__ import annotations

import numpy as np
import pytest

from evolve.errors import InvalidRequest
from evolve.statistics import scores

REALISED = np.array([0.02, -0.01, 0.03, 0.0])
FORECAST = np.array([0.01, 0.01, 0.01, 0.01])


def test_errors_by_hand() -> None:
    # |error| = 0.01, 0.02, 0.02, 0.01; squares 1, 4, 4, 1 × 10⁻⁴.
    assert scores.mean_absolute_error(FORECAST, REALISED).value == pytest.approx(0.015)
    assert scores.root_mean_squared_error(FORECAST, REALISED).value == pytest.approx(np.sqrt(2.5e-4))


def test_relative_mae_is_one_for_the_naive_forecast_itself_and_below_for_a_better_one() -> None:
    naive = np.zeros(4)  # mean error 0.015

    assert scores.relative_mae(naive, REALISED, naive).value == pytest.approx(1.0)
    assert scores.relative_mae(REALISED / 2, REALISED, naive).value == pytest.approx(0.5)


def test_relative_mae_against_a_perfect_naive_forecast_is_undefined_not_infinite() -> None:
    metric = scores.relative_mae(FORECAST, REALISED, REALISED)

    assert metric.value is None
    assert "no error" in metric.note


def test_out_of_sample_r2_is_against_zero_and_negative_for_a_harmful_forecast() -> None:
    # SSE 10 × 10⁻⁴ over Σy² 14 × 10⁻⁴.
    assert scores.out_of_sample_r2(FORECAST, REALISED).value == pytest.approx(1 - 10 / 14)
    assert scores.out_of_sample_r2(np.zeros(4), REALISED).value == 0
    assert (scores.out_of_sample_r2(-REALISED, REALISED).value or 0) == pytest.approx(-3.0)


def test_directional_accuracy_counts_only_bars_where_both_have_a_sign() -> None:
    metric = scores.directional_accuracy([0.1, 0.1, -0.1, 0.0, 0.2], [0.2, -0.1, -0.3, 0.5, 0.0])

    assert metric.value == pytest.approx(2 / 3)
    assert metric.n == 3


def test_the_wilson_interval_equals_the_textbook_figure() -> None:
    """Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263 gives 0.2553 … 0.3662, and 0 of 20 gives 0 … 0.1611."""
    metric = scores.proportion(81, 263)
    assert (metric.low, metric.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))

    none = scores.proportion(0, 20)
    assert (none.low, none.high) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.1611, abs=5e-5))


def test_qlike_is_zero_for_a_perfect_forecast_and_known_for_one_half_as_large() -> None:
    variance = np.array([1e-4, 4e-4, 2e-4])

    assert scores.qlike(variance, variance).value == pytest.approx(0.0, abs=1e-15)
    # Ratio 2: 2 − ln 2 − 1.
    assert scores.qlike(variance / 2, variance).value == pytest.approx(1 - np.log(2))


def test_qlike_leaves_out_bars_that_did_not_move_and_says_so() -> None:
    metric = scores.qlike([1e-4, 1e-4], [0.0, 1e-4])

    assert (metric.value, metric.n) == (pytest.approx(0.0), 1)
    assert "1 bars without price movement" in metric.note


def test_qlike_of_a_variance_forecast_of_zero_is_undefined() -> None:
    assert scores.qlike([0.0, 1e-4], [1e-4, 1e-4]).value is None


def test_pinball_weighs_the_two_sides_by_the_quantile() -> None:
    # Errors +1 and −1 at the 0.9 quantile: 0.9 and 0.1.
    assert scores.pinball([0.0, 0.0], [1.0, -1.0], quantile=0.9).value == pytest.approx(0.5)
    assert scores.pinball([0.0], [1.0], quantile=0.9).value == pytest.approx(0.9)


def test_coverage_counts_the_ends_as_inside() -> None:
    metric = scores.coverage([0, 0, 0, 0], [1, 1, 1, 1], [0.0, 1.0, 0.5, 2.0])

    assert metric.value == pytest.approx(0.75)
    assert metric.low is not None
    assert metric.low < 0.75


def test_an_interval_upside_down_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="upside down"):
        scores.coverage([1.0], [0.0], [0.5])


@pytest.mark.parametrize(
    "metric",
    [
        scores.mean_absolute_error([], []),
        scores.root_mean_squared_error([], []),
        scores.relative_mae([], [], []),
        scores.out_of_sample_r2([], []),
        scores.out_of_sample_r2([0.1], [0.0]),
        scores.directional_accuracy([], []),
        scores.qlike([], []),
        scores.pinball([], [], quantile=0.5),
        scores.coverage([], [], []),
    ],
)
def test_without_anything_to_score_a_score_is_undefined_with_a_reason(metric: scores.Metric) -> None:
    assert metric.value is None
    assert metric.note


def test_forecasts_of_another_length_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="equally long"):
        scores.mean_absolute_error([1.0], [1.0, 2.0])


def test_the_ranked_probability_score_equals_properscoring() -> None:
    """properscoring 0.1: crps_gaussian(obs, mu, sd).mean()."""
    rng = np.random.default_rng(3)
    realised, mean, std = rng.normal(0, 1, 50), rng.normal(0, 0.3, 50), np.exp(rng.normal(0, 0.2, 50))

    assert scores.crps_normal(mean, std, realised).value == pytest.approx(0.6102843160287701, rel=1e-10)
    with pytest.raises(InvalidRequest, match="must be positive"):
        scores.crps_normal(mean, np.zeros(50), realised)


def test_the_scaled_error_is_one_for_errors_as_large_as_the_histories_steps() -> None:
    """By hand: the history steps by 2 each bar, the forecast is off by 1 and 3."""
    assert scores.scaled_error([1.0, 3.0], [0.0, 0.0], [0.0, 2.0, 4.0, 6.0]).value == 1.0
    assert scores.scaled_error([1.0], [0.0], [5.0, 5.0, 5.0]).value is None
    with pytest.raises(InvalidRequest, match="season must be from 1 to 2"):
        scores.scaled_error([1.0], [0.0], [1.0, 2.0, 3.0], season=3)
