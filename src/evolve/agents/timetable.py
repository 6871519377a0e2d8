"""When is a watched symbol's next round, and which rounds are due now?

A timetable is a cron expression in a time zone. Rounds that were missed while nothing ran are made up for once, by the latest of
them. One process sends them: it leads for a term, and writes behind the fence of that term, so that two never send at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import InvalidRequest, LeaseLost
from evolve.memory.database import Database
from evolve.memory.fence import behind
from evolve.memory.leadership import Leadership, Term
from evolve.memory.watches import Watched, Watches

ROLE = "timetable"
LEASE_S = 30.0  # a leader that died is missed for so long; rounds are minutes apart at the least
# Sent again when so old and not done: the message was lost with its server. Under the same name, so that it runs once.
RESEND_S = 60.0
# A round that is not done by then died without a word; the next one is due by its own time.
GIVE_UP_S = 3600.0


@dataclass(frozen=True, slots=True)
class Round:
    """A run of `auto_update` that is due. at: the time of the timetable it belongs to, Unix seconds; name: its request id."""

    symbol: str
    timeframe: str
    simulate: bool
    at: float

    @property
    def name(self) -> str:
        return f"timetable-{self.symbol}-{self.timeframe}-{int(self.at)}"


class Timetable:
    """holder: a name of this process that no other has."""

    def __init__(self, watches: Watches, leadership: Leadership, *, holder: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._watches = watches
        self._leadership = leadership
        self._holder = holder
        self._clock = clock
        self._term: Term | None = None

    @classmethod
    def over(cls, database: Database, *, holder: str) -> Timetable:
        return cls(Watches(database), Leadership(database), holder=holder)

    def step(self, send: Callable[[Round], None]) -> int:
        """Send what is due, if this process leads; returns how many. What `send` raises leaves its round to be sent again."""
        watched = self._watches.all()
        if not watched:
            return 0
        sent, claimed = 0, -LEASE_S
        try:
            for each in watched:
                # Thousands of rounds at once take longer than a lease.
                if self._clock.monotonic() - claimed >= LEASE_S / 3:
                    claimed = self._clock.monotonic()
                    self._term = self._leadership.claim(ROLE, self._holder, lease_s=LEASE_S)
                if self._term is None:
                    return sent
                due = self._due(each)
                with behind(self._term.fence):
                    if due is not None and self._watches.claim(each, due):
                        send(Round(each.symbol, each.timeframe, each.simulate, due))
                        sent += 1
        except LeaseLost:
            self._term = None  # another leads: it sends the rest
        return sent

    def resign(self) -> None:
        """Give the lead up, so that another replica need not wait for the lease to lapse."""
        if self._term is not None:
            self._leadership.resign(self._term)
            self._term = None

    def _due(self, watched: Watched) -> float | None:
        now = self._clock.now()
        if watched.claimed > watched.done and now - watched.claimed_at < GIVE_UP_S:
            return watched.claimed if now - watched.claimed_at >= RESEND_S else None
        return latest_due(
            watched.cron, watched.timezone, after=max(watched.since, watched.done, watched.claimed), now=now
        )


def next_run(cron: str, timezone: str, *, after: float) -> float:
    """The first time of a timetable after a moment, Unix seconds. Raises InvalidRequest as `check_timetable` does."""
    zone = check_timetable(cron, timezone)
    found = next(CronSim(cron, datetime.fromtimestamp(after, zone)), None)
    if found is None:
        raise InvalidRequest(f"the timetable {cron!r} has no time within the next 50 years")
    return found.timestamp()


def latest_due(cron: str, timezone: str, *, after: float, now: float) -> float | None:
    """The last time of a timetable after `after` and not later than `now`; None when there is none. Missed ones are passed over."""
    zone = check_timetable(cron, timezone)
    first = next_run(cron, timezone, after=after)
    if first > now:
        return None
    # Backwards from now: a year of missed minutes is not walked through.
    backwards = CronSim(cron, datetime.fromtimestamp(int(now) + 1, zone), reverse=True)
    return max(first, next(backwards).timestamp())


def check_timetable(cron: str, timezone: str) -> ZoneInfo:
    """The zone of a timetable that can be kept. Raises InvalidRequest for no cron expression, or no time zone."""
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequest(
            f"{timezone!r} is not a time zone; give an IANA name, such as UTC, Europe/Berlin or America/New_York"
        ) from None
    try:
        if len(cron.split()) != 5:
            raise CronSimError("five fields are needed")
        CronSim(cron, datetime.fromtimestamp(0, zone))
    except CronSimError as error:
        raise InvalidRequest(
            f"{cron!r} is not a timetable ({error}): minute hour day month weekday, such as '30 22 * * 1-5' for 22:30 from Monday to Friday"
        ) from None
    return zone
