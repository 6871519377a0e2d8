"""Studies, their trials, and what they found."""

from evolve.memory import ddl

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    ddl.run(
        """CREATE TABLE studies (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            study_id TEXT NOT NULL UNIQUE, request_id TEXT NOT NULL, model_type TEXT NOT NULL, symbol TEXT NOT NULL, timeframe TEXT NOT NULL,
            plan TEXT NOT NULL, warm TEXT NOT NULL, wanted INTEGER NOT NULL, ends_at INTEGER, created_at DOUBLE PRECISION NOT NULL)""",
        """CREATE TABLE study_trials (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            study_id TEXT NOT NULL REFERENCES studies (study_id) ON DELETE CASCADE, number INTEGER NOT NULL, state TEXT NOT NULL,
            worker TEXT NOT NULL, runs INTEGER NOT NULL, params TEXT NOT NULL, score DOUBLE PRECISION, worth DOUBLE PRECISION,
            folds TEXT NOT NULL, losses TEXT NOT NULL, error TEXT,
            started_at DOUBLE PRECISION NOT NULL, finished_at DOUBLE PRECISION,
            UNIQUE (study_id, number))""",
        """CREATE TABLE tunings (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            study_id TEXT NOT NULL REFERENCES studies (study_id) ON DELETE CASCADE, request_id TEXT NOT NULL UNIQUE,
            model_type TEXT NOT NULL, symbol TEXT NOT NULL, timeframe TEXT NOT NULL, dataset_size TEXT NOT NULL, verdict TEXT NOT NULL,
            card TEXT NOT NULL, finished_at DOUBLE PRECISION NOT NULL)""",
        "CREATE INDEX tunings_by_model ON tunings (model_type, symbol, timeframe)",
    )
