"""What is looked after by a timetable, and which process keeps it."""

from evolve.memory import ddl

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    ddl.run(
        """CREATE TABLE watches (
            symbol TEXT NOT NULL, timeframe TEXT NOT NULL, simulate INTEGER NOT NULL, cron TEXT NOT NULL, timezone TEXT NOT NULL,
            max_age_bars INTEGER NOT NULL, since DOUBLE PRECISION NOT NULL, claimed DOUBLE PRECISION NOT NULL,
            claimed_at DOUBLE PRECISION NOT NULL, done DOUBLE PRECISION NOT NULL, result TEXT NOT NULL,
            PRIMARY KEY (symbol, timeframe))""",
        """CREATE TABLE leaders (
            role TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, term INTEGER NOT NULL, until DOUBLE PRECISION NOT NULL)""",
    )
