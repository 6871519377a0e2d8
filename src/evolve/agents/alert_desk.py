"""What is to be told now, and is it told? Rules are held against what was seen, and the outbox is emptied, by one process at a time.

It leads for a term and writes behind that term's fence (see `memory.leadership`), so that two never send the same at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evolve.agents.standing import standings_after
from evolve.alerting.couriers import GIVE_UP_S, Delivered, Outcome, Refused, pause_s
from evolve.alerting.judging import concerns, judge
from evolve.alerting.quiet_hours import quiet_until
from evolve.alerts import SERVICE_KINDS, Alert, AlertRule, AlertState, Observation, Queued
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import EvolveError, LeaseLost
from evolve.memory.alerts import AlertBook
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.memory.fence import behind
from evolve.memory.leadership import Leadership, Term
from evolve.updates import Standing

ROLE = "alerts"
LEASE_S = 120.0  # longer than the slowest attempt, a mail server that takes 15 s for each of seven answers; renewed before each
HOUR_S = 3600.0

Deliver = Callable[[AlertRule, Alert, float], Outcome]
Look = Callable[[], Sequence[Observation]]


class AlertDesk:
    """deliver: one attempt to send an alert at a moment. holder: a name of this process that no other has."""

    def __init__(
        self, book: AlertBook, log: DecisionLog, leadership: Leadership, deliver: Deliver, *, holder: str, clock: Clock = SYSTEM_CLOCK
    ) -> None:  # fmt: skip
        self._book = book
        self._log = log
        self._leadership = leadership
        self._deliver = deliver
        self._holder = holder
        self._clock = clock
        self._term: Term | None = None

    @classmethod
    def over(cls, database: Database, deliver: Deliver, *, holder: str) -> AlertDesk:
        return cls(AlertBook(database), DecisionLog(database), Leadership(database), deliver, holder=holder)

    def step(self, look: Look) -> int:
        """Judge what is new and send what is due, if this process leads; returns how many were sent.

        look: sees how the services do; asked only where a rule wants to know. What it raises is raised when all else is done.
        """
        rules = self._book.rules()
        if not rules or not self._leads():
            return 0
        try:
            with behind(self._held().fence):
                seen, trouble = self._look(rules, look)
                self._judge(rules, seen)
                sent = self._send({rule.name: rule for rule in rules})
        except LeaseLost:
            self._term = None  # another leads: it does the rest
            return 0
        if trouble is not None:
            raise trouble
        return sent

    def _look(self, rules: Sequence[AlertRule], look: Look) -> tuple[Sequence[Observation], EvolveError | None]:
        if not any(rule.kind in SERVICE_KINDS for rule in rules):
            return (), None
        try:
            return look(), None
        except EvolveError as error:
            return (), error  # the server is away, say: no reason to hold back what waits to be told

    def resign(self) -> None:
        """Give the lead up, so that another replica need not wait for the lease to lapse."""
        if self._term is not None:
            self._leadership.resign(self._term)
            self._term = None

    def _leads(self) -> bool:
        self._term = self._leadership.claim(ROLE, self._holder, lease_s=LEASE_S)
        return self._term is not None

    def _held(self) -> Term:
        if self._term is None:
            raise LeaseLost("another process sends the alerts now")
        return self._term

    # --- judging ---

    def _judge(self, rules: Sequence[AlertRule], seen: Sequence[Observation]) -> None:
        states, read_to = self._book.states(), self._book.read_to()
        found: dict[tuple[str, str], AlertState] = {}
        told: list[Alert] = []

        def hold(rule: AlertRule, observation: Observation) -> None:
            if concerns(rule, observation):
                key = rule.name, observation.subject
                before = found.get(key, states.get(key))
                found[key], alert = judge(rule, before, observation)
                if alert is not None:
                    told.append(alert)

        heard: dict[str, int] = {}
        new = standings_after(self._log, min(read_to.values(), default=0))
        for place, at, standing in new:
            for rule in rules:
                if place > read_to.get(rule.name, place):
                    for observation in observations_of(standing, at):
                        hold(rule, observation)
                    heard[rule.name] = place
        for observation in seen:
            for rule in rules:
                hold(rule, observation)
        changed = {key: state for key, state in found.items() if state != states.get(key)}
        if changed or told or heard:
            self._book.judged(changed, told, read_to=heard)

    # --- sending ---

    def _send(self, rules: dict[str, AlertRule]) -> int:
        sent = 0
        away: dict[
            str, float
        ] = {}  # rules whose receiver is in trouble, and until when: the others for it wait with the first
        for queued in self._book.due(stuck_s=LEASE_S):
            rule = rules.get(queued.alert.rule)
            if rule is None:
                continue  # removed a moment ago, and its alerts with it
            until = away.get(rule.name) or self._not_before(rule)
            if until is not None:
                self._book.put_off(queued, until=until, error=queued.error)
                continue
            if not self._leads():
                break
            with behind(self._held().fence):  # of this very term: it may be a later one than that of the step
                claimed = self._book.claim(queued)
                if claimed is not None:
                    again = self._attempt(rule, claimed)
                    sent += again is None
                    if again is not None and again > 0:
                        away[rule.name] = again
        return sent

    def _not_before(self, rule: AlertRule) -> float | None:
        """Until when a rule is to be silent: its quiet hours, or as many alerts an hour as it allows."""
        now = self._clock.now()
        quiet = quiet_until(rule.quiet, rule.timezone, now)
        if quiet is not None:
            return quiet
        sent = self._book.sent_since(rule.name, now - HOUR_S)
        return sent[-rule.per_hour] + HOUR_S if len(sent) >= rule.per_hour else None

    def _attempt(self, rule: AlertRule, claimed: Queued) -> float | None:
        """None where it was delivered; else when to try again, 0 for never."""
        outcome = self._deliver(rule, claimed.alert, self._clock.now())
        if isinstance(outcome, Delivered):
            self._book.sent(claimed)
            return None
        now = self._clock.now()
        if isinstance(outcome, Refused):
            self._book.failed(claimed, outcome.why)
            return 0.0
        if now - claimed.alert.at > GIVE_UP_S:
            self._book.failed(claimed, f"given up after {claimed.attempts} attempts: {outcome.why}")
            return 0.0
        until = now + (pause_s(claimed.attempts) if outcome.after_s is None else outcome.after_s)
        self._book.put_off(claimed, until=until, error=outcome.why)
        return until


def observations_of(standing: Standing, at: float) -> list[Observation]:
    """What a champion's standing says of signal and drift. SIMULATED bars are named in every sentence."""
    subject = f"{standing.symbol} {standing.timeframe}"
    bars = "SIMULATED bars, no view on the real market; " if standing.simulated else ""
    side = "long" if standing.position > 0 else "short" if standing.position < 0 else "flat"
    said = f"{bars}{standing.model_id} is {side} ({standing.position:+.2f} of the equity) as of {standing.as_of}. Research, not investment advice."
    found = [Observation("signal", subject, standing.position, said, at, standing.model_id)]
    if standing.drift in ("steady", "drift"):
        drifts = float(standing.drift == "drift")
        found.append(Observation("drift", subject, drifts, f"{bars}{standing.model_id}: {standing.drift_reason}", at, standing.model_id))  # fmt: skip
    return found
