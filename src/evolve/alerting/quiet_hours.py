"""Is this an hour in which nobody wants to be told? A stretch of the day, by the clock of a time zone."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from evolve.errors import InvalidRequest

_STRETCH = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def zone_of(timezone: str) -> ZoneInfo:
    """Raises InvalidRequest for what is no time zone."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequest(
            f"{timezone!r} is not a time zone; give an IANA name, such as UTC, Europe/Berlin or America/New_York"
        ) from None


def quiet_until(stretch: str, timezone: str, now: float) -> float | None:
    """When the quiet that reigns at `now` ends, Unix seconds; None where none reigns.

    stretch: `22:00-07:00`, which may pass midnight; empty for never. Raises InvalidRequest for another text or zone.
    """
    zone = zone_of(timezone)
    if not stretch:
        return None
    found = _STRETCH.fullmatch(stretch)
    if found is None or found[1] + found[2] == found[3] + found[4]:
        raise InvalidRequest(f"{stretch!r} are no quiet hours: write HH:MM-HH:MM, such as 22:00-07:00")
    first, last = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    local = datetime.fromtimestamp(now, zone)
    # By the wall clock, so that quiet ends at seven on the day the clocks change too.
    clock = local.time().replace(tzinfo=None)
    passes_midnight = first > last
    quiet = (clock >= first or clock < last) if passes_midnight else first <= clock < last
    if not quiet:
        return None
    ends_on = local.date() + timedelta(days=1) if passes_midnight and clock >= first else local.date()
    return datetime.combine(ends_on, last, zone).timestamp()
