"""Rounds come when the timetable says, in its zone; missed ones are made up for once; one process sends them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from evolve.agents.timetable import GIVE_UP_S, LEASE_S, RESEND_S, Timetable, latest_due, next_run
from evolve.clock import FrozenClock
from evolve.errors import InvalidRequest, Unavailable
from evolve.memory.leadership import Leadership
from evolve.memory.watches import Watches


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture
def clock():
    return FrozenClock(at("2026-03-02T08:00"))  # a Monday


@pytest.fixture
def watches(desk, clock):
    return Watches(desk.log._database, clock=clock)


def keeper(watches, clock, holder="one"):
    return Timetable(watches, Leadership(watches._database, clock=clock), holder=holder, clock=clock)


def watch(watches, cron="0 9 * * *", timezone="UTC"):
    return watches.put("AAPL", "1d", simulate=False, cron=cron, timezone=timezone, max_age_bars=126)


def sent_by(timetable):
    rounds = []
    timetable.step(rounds.append)
    return [datetime.fromtimestamp(each.at, UTC).strftime("%m-%d %H:%M") for each in rounds]


# --- when ---


def test_nine_in_new_york_is_another_hour_of_utc_after_the_clocks_change():
    nine = "0 9 * * *"
    before = next_run(nine, "America/New_York", after=at("2026-03-06T00:00"))
    after = next_run(nine, "America/New_York", after=at("2026-03-09T00:00"))

    assert (before, after) == (at("2026-03-06T14:00"), at("2026-03-09T13:00"))


def test_an_hour_that_the_clocks_skip_is_not_skipped_by_the_timetable():
    """02:30 does not exist in New York on 2026-03-08: it runs at the next minute that does, 03:00 there, 07:00 UTC."""
    assert next_run("30 2 * * *", "America/New_York", after=at("2026-03-08T00:00")) == at("2026-03-08T07:00")


def test_working_days_only():
    assert next_run("30 22 * * 1-5", "UTC", after=at("2026-03-06T23:00")) == at("2026-03-09T22:30")


def test_of_the_missed_times_the_latest_is_due():
    due = latest_due("* * * * *", "UTC", after=at("2025-03-02T08:00"), now=at("2026-03-02T08:00:30"))

    assert due == at("2026-03-02T08:00")
    assert latest_due("0 9 * * *", "UTC", after=at("2026-03-02T08:00"), now=at("2026-03-02T08:59:59")) is None
    assert latest_due("0 9 * * *", "UTC", after=at("2026-03-02T08:00"), now=at("2026-03-02T09:00")) == at("2026-03-02T09:00")  # fmt: skip


@pytest.mark.parametrize(
    ("cron", "timezone", "problem"),
    [
        ("every day", "UTC", "is not a timetable"),
        ("0 25 * * *", "UTC", "is not a timetable"),
        ("* * * * * *", "UTC", "five fields"),
        ("0 9 * * *", "Mars/Olympus", "is not a time zone"),
        ("0 9 * * *", "../../etc/passwd", "is not a time zone"),
    ],
)
def test_what_is_no_timetable_is_said(cron, timezone, problem):
    with pytest.raises(InvalidRequest, match=problem):
        next_run(cron, timezone, after=0.0)


def test_a_day_that_never_comes_is_said():
    with pytest.raises(InvalidRequest, match=r"no time within|is not a timetable"):
        next_run("0 0 30 2 *", "UTC", after=0.0)


# --- who sends, and how often ---


def test_a_round_is_sent_when_it_is_due_and_not_again(watches, clock):
    watch(watches)
    timetable = keeper(watches, clock)

    assert sent_by(timetable) == []
    clock.advance(3_600)
    assert sent_by(timetable) == ["03-02 09:00"]
    clock.advance(5)
    assert sent_by(timetable) == []


def test_rounds_that_were_missed_are_made_up_for_once(watches, clock):
    watch(watches)
    timetable = keeper(watches, clock)
    clock.advance(5 * 86_400)

    assert sent_by(timetable) == ["03-06 09:00"]
    watches.finish("AAPL", "1d", due=at("2026-03-06T09:00"), result="done")
    clock.advance(60)
    assert sent_by(timetable) == []
    clock.advance(86_400)
    assert sent_by(timetable) == ["03-07 09:00"]


def test_a_round_that_was_claimed_and_not_done_is_sent_again_under_the_same_name(watches, clock):
    """The leader died between the two, or the server lost the message."""
    watch(watches)
    clock.advance(3_600)
    first = []
    keeper(watches, clock).step(first.append)
    clock.advance(RESEND_S + LEASE_S)

    second = []
    keeper(watches, clock, "two").step(second.append)

    assert [each.name for each in second] == [each.name for each in first] == ["timetable-AAPL-1d-1772442000"]


def test_a_round_that_could_not_be_sent_is_tried_again(watches, clock):
    watch(watches)
    clock.advance(3_600)
    timetable = keeper(watches, clock)

    def fail(_):
        raise Unavailable("the server is away")

    with pytest.raises(Unavailable):
        timetable.step(fail)
    clock.advance(RESEND_S)

    assert sent_by(timetable) == ["03-02 09:00"]


def test_a_round_that_died_does_not_stop_the_timetable(watches, clock):
    watch(watches)
    timetable = keeper(watches, clock)
    clock.advance(3_600)
    sent_by(timetable)
    clock.advance(max(GIVE_UP_S, 86_400))

    assert sent_by(timetable) == ["03-03 09:00"]


def test_of_two_replicas_one_sends_and_the_other_takes_over_when_it_dies(watches, clock):
    watch(watches, "*/5 * * * *")
    one, two = keeper(watches, clock, "one"), keeper(watches, clock, "two")
    clock.advance(300)

    assert (sent_by(one), sent_by(two)) == (["03-02 08:05"], [])
    watches.finish("AAPL", "1d", due=at("2026-03-02T08:05"), result="done")
    clock.advance(300)  # `one` is gone, and its lease with it
    assert sent_by(two) == ["03-02 08:10"]


def test_a_leader_that_was_replaced_in_the_middle_of_a_step_sends_nothing_more(watches, clock):
    watch(watches)
    watches.put("MSFT", "1d", simulate=False, cron="0 9 * * *", timezone="UTC", max_age_bars=126)
    one, two = keeper(watches, clock, "one"), keeper(watches, clock, "two")
    clock.advance(3_600)
    sent = []

    def slow(due):
        sent.append(("one", due.symbol))
        clock.advance(LEASE_S + 1)
        two.step(lambda other: sent.append(("two", other.symbol)))

    one.step(slow)

    assert sent == [("one", "AAPL"), ("two", "MSFT")]


def test_who_sends_for_longer_than_a_lease_keeps_the_lead(watches, clock):
    for number in range(6):
        watches.put(f"S{number}", "1d", simulate=False, cron="0 9 * * *", timezone="UTC", max_age_bars=126)
    clock.advance(2 * 3600)
    first, second = keeper(watches, clock), keeper(watches, clock, "two")
    of_the_second = []

    def slowly(_):
        clock.advance(0.4 * LEASE_S)
        second.step(of_the_second.append)

    assert first.step(slowly) == 6
    assert of_the_second == []
