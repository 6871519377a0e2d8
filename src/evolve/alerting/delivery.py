"""Who carries an alert where its rule says? One courier per channel."""

from __future__ import annotations

from evolve.alerting import mail, telegram, webhook
from evolve.alerting.couriers import Courier, Outcome
from evolve.alerts import Alert, AlertRule, Channel
from evolve.settings import Settings

COURIERS: dict[Channel, Courier] = {"webhook": webhook.deliver, "email": mail.deliver, "telegram": telegram.deliver}


def deliver(rule: AlertRule, alert: Alert, settings: Settings, *, now: float) -> Outcome:
    """One attempt; takes 15 s at most, for the longest silence of a receiver, and raises nothing that a receiver can cause."""
    return COURIERS[rule.channel](rule, alert, settings, now=now)
