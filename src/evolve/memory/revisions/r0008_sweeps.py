"""What sweeps scored: one row per recipe, data and code."""

from evolve.memory import ddl

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    ddl.run(
        """CREATE TABLE sweep_scores (
            score_id TEXT NOT NULL PRIMARY KEY,
            symbol TEXT NOT NULL, timeframe TEXT NOT NULL, model_type TEXT NOT NULL, document TEXT NOT NULL,
            finished_at DOUBLE PRECISION NOT NULL)"""
    )
