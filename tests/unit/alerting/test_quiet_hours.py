"""Quiet hours pass midnight, follow the zone's clock when it changes, and are refused where they make no sense."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from evolve.alerting.quiet_hours import quiet_until
from evolve.errors import InvalidRequest


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-02T21:59", None), ("2026-03-02T22:00", "2026-03-03T07:00"), ("2026-03-03T06:59:59", "2026-03-03T07:00"),
        ("2026-03-03T07:00", None),
    ],
)  # fmt: skip
def test_a_night_passes_midnight(now, until):
    assert quiet_until("22:00-07:00", "UTC", at(now)) == (at(until) if until else None)


def test_an_hour_of_the_day_is_within_that_day():
    assert quiet_until("12:00-13:30", "UTC", at("2026-03-02T13:00")) == at("2026-03-02T13:30")
    assert quiet_until("12:00-13:30", "UTC", at("2026-03-02T11:59")) is None


def test_quiet_ends_at_seven_there_also_on_the_day_the_clocks_change():
    """Berlin goes from UTC+1 to UTC+2 on 2026-03-29 at 02:00."""
    assert quiet_until("22:00-07:00", "Europe/Berlin", at("2026-03-28T22:00")) == at("2026-03-29T05:00")
    assert quiet_until("22:00-07:00", "Europe/Berlin", at("2026-03-27T22:00")) == at("2026-03-28T06:00")


def test_without_a_stretch_there_is_no_quiet():
    assert quiet_until("", "UTC", at("2026-03-02T23:00")) is None


@pytest.mark.parametrize(
    ("stretch", "zone", "said"),
    [
        ("22-7", "UTC", "HH:MM-HH:MM"), ("24:00-07:00", "UTC", "HH:MM-HH:MM"), ("07:00-07:00", "UTC", "HH:MM-HH:MM"),
        ("22:00-07:00", "Mars/Olympus", "is not a time zone"), ("", "../../etc/passwd", "is not a time zone"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(stretch, zone, said):
    with pytest.raises(InvalidRequest, match=said):
        quiet_until(stretch, zone, 0.0)
