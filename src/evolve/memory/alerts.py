"""Which rules are there, where do they stand, and what has been told, or waits to be?

What was judged becomes durable at once: where the rules stand, what is to be told, and up to where the decision log was read, in one
transaction. An alert is then claimed, sent and marked. One that was claimed and never marked, because its sender died, is sent again
under the same id: at least once on the wire, and a receiver that keeps ids tells it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from sqlalchemy import Connection, RowMapping, func, select, update

from evolve.alerts import Alert, AlertLevel, AlertRule, AlertState, OutboxState, Queued
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import InvalidRequest, nearest
from evolve.memory.canonical import canonical_json, from_json
from evolve.memory.database import Database, insert_into, put
from evolve.memory.tables import alert_outbox, alert_rules, alert_states, decisions

KEPT = 10_000  # alerts of the past; years of a busy home
RULE_KEY = tuple[str, str]


class AlertBook:
    def __init__(self, database: Database, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._clock = clock

    # --- rules ---

    def add(self, rule: AlertRule) -> None:
        """Raises InvalidRequest when there is one of that name."""
        with self._database.write() as connection:
            statement = insert_into(connection, alert_rules).on_conflict_do_nothing()
            # It hears of what is decided from now on; what was decided before it was made is no news.
            read = connection.execute(select(func.max(decisions.c.id))).scalar() or 0
            row = {"name": rule.name, "document": canonical_json(rule), "read_to": read}
            if not connection.execute(statement.values(**row)).rowcount:
                raise InvalidRequest(
                    f"there is a rule {rule.name!r} already; remove it first: `evolve alerts remove {rule.name}`"
                )

    def remove(self, name: str) -> None:
        """Forget a rule and where it stood; what waits to be sent by it is not sent. Raises InvalidRequest when there is none."""
        with self._database.write() as connection:
            if not connection.execute(alert_rules.delete().where(alert_rules.c.name == name)).rowcount:
                raise self._no_rule(connection, name)
            connection.execute(alert_states.delete().where(alert_states.c.rule == name))
            waiting = (alert_outbox.c.rule == name) & alert_outbox.c.state.in_(("waiting", "sending"))
            connection.execute(
                update(alert_outbox).where(waiting).values(state="superseded", error="the rule was removed")
            )

    def rules(self) -> tuple[AlertRule, ...]:
        with self._database.read() as connection:
            rows = connection.execute(select(alert_rules.c.document).order_by(alert_rules.c.name)).scalars().all()
        return tuple(from_json(AlertRule, row) for row in rows)

    def rule(self, name: str) -> AlertRule:
        """Raises InvalidRequest when there is none."""
        with self._database.read() as connection:
            row = connection.execute(select(alert_rules.c.document).where(alert_rules.c.name == name)).scalar()
            if row is None:
                raise self._no_rule(connection, name)
        return from_json(AlertRule, row)

    def _no_rule(self, connection: Connection, name: str) -> InvalidRequest:
        known = nearest(name, connection.execute(select(alert_rules.c.name)).scalars())
        hint = f"; nearest: {', '.join(known)}" if known else "; `evolve alerts list` shows those there are"
        return InvalidRequest(f"there is no rule {name!r}{hint}")

    # --- where they stand ---

    def read_to(self) -> dict[str, int]:
        """Up to which decision each rule has heard."""
        with self._database.read() as connection:
            rows = connection.execute(select(alert_rules.c.name, alert_rules.c.read_to)).all()
        return {str(name): int(read) for name, read in rows}

    def states(self) -> dict[RULE_KEY, AlertState]:
        """By rule and subject."""
        with self._database.read() as connection:
            rows = connection.execute(select(alert_states)).mappings().all()
        return {
            (row["rule"], row["subject"]): AlertState(
                cast(AlertLevel, row["level"]), cast(AlertLevel, row["candidate"]), row["seen"], row["changes"]
            )
            for row in rows
        }

    def judged(
        self, states: Mapping[RULE_KEY, AlertState], told: Iterable[Alert], *, read_to: Mapping[str, int]
    ) -> int:
        """Keep where the rules stand, what is to be told, and up to where each has heard; returns how many alerts are new.

        A rule that was removed meanwhile leaves nothing.
        """
        now, new = self._clock.now(), 0
        with self._database.write() as connection:
            there = set(connection.execute(select(alert_rules.c.name)).scalars())
            for (rule, subject), state in states.items():
                if rule in there:
                    row = {
                        "level": state.level,
                        "candidate": state.candidate,
                        "seen": state.seen,
                        "changes": state.changes,
                    }
                    put(connection, alert_states, {"rule": rule, "subject": subject}, row)
            for alert in told:
                if alert.rule in there:
                    new += self._queue(connection, alert, now)
            for rule, position in read_to.items():
                further = (alert_rules.c.name == rule) & (alert_rules.c.read_to < position)
                connection.execute(update(alert_rules).where(further).values(read_to=position))
        return new

    def _queue(self, connection: Connection, alert: Alert, now: float) -> int:
        row = {
            "alert_id": alert.alert_id, "rule": alert.rule, "subject": alert.subject, "document": canonical_json(alert),
            "state": "waiting", "attempts": 0, "created_at": now, "due": now, "claimed_at": 0.0, "sent_at": 0.0, "error": "",
        }  # fmt: skip
        queued = insert_into(connection, alert_outbox).values(**row).on_conflict_do_nothing()
        if not connection.execute(queued).rowcount:
            return 0
        newest = connection.execute(select(func.max(alert_outbox.c.id))).scalar() or 0
        done = alert_outbox.c.state.in_(("sent", "failed", "superseded"))
        connection.execute(alert_outbox.delete().where((alert_outbox.c.id <= newest - KEPT) & done))
        # What has not been told yet, and is overtaken by news of the same, need not be told any more.
        older = (alert_outbox.c.rule == alert.rule) & (alert_outbox.c.subject == alert.subject) & (alert_outbox.c.state == "waiting") & (alert_outbox.c.id < newest)  # fmt: skip
        connection.execute(
            update(alert_outbox).where(older).values(state="superseded", error="overtaken by newer news")
        )
        return 1

    # --- the outbox ---

    def due(self, *, stuck_s: float) -> tuple[Queued, ...]:
        """What is to be sent now, the oldest first: waiting, or claimed longer than stuck_s ago by a sender that never came back."""
        now = self._clock.now()
        waiting = (alert_outbox.c.state == "waiting") & (alert_outbox.c.due <= now)
        stuck = (alert_outbox.c.state == "sending") & (alert_outbox.c.claimed_at <= now - stuck_s)
        return self._load(select(alert_outbox).where(waiting | stuck).order_by(alert_outbox.c.id))

    def claim(self, queued: Queued) -> Queued | None:
        """Note that it is about to be sent; None when it changed hands, or was overtaken, since it was read."""
        now = self._clock.now()
        unchanged = (
            (alert_outbox.c.id == queued.number)
            & (alert_outbox.c.state == queued.state)
            & (alert_outbox.c.attempts == queued.attempts)
        )
        row = {"state": "sending", "claimed_at": now, "attempts": queued.attempts + 1}
        with self._database.write() as connection:
            if not connection.execute(update(alert_outbox).where(unchanged).values(**row)).rowcount:
                return None
            found = connection.execute(select(alert_outbox).where(alert_outbox.c.id == queued.number)).mappings().one()
        return _queued(found)

    def put_off(self, queued: Queued, *, until: float, error: str = "") -> None:
        self._mark(queued, state="waiting", due=until, error=error)

    def sent(self, queued: Queued) -> None:
        self._mark(queued, state="sent", sent_at=self._clock.now(), error="")

    def failed(self, queued: Queued, error: str) -> None:
        self._mark(queued, state="failed", error=error)

    def _mark(self, queued: Queued, **row: object) -> None:
        with self._database.write() as connection:
            mine = (alert_outbox.c.id == queued.number) & (alert_outbox.c.attempts == queued.attempts)
            connection.execute(update(alert_outbox).where(mine).values(**row))

    def sent_since(self, rule: str, since: float) -> tuple[float, ...]:
        """When a rule told something, since a moment, the oldest first."""
        mine = (alert_outbox.c.rule == rule) & (alert_outbox.c.state == "sent") & (alert_outbox.c.sent_at >= since)
        with self._database.read() as connection:
            return tuple(
                connection.execute(
                    select(alert_outbox.c.sent_at).where(mine).order_by(alert_outbox.c.sent_at)
                ).scalars()
            )

    def log(self, *, limit: int = 50, state: OutboxState | None = None) -> tuple[Queued, ...]:
        """The newest first."""
        query = select(alert_outbox).order_by(alert_outbox.c.id.desc()).limit(limit)
        return self._load(query if state is None else query.where(alert_outbox.c.state == state))

    def _load(self, query: object) -> tuple[Queued, ...]:
        with self._database.read() as connection:
            return tuple(_queued(row) for row in connection.execute(query).mappings())  # type: ignore[call-overload]


def _queued(row: RowMapping) -> Queued:
    return Queued(
        row["id"], from_json(Alert, row["document"]), cast(OutboxState, row["state"]), row["attempts"], row["due"],
        row["claimed_at"], row["sent_at"], row["error"],
    )  # fmt: skip
