"""How does an alert reach a Telegram chat? By the bot's `sendMessage`.

The API knows no idempotency key: a message that was taken while its answer was lost comes twice, with the same id at its end.

Source: https://core.telegram.org/bots/api#sendmessage and #responseparameters.
"""

from __future__ import annotations

import json

from evolve.alerting.couriers import LONGEST_PAUSE_S, Outcome, Refused, TryAgain
from evolve.alerting.posting import Answer, outcome_of, post
from evolve.alerting.rules import is_reference
from evolve.alerts import Alert, AlertRule
from evolve.errors import InvalidRequest
from evolve.settings import Settings, secret


def deliver(rule: AlertRule, alert: Alert, settings: Settings, *, now: float) -> Outcome:
    try:
        token = settings.telegram_bot_token()
        chat = secret(rule.target) if is_reference(rule.target) else rule.target
    except InvalidRequest as error:
        return Refused(error.message)
    said = {"chat_id": chat, "text": f"{alert.title}\n{alert.text}\n({alert.alert_id[:8]})"}
    # The operator's own setting names the server, so that one of its own network is meant where it stands there.
    url = f"{settings.telegram_url.rstrip('/')}/bot{token}/sendMessage"
    answer = post(url, json.dumps(said).encode(), {"Content-Type": "application/json"}, private=True)
    if not isinstance(answer, Answer):
        return answer
    outcome, told = outcome_of(answer, now=now), _told(answer.body)
    asked = told.get("parameters")
    after = asked.get("retry_after") if isinstance(asked, dict) else None
    if isinstance(outcome, TryAgain) and isinstance(after, int | float):
        return TryAgain(outcome.why, min(float(after), LONGEST_PAUSE_S))
    if isinstance(outcome, Refused):
        why = {401: "the bot's token is not valid", 404: "the bot's token is not valid"}.get(answer.status)
        return Refused(f"Telegram: {why or str(told.get('description') or outcome.why)[:200]}")
    return outcome


def _told(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
