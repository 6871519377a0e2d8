"""How does an alert reach a program? A signed POST by the Standard Webhooks specification, so that receivers have libraries for it.

`webhook-id` is the alert's id and the same in every attempt, also given as `Idempotency-Key`: a receiver that saw it before drops it.
The signature is an HMAC-SHA256 over id, time and body, so that a message can neither be forged nor sent again later by others.

Source: https://github.com/standard-webhooks/standard-webhooks (spec 1.0.0).
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
from base64 import b64decode, b64encode

from evolve.alerting.couriers import Outcome, Refused
from evolve.alerting.posting import Answer, outcome_of, post
from evolve.alerting.rules import check_address, is_reference
from evolve.alerts import Alert, AlertRule
from evolve.clock import iso
from evolve.errors import InvalidRequest
from evolve.settings import Settings, secret

PREFIX = "whsec_"  # of a key given in base64, as the specification writes it


def deliver(rule: AlertRule, alert: Alert, settings: Settings, *, now: float) -> Outcome:  # noqa: ARG001 - a courier's signature
    try:
        url = secret(rule.target) if is_reference(rule.target) else rule.target
        check_address(url)
        key = key_of(secret(rule.secret)) if rule.secret else None
    except InvalidRequest as error:
        return Refused(error.message)
    body = body_of(alert)
    stamp = str(int(now))
    headers = {
        "Content-Type": "application/json",
        "webhook-id": alert.alert_id,
        "webhook-timestamp": stamp,
        "Idempotency-Key": alert.alert_id,
    }
    if key is not None:
        headers["webhook-signature"] = signature(key, alert.alert_id, stamp, body)
    answer = post(url, body, headers, private=rule.private)
    return outcome_of(answer, now=now) if isinstance(answer, Answer) else answer


def body_of(alert: Alert) -> bytes:
    """`text` and `content` hold the whole in words too: what Slack, Mattermost and Discord show of a webhook."""
    said = f"{alert.title}. {alert.text}"
    document = {
        "type": f"evolve.{alert.kind}", "timestamp": iso(alert.at), "text": said, "content": said,
        "data": {
            "id": alert.alert_id, "rule": alert.rule, "subject": alert.subject, "level": alert.level, "value": alert.value,
            "title": alert.title, "said": alert.text, "model_id": alert.model_id or None,
        },
    }  # fmt: skip
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def key_of(text: str) -> bytes:
    """The bytes of a key: base64 after `whsec_`, else the text itself. Raises InvalidRequest for base64 that is none."""
    if not text.startswith(PREFIX):
        return text.encode()
    try:
        return b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise InvalidRequest(f"a secret that begins with {PREFIX} goes on in base64") from None


def signature(key: bytes, alert_id: str, stamp: str, body: bytes) -> str:
    """`v1,<base64>` over `id.timestamp.body`."""
    signed = hmac.new(key, f"{alert_id}.{stamp}.".encode() + body, hashlib.sha256)
    return f"v1,{b64encode(signed.digest()).decode()}"
