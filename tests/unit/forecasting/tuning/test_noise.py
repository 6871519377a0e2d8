"""What in a search is more than luck: racing, stalling, and whether anything beats the defaults."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.forecasting.tuning.noise import (
    MIN_TRIALS,
    Tried,
    compare_with_defaults,
    has_stalled,
    is_worse,
    worth,
)


def losses(seed: int, bars: int = 600) -> np.ndarray:
    return np.random.default_rng(seed).chisquare(1, bars)


MARKET = losses(1)


def trial(number: int, extra: float, *, noise: float = 0.05, seed: int | None = None) -> Tried:
    """A trial that loses `extra` more a bar than the market's own noise, give or take."""
    own = np.random.default_rng(number if seed is None else seed).normal(extra, noise, len(MARKET))
    lost = MARKET + own
    return Tried(number, lost, float(1 - lost.mean()), whole=True)


def test_a_trial_that_surely_loses_more_is_given_up_and_one_that_may_catch_up_is_not() -> None:
    best = trial(0, 0.0)

    assert is_worse(trial(1, 0.05).losses[:100], best.losses, horizon_bars=1)
    assert not is_worse(trial(2, 0.0).losses[:100], best.losses, horizon_bars=1)
    assert not is_worse(trial(3, -0.05).losses[:100], best.losses, horizon_bars=1)


def test_equal_trials_race_for_ever() -> None:
    best = trial(0, 0.0)

    assert not is_worse(best.losses[:100], best.losses, horizon_bars=1)


def test_few_equals_of_the_best_are_given_up() -> None:
    """One in forty by a two-sided 5 % test, at each of four looks: well below a fifth."""
    best = trial(0, 0.0)
    given_up = [is_worse(trial(n, 0.0).losses[:300], best.losses, horizon_bars=1) for n in range(1, 201)]

    assert sum(given_up) <= 20


def test_a_trial_given_up_is_worth_what_it_was_behind_and_not_its_easy_first_folds() -> None:
    best = Tried(0, MARKET, 0.01, whole=True)
    flattered = Tried(1, MARKET[:100], 0.03, whole=False)

    assert worth(flattered, best, score_so_far=0.05) == pytest.approx(-0.01)
    assert worth(best, best, score_so_far=0.05) == 0.01


def test_a_search_stalls_when_its_last_trials_bring_nothing_and_goes_on_while_they_do() -> None:
    flat = [trial(number, 0.0) for number in range(MIN_TRIALS + 15)]
    rising = [*flat[:MIN_TRIALS], *(trial(MIN_TRIALS + number, -0.05) for number in range(15))]

    assert has_stalled([Tried(0, MARKET, 0.0, whole=True)] * 40, horizon_bars=1)
    assert not has_stalled(rising, horizon_bars=1)
    assert not has_stalled(flat[: MIN_TRIALS - 1], horizon_bars=1)


def test_the_best_of_many_that_differ_by_luck_is_not_better_than_the_defaults() -> None:
    """20 searches of 30 equal trials: at 5 % one of them names a winner, and fifteen if nothing were corrected for."""
    named = 0
    for search in range(20):
        defaults = Tried(0, MARKET, 0.0, whole=True)
        equals = [trial(number, 0.0, seed=1000 * search + number) for number in range(1, 31)]
        named += bool(compare_with_defaults(defaults, equals, horizon_bars=1).better)

    assert named <= 4


def test_a_trial_that_is_better_is_found_among_many_that_are_not() -> None:
    defaults = Tried(0, MARKET, 0.0, whole=True)
    tried = [trial(number, 0.0, seed=200 + number) for number in range(1, 30)]

    found = compare_with_defaults(defaults, [*tried, trial(30, -0.02)], horizon_bars=1)

    assert found.better == (30,)
    assert found.p is not None
    assert found.p < 0.05


def test_trials_that_all_do_what_the_defaults_do_leave_no_question() -> None:
    defaults = Tried(0, MARKET, 0.0, whole=True)

    found = compare_with_defaults(defaults, [Tried(n, MARKET.copy(), 0.0, whole=True) for n in (1, 2)], horizon_bars=1)

    assert (found.better, found.p) == ((), None)
