"""Rules of alerts, where they stand, and what is told or waits to be."""

from evolve.memory import ddl

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    ddl.run(
        "CREATE TABLE alert_rules (name TEXT NOT NULL PRIMARY KEY, document TEXT NOT NULL, read_to INTEGER NOT NULL)",
        """CREATE TABLE alert_states (
            rule TEXT NOT NULL, subject TEXT NOT NULL, level TEXT NOT NULL, candidate TEXT NOT NULL, seen INTEGER NOT NULL,
            changes INTEGER NOT NULL, PRIMARY KEY (rule, subject))""",
        """CREATE TABLE alert_outbox (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            alert_id TEXT NOT NULL UNIQUE, rule TEXT NOT NULL, subject TEXT NOT NULL, document TEXT NOT NULL, state TEXT NOT NULL,
            attempts INTEGER NOT NULL, created_at DOUBLE PRECISION NOT NULL, due DOUBLE PRECISION NOT NULL,
            claimed_at DOUBLE PRECISION NOT NULL, sent_at DOUBLE PRECISION NOT NULL, error TEXT NOT NULL)""",
        "CREATE INDEX alert_outbox_by_state ON alert_outbox (state, due)",
    )
