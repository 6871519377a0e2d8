"""The known answers are those of the papers, recomputed with two independent implementations (`findings.md`)."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.backtest.significance import (
    backtest_overfitting,
    circular_shift_test,
    deflated_sharpe_ratio,
    expected_max_sharpe,
    expected_maximum,
    minimum_track_record,
    probabilistic_sharpe_ratio,
)
from evolve.errors import DataUnavailable, InvalidRequest


def test_the_deflated_sharpe_ratio_of_the_papers_example() -> None:
    """Bailey & López de Prado (2014): SR 2.5 a year on 1,250 days, 100 trials with variance ½ a year."""
    deflated = deflated_sharpe_ratio(
        2.5 / np.sqrt(250), trials=100, variance=0.5 / 250, bars=1250, skew=-3, kurtosis=10
    )

    assert deflated.value == pytest.approx(0.9003968, abs=5e-8)
    assert expected_max_sharpe(100, variance=0.5 / 250) == pytest.approx(0.1132, abs=5e-5)


def test_the_probabilistic_sharpe_ratio_of_the_papers_example() -> None:
    """Bailey & López de Prado (2012): a hedge-fund record of 24 months; ignoring its tails flatters it."""
    fat = probabilistic_sharpe_ratio(0.458, bars=24, skew=-2.448, kurtosis=10.164)
    normal = probabilistic_sharpe_ratio(0.458, bars=24)

    assert fat.value == pytest.approx(0.9134, abs=5e-5)
    assert normal.value == pytest.approx(0.9817, abs=5e-5)


@pytest.mark.parametrize(("bars_per_year", "years"), [(250, 2.73), (52, 2.83), (12, 3.24)])
def test_the_minimum_track_record_of_the_papers_table(bars_per_year: int, years: float) -> None:
    scale = np.sqrt(bars_per_year)

    record = minimum_track_record(2 / scale, benchmark=1 / scale, level=0.95)

    assert record.value is not None
    assert record.value / bars_per_year == pytest.approx(years, abs=5e-3)


def test_no_record_is_long_enough_for_a_sharpe_ratio_below_the_benchmark() -> None:
    record = minimum_track_record(0.1, benchmark=0.2)

    assert record.value is None
    assert "does not exceed" in record.note


@pytest.mark.parametrize(("trials", "expected"), [(1, 0.0), (10, 1.5746), (100, 2.5306), (1000, 3.2551)])
def test_the_expected_maximum_of_normals(trials: int, expected: float) -> None:
    assert expected_maximum(trials) == pytest.approx(expected, abs=5e-5)


def test_more_trials_deflate_more() -> None:
    values = [deflated_sharpe_ratio(0.1, trials=n, variance=1 / 1000, bars=1000).value for n in (1, 2, 10, 1000)]

    assert values == sorted(values, reverse=True)  # type: ignore[type-var]
    assert values[0] == probabilistic_sharpe_ratio(0.1, bars=1000).value


def test_the_probability_of_overfitting_of_pure_noise_as_known() -> None:
    """130 of 252: two independent implementations agree on this array."""
    noise = np.random.default_rng(0).normal(0, 1, (1000, 100))

    result = backtest_overfitting(noise, blocks=10)

    assert (result.overfitted, result.splits) == (130, 252)


def test_a_candidate_that_is_always_best_is_never_overfitted() -> None:
    returns = np.random.default_rng(1).normal(0, 0.01, (500, 10))
    returns[:, 3] += 0.01

    assert backtest_overfitting(returns).probability == 0


def test_candidates_that_never_trade_are_ranked_not_divided_by_zero() -> None:
    returns = np.random.default_rng(2).normal(0, 0.01, (200, 3))
    returns[:, 1] = 0

    assert 0 <= backtest_overfitting(returns).probability <= 1


@pytest.mark.parametrize(("shape", "blocks"), [((100, 1), 10), ((100, 3), 5), ((100, 3), 0)])
def test_what_cannot_be_split_in_halves_is_refused(shape: tuple[int, int], blocks: int) -> None:
    with pytest.raises(InvalidRequest):
        backtest_overfitting(np.zeros(shape), blocks=blocks)


def test_too_few_bars_for_the_blocks_say_how_many_are_needed() -> None:
    with pytest.raises(DataUnavailable, match="at least 20"):
        backtest_overfitting(np.zeros((19, 3)), blocks=10)


@pytest.mark.parametrize("trials", [0, -1])
def test_less_than_one_trial_is_refused(trials: int) -> None:
    with pytest.raises(InvalidRequest):
        expected_maximum(trials)


def test_every_circular_shift_is_counted_as_a_loop_would_count_it() -> None:
    rng = np.random.default_rng(1)
    held, moves = rng.choice([-1.0, 0.0, 1.0], (90, 2)), rng.normal(0, 0.01, 90)
    excess = moves - moves.mean()

    def best(shift: int) -> float:
        earned = np.roll(held, shift, axis=0) * excess[:, None]
        return float((earned.mean(axis=0) / earned.std(axis=0) * np.sqrt(90)).max())

    shifted = [best(shift) for shift in range(20, 71)]
    expected = (1 + sum(value >= best(0) for value in shifted)) / (1 + len(shifted))

    assert circular_shift_test(held, moves).value == pytest.approx(expected)


def test_timing_that_was_planted_is_found_and_being_long_in_a_rising_market_is_not() -> None:
    rng = np.random.default_rng(2)
    moves = rng.normal(0.002, 0.01, 1000)
    knows = np.where(moves + rng.normal(0, 0.05, 1000) > 0, 1.0, 0.0)[:, None]
    mostly_long = np.where(rng.random(1000) < 0.9, 1.0, 0.0)[:, None]

    assert circular_shift_test(knows, moves).value < 0.01
    assert circular_shift_test(mostly_long, moves).value > 0.05


def test_in_noise_the_p_values_of_the_best_of_ten_are_uniform() -> None:
    """200 worlds: at 10 % between 8 and 34 are expected (99.9 %)."""
    rng = np.random.default_rng(3)
    low = sum(
        circular_shift_test(np.sign(rng.normal(size=(200, 10))), rng.normal(size=200)).value <= 0.1 for _ in range(200)
    )

    assert 8 <= low <= 34


def test_what_cannot_be_shifted_has_no_p_value() -> None:
    assert circular_shift_test(np.ones((100, 1)), np.arange(100.0)).value is None
    assert circular_shift_test(np.eye(10), np.arange(10.0)).value is None
