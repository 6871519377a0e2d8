"""What the watch and the gates do where the truth is known. The full counts are `make prove`; docs/updating.md shows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evolve.agents.drift_watch import MIN_LIVE_BARS, WINDOW_BARS, features_moved
from evolve.agents.promotion import Pair, rollback_test, shadow_test
from evolve.forecasting.features import usable
from evolve.market.sources.base import BarSpec
from evolve.market.sources.simulated import SimulatedSource
from watched_worlds import TESTED, alarms, shared_noise, watched, world

WORLDS = 50


def first_alarm(record, *, since):
    return next((bar - since for bar, card in watched(record) if bar >= since and card.state == "drift"), np.inf)


def pairs_of(number, *, first, second, believes_first, symbols=8):
    noise = shared_noise([3, number], 1_300)
    made = []
    for symbol in range(symbols):
        place = world([4, number, symbol], bars=1_300, first=first, second=second, symbol=f"S{symbol}", shared=noise)
        champion = place.model("champion", first=first)
        challenger = place.model("challenger", first=believes_first, second=second)
        made.append(Pair(champion, challenger, TESTED + 100))
    return made


def false_alarms_per_1000(worlds):
    found = [len(alarms(world([1, number], bars=2_000, first=0.1).model("m", first=0.09))) for number in worlds]
    return 1_000 * sum(found) / (len(found) * (2_000 - TESTED))


def drift_found_after(worlds, *, share, slowly):
    made = (world([2, n], bars=1_700, first=share, turns_at=1_200, slowly=slowly) for n in worlds)
    return [first_alarm(each.model("m", first=0.9 * share), since=1_200) for each in made]


def equal_promoted(worlds):
    """Share of worlds in which a challenger of the same skill, by other means, is promoted."""
    return float(
        np.mean([shadow_test(pairs_of(n, first=0.05, second=0.05, believes_first=0.0)).passed for n in worlds])
    )


def better_promoted(worlds):
    """Share of worlds in which a challenger that explains 3 % more is promoted."""
    return float(
        np.mean([shadow_test(pairs_of(n, first=0.05, second=0.03, believes_first=0.05)).passed for n in worlds])
    )


def bad_rolled_back(worlds, *, noise):
    """(share of worlds in which a forced champion is rolled back, median bars until then)."""
    found = []
    for number in worlds:
        place = world([6, number], bars=1_300, first=0.05)
        good, bad = place.model("good", first=0.05), place.model("bad", first=0.05, noise=noise, seed=number)
        test = rollback_test(good, bad, TESTED + 100)
        found.append(test.bars if test.passed else np.inf)
    return float(np.mean(np.isfinite(found))), float(np.median(found))


def equal_rolled_back(worlds):
    found = []
    for number in worlds:
        place = world([8, number], bars=1_300, first=0.05, second=0.05)
        good, other = place.model("good", first=0.05), place.model("other", first=0.0, second=0.05)
        found.append(rollback_test(good, other, TESTED + 100).passed)
    return float(np.mean(found))


def feature_alarms_per_1000(symbols, *, every=5):
    """How often any feature of the default set is said to have moved on SIMULATED bars, whose law never changes."""
    alarms_, bars_ = 0, 0
    for number in symbols:
        bars = SimulatedSource().load(BarSpec(f"W{number}", "1d"))
        names, last = usable(bars, ())[0], -WINDOW_BARS
        for bar in range(TESTED + MIN_LIVE_BARS, len(bars), every):
            if bar >= last + WINDOW_BARS and features_moved(bars.slice(0, bar), names, trained_to=TESTED - 1):
                alarms_, last = alarms_ + 1, bar
        bars_ += len(bars) - TESTED
    return 1_000 * alarms_ / bars_


# --- a sample that every run makes ---


def test_a_steady_world_stays_steady_and_a_reversal_is_seen():
    assert false_alarms_per_1000(range(2)) == 0
    assert max(drift_found_after(range(3), share=0.1, slowly=0)) <= 150


def test_equal_challengers_stay_where_they_are_and_better_ones_come_through():
    assert equal_promoted(range(12)) <= 1 / 12
    assert better_promoted(range(12)) >= 9 / 12


def test_features_that_left_their_range_are_named():
    """From some day on every day rises by 2 % more: returns of a day and of a week no longer look as they did."""
    bars = SimulatedSource().load(BarSpec("W0", "1d")).slice(0, TESTED + 200)
    rise = np.exp(0.02 * np.maximum(0, np.arange(len(bars)) - TESTED - 50))
    changed = replace(bars, **{name: getattr(bars, name) * rise for name in ("open", "high", "low", "close")})
    names = usable(bars, ())[0]

    assert features_moved(bars, names, trained_to=TESTED - 1) == {}
    assert {"return_1", "return_5"} <= set(features_moved(changed, names, trained_to=TESTED - 1))


def test_a_bad_champion_is_rolled_back():
    share, after = bad_rolled_back(range(8), noise=1.0)

    assert share == 1.0
    assert after <= 84


# --- all of it ---


@pytest.mark.prove
def test_false_alarms_are_at_most_one_in_two_thousand_bars():
    assert false_alarms_per_1000(range(WORLDS)) <= 0.5


@pytest.mark.prove
def test_features_are_said_to_have_moved_at_most_once_in_two_thousand_bars_of_an_unchanging_market():
    assert feature_alarms_per_1000(range(8)) <= 0.5


@pytest.mark.prove
@pytest.mark.parametrize(("share", "slowly"), [(0.05, 0), (0.05, 126), (0.1, 0), (0.1, 126), (0.2, 126)])
def test_a_reversed_relation_is_found_within_150_bars(share, slowly):
    assert np.median(drift_found_after(range(WORLDS), share=share, slowly=slowly)) <= 150


@pytest.mark.prove
def test_an_equal_challenger_is_promoted_in_at_most_one_world_of_twenty():
    assert equal_promoted(range(8 * WORLDS)) <= 0.05


@pytest.mark.prove
def test_a_challenger_that_is_better_by_3_percent_is_promoted_in_four_worlds_of_five():
    assert better_promoted(range(WORLDS)) >= 0.8
    assert better_promoted(range(WORLDS, 5 * WORLDS)) >= 0.8


@pytest.mark.prove
def test_a_bad_promotion_that_was_forced_is_rolled_back_in_nine_worlds_of_ten():
    share, after = bad_rolled_back(range(WORLDS), noise=0.5)

    assert share >= 0.9
    assert after <= 63


@pytest.mark.prove
def test_a_champion_that_is_as_good_as_its_predecessor_is_hardly_ever_rolled_back():
    assert equal_rolled_back(range(4 * WORLDS)) <= 0.05
