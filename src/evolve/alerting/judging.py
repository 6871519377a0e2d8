"""Is what was seen worth telling? A rule, where it stood, and what was seen now give where it stands, and perhaps an alert.

Hysteresis: what was raised at one value is over at a lower one, and several looks in a row must agree, so that a value that trembles
about its limit is told once. A subject never seen before counts as calm: a first signal is a new one.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from evolve.alerts import MODEL_KINDS, Alert, AlertLevel, AlertRule, AlertState, Observation

MAX_TEXT = 2_000  # characters; Telegram takes 4,096, and a person less


def concerns(rule: AlertRule, seen: Observation) -> bool:
    """Whether a rule is about what was seen."""
    if rule.kind != seen.kind:
        return False
    if rule.kind in MODEL_KINDS:
        symbol, _, timeframe = seen.subject.partition(" ")
        return rule.symbol in ("", symbol) and rule.timeframe in ("", timeframe)
    return rule.service in ("", seen.subject)


def judge(rule: AlertRule, before: AlertState | None, seen: Observation) -> tuple[AlertState, Alert | None]:
    """Where the rule stands now, and what to tell if that changed. The end of a state is told only where the rule says so."""
    calm: AlertLevel = "flat" if rule.kind == "signal" else "clear"
    state = before or AlertState(calm, calm)
    level = _side(rule, state.level, seen.value) if rule.kind == "signal" else _level(rule, state.level, seen.value)
    if level == state.level:
        return replace(state, candidate=level, seen=0), None
    agreed = state.seen + 1 if level == state.candidate else 1
    if agreed < rule.confirm:
        return replace(state, candidate=level, seen=agreed), None
    changed = AlertState(level, level, 0, state.changes + 1)
    told = rule.resolved or level != "clear"
    return changed, _alert(rule, state.level, changed, seen) if told else None


def _level(rule: AlertRule, before: AlertLevel, value: float) -> AlertLevel:
    if value >= rule.raise_at or (before == "raised" and value > rule.clear_at):
        return "raised"
    return "clear"


def _side(rule: AlertRule, before: AlertLevel, value: float) -> AlertLevel:
    if value >= rule.raise_at or (before == "long" and value > rule.clear_at):
        return "long"
    if value <= -rule.raise_at or (before == "short" and value < -rule.clear_at):
        return "short"
    return "flat"


def _alert(rule: AlertRule, was: AlertLevel, now: AlertState, seen: Observation) -> Alert:
    # The number of the change makes it unique; the time of the rule, that one made anew under the same name begins anew.
    named = f"{rule.name}\0{rule.since!r}\0{seen.subject}\0{now.changes}"
    return Alert(
        alert_id=hashlib.sha256(named.encode()).hexdigest()[:32],
        rule=rule.name,
        kind=rule.kind,
        subject=seen.subject,
        level=now.level,
        title=_title(rule, was, now.level, seen.subject),
        text=" ".join(seen.said.split())[:MAX_TEXT],
        value=seen.value,
        at=seen.at,
        model_id=seen.model_id,
    )


def _title(rule: AlertRule, was: AlertLevel, now: AlertLevel, subject: str) -> str:
    if rule.kind == "signal":
        return f"{subject}: {was} → {now}"
    what = {
        "drift": "drift",
        "crash": "a replica crashed",
        "queue_age": "requests wait too long",
        "dead_letters": "requests could not be answered",
    }[rule.kind]
    return f"{subject}: {what}" if now == "raised" else f"{subject}: over ({what})"
