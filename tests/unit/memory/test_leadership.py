"""One leads at a time, and who led before can write nothing more."""

from __future__ import annotations

import pytest

from evolve.clock import FrozenClock
from evolve.errors import LeaseLost
from evolve.memory.fence import behind
from evolve.memory.leadership import Leadership
from evolve.memory.watches import Watches


@pytest.fixture
def clock():
    return FrozenClock()


@pytest.fixture
def leadership(database, clock):
    return Leadership(database, clock=clock)


def test_a_role_is_held_by_one_until_its_lease_lapses(leadership, clock):
    first = leadership.claim("timetable", "a", lease_s=30)

    assert first is not None
    assert leadership.claim("timetable", "b", lease_s=30) is None
    clock.advance(31)
    second = leadership.claim("timetable", "b", lease_s=30)
    assert second is not None
    assert second.number == first.number + 1


def test_who_keeps_claiming_keeps_the_role_and_its_term(leadership, clock):
    first = leadership.claim("timetable", "a", lease_s=30)
    clock.advance(20)
    again = leadership.claim("timetable", "a", lease_s=30)

    assert (again.number, again.until) == (first.number, clock.now() + 30)


def test_an_own_lease_that_lapsed_begins_a_new_term(leadership, clock):
    first = leadership.claim("timetable", "a", lease_s=30)
    clock.advance(31)

    assert leadership.claim("timetable", "a", lease_s=30).number == first.number + 1


def test_who_resigns_lets_another_in_at_once(leadership):
    leadership.resign(leadership.claim("timetable", "a", lease_s=30))

    assert leadership.claim("timetable", "b", lease_s=30) is not None


def test_a_leader_that_was_replaced_while_it_slept_writes_nothing(database, leadership, clock):
    watches = Watches(database, clock=clock)
    watched = watches.put("AAPL", "1d", simulate=False, cron="0 9 * * *", timezone="UTC", max_age_bars=126)
    asleep = leadership.claim("timetable", "a", lease_s=30)
    clock.advance(31)
    awake = leadership.claim("timetable", "b", lease_s=30)
    with behind(awake.fence):
        assert watches.claim(watched, 100.0)

    with behind(asleep.fence), pytest.raises(LeaseLost):
        watches.claim(watches.find("AAPL", "1d"), 200.0)

    assert watches.find("AAPL", "1d").claimed == 100.0


def test_a_leader_that_was_replaced_writes_nothing_even_before_its_successor_wrote(database, leadership, clock):
    """The next round may be hours away: until then nothing but the change of hands says that another leads."""
    watches = Watches(database, clock=clock)
    watched = watches.put("AAPL", "1d", simulate=False, cron="0 9 * * *", timezone="UTC", max_age_bars=126)
    asleep = leadership.claim("timetable", "a", lease_s=30)
    clock.advance(31)
    leadership.claim("timetable", "b", lease_s=30)

    with behind(asleep.fence), pytest.raises(LeaseLost):
        watches.claim(watched, 200.0)

    assert watches.find("AAPL", "1d").claimed == 0.0
