"""What is watched, and which runs are claimed and done."""

from __future__ import annotations

import pytest

from evolve.clock import FrozenClock
from evolve.errors import InvalidRequest
from evolve.memory.watches import Watches


@pytest.fixture
def watches(database):
    return Watches(database, clock=FrozenClock(1_000.0))


def put(watches, **changes):
    usual = {"simulate": False, "cron": "0 9 * * *", "timezone": "UTC", "max_age_bars": 126}
    return watches.put("AAPL", "1d", **{**usual, **changes})


def test_a_watch_is_found_again_and_can_be_changed(watches):
    put(watches)
    changed = put(watches, cron="0 10 * * *")

    assert watches.all() == (changed,)
    assert (changed.cron, changed.since) == ("0 10 * * *", 1_000.0)


def test_a_run_is_claimed_by_one_only(watches):
    watched = put(watches)

    assert watches.claim(watched, 2_000.0)
    assert not watches.claim(watched, 2_000.0)  # by who looked before the first claim


def test_a_run_that_is_done_stays_done(watches):
    watches.claim(put(watches), 2_000.0)
    watches.finish("AAPL", "1d", due=2_000.0, result="nothing to do")
    watches.finish("AAPL", "1d", due=1_500.0, result="late news of an earlier run")

    found = watches.find("AAPL", "1d")
    assert (found.done, found.result) == (2_000.0, "nothing to do")


def test_what_is_not_watched_cannot_be_left_alone(watches):
    put(watches)
    watches.remove("AAPL", "1d")

    with pytest.raises(InvalidRequest, match="AAPL at 1d is not watched"):
        watches.remove("AAPL", "1d")
