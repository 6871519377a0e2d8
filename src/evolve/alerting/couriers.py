"""What came of an attempt to deliver, and when is the next one? What the couriers have in common."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Protocol

from evolve.alerts import Alert, AlertRule
from evolve.settings import Settings

LIMIT_S = 15.0  # for one attempt in all: receivers answer in under a second, and others wait behind it
FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 3600.0
GIVE_UP_S = 86_400.0  # what nobody takes for a day is news of yesterday


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver said that it has it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It may work later. after_s: as the receiver asked, None where it did not; why: without address or secret."""

    why: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It will not work as it is; why: what to change."""

    why: str


Outcome = Delivered | TryAgain | Refused


class Courier(Protocol):
    def __call__(self, rule: AlertRule, alert: Alert, settings: Settings, *, now: float) -> Outcome: ...


def pause_s(attempts: int, *, draw: float | None = None) -> float:
    """Seconds until the next attempt after so many: doubling, at most an hour, each somewhere in its upper half so that many do not
    come back at once. draw: in 0 … 1."""
    whole = min(FIRST_PAUSE_S * 2.0 ** (attempts - 1), LONGEST_PAUSE_S)
    share = random.random() if draw is None else draw  # no secret hangs on it
    return whole * (0.5 + share / 2)


def retry_after(value: str | None, *, now: float) -> float | None:
    """Seconds, of a Retry-After header in either of its forms (RFC 9110, 10.2.3); None for none, at most an hour."""
    if value is None:
        return None
    text = value.strip()
    if text.isdecimal():
        return min(float(text), LONGEST_PAUSE_S)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    stamp = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return min(max(0.0, stamp - now), LONGEST_PAUSE_S)
