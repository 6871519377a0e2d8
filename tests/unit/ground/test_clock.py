"""The clock: one that tells the time, and one that stands still until told."""

from __future__ import annotations

from evolve.clock import FrozenClock, SystemClock, iso


def test_a_frozen_clock_moves_only_when_told_to() -> None:
    clock = FrozenClock(seconds=10.0)
    before = (clock.now(), clock.monotonic())

    clock.advance(2.5)

    assert before == (10.0, 10.0)
    assert (clock.now(), clock.monotonic()) == (12.5, 12.5)


def test_the_systems_monotonic_clock_never_goes_back() -> None:
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]

    assert readings == sorted(readings)


def test_a_time_is_written_in_utc_with_whole_seconds() -> None:
    assert iso(0.0) == "1970-01-01T00:00:00Z"
    # 2013-03-01 is 15,765 days after the epoch (by `date -u -d`).
    assert iso(15_765 * 86_400 + 0.9) == "2013-03-01T00:00:00Z"
