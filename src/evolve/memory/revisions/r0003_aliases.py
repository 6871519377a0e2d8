"""Champions and challengers, and every move of them."""

from evolve.memory import ddl

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    ddl.run(
        """CREATE TABLE aliases (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            symbol TEXT NOT NULL, timeframe TEXT NOT NULL, alias TEXT NOT NULL, model_id TEXT, previous TEXT,
            reason TEXT NOT NULL, request_id TEXT NOT NULL UNIQUE, moved_at DOUBLE PRECISION NOT NULL)""",
        "CREATE INDEX aliases_by_symbol ON aliases (symbol, timeframe, alias, id)",
        "CREATE INDEX aliases_by_model ON aliases (model_id)",
    )
