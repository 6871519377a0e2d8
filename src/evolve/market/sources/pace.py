"""How often may a service be asked? At most so many requests in so many seconds, counted across processes.

The moments of the latest requests stand in a small file under a lock: two commands started one after the other share one
allowance, as the service sees it.
"""

from __future__ import annotations

import fcntl
import json
from dataclasses import dataclass
from pathlib import Path

from evolve.errors import Unavailable

LONGEST_QUEUE_S = 3600.0  # no client waits longer; what is booked further ahead was booked by a clock that ran fast


@dataclass(frozen=True, slots=True)
class Allowance:
    """`requests` in any `seconds`."""

    requests: int
    seconds: float


class Pace:
    """The requests made under one allowance, kept in `path`."""

    def __init__(self, allowance: Allowance, path: Path) -> None:
        self.allowance = allowance
        self.path = path

    def book(self, now: float, at_most: float = LONGEST_QUEUE_S) -> float:
        """Book one request; how many seconds (≥ 0) from `now` (Unix seconds) it may be sent. Raises Unavailable.

        Booked moments lie in the future when many wait, so that those who come later queue behind them. A wait of more than
        `at_most` seconds is told but not booked: whoever asks will not stay.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # released when the file closes
                file.seek(0)
                booked = _moments(file.read())
                at = self._earliest(booked, now)
                if at - now > at_most:
                    return at - now
                kept = sorted([*booked, at])[-self.allowance.requests :]
                file.seek(0)
                file.truncate()
                file.write(json.dumps(kept))
        except OSError as error:
            raise Unavailable(
                f"cannot note requests in {self.path}: {error.strerror}; set EVOLVE_HOME to a directory you can write"
            ) from None
        return max(0.0, at - now)

    def _earliest(self, booked: list[float], now: float) -> float:
        # A clock that was set back leaves bookings further ahead than anyone waits.
        sane = sorted(moment for moment in booked if moment <= now + max(LONGEST_QUEUE_S, self.allowance.seconds))
        if len(sane) < self.allowance.requests:
            return now
        return max(now, sane[-self.allowance.requests] + self.allowance.seconds)


def _moments(text: str) -> list[float]:
    try:
        found = json.loads(text) if text else []
        return [float(moment) for moment in found]
    except (ValueError, TypeError):
        return []  # written by something else or cut short: begin anew rather than never ask again
