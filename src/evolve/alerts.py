"""What is told to whom, and when? Plain values that rules, outbox, couriers and commands share.

All are frozen dataclasses that survive JSON. Times are Unix seconds, 0 for never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AlertKind = Literal["signal", "drift", "crash", "queue_age", "dead_letters"]
MODEL_KINDS: tuple[AlertKind, ...] = ("signal", "drift")
SERVICE_KINDS: tuple[AlertKind, ...] = ("crash", "queue_age", "dead_letters")
Channel = Literal["webhook", "email", "telegram"]
AlertLevel = Literal["clear", "raised", "flat", "long", "short", "test"]
OutboxState = Literal["waiting", "sending", "sent", "failed", "superseded"]


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Whom to tell about what. symbol, timeframe, service: which ones, empty for all.

    raise_at, clear_at: the value at which it is raised, and the one it must fall to before it is over (hysteresis); of a signal the
    size of the position. confirm: looks in a row that must agree. quiet: `22:00-07:00` in `timezone`, empty for never.
    target, secret: an address, or where one stands (`env:NAME`, `file:/PATH`); a secret itself is never here.
    private: a webhook may be on this machine or its own network. since: when it was made.
    """

    name: str
    kind: AlertKind
    channel: Channel
    target: str
    secret: str = ""
    symbol: str = ""
    timeframe: str = ""
    service: str = ""
    raise_at: float = 1.0
    clear_at: float = 0.0
    confirm: int = 1
    quiet: str = ""
    timezone: str = "UTC"
    per_hour: int = 12
    resolved: bool = True
    private: bool = False
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a subject at a moment. subject: `AAPL 1d` or a service; said: a sentence for a person; value: what rules judge."""

    kind: AlertKind
    subject: str
    value: float
    said: str
    at: float
    model_id: str = ""


@dataclass(frozen=True, slots=True)
class AlertState:
    """Where a rule stands about a subject. candidate, seen: another level, and how often it was seen in a row; changes: alerts so far."""

    level: AlertLevel
    candidate: AlertLevel
    seen: int = 0
    changes: int = 0


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell. alert_id: the same however often it is sent, so that a receiver can tell a repetition."""

    alert_id: str
    rule: str
    kind: AlertKind
    subject: str
    level: AlertLevel
    title: str
    text: str
    value: float
    at: float
    model_id: str = ""


@dataclass(frozen=True, slots=True)
class Queued:
    """An alert in the outbox. number: grows; due: not before; error: of the last attempt, without address or secret."""

    number: int
    alert: Alert
    state: OutboxState
    attempts: int
    due: float
    claimed_at: float
    sent_at: float
    error: str
