"""Decisions, models, evaluations, answers, trials."""

from evolve.memory import ddl

revision = "0001"
down_revision = None


def upgrade() -> None:
    # AUTOINCREMENT: an id is never given twice, so that a trial position or a history never means two things.
    ddl.run(
        """CREATE TABLE decisions (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            service TEXT NOT NULL, request_id TEXT NOT NULL, request_type TEXT NOT NULL, asked_by TEXT NOT NULL,
            inputs TEXT NOT NULL, outcome TEXT NOT NULL, status TEXT NOT NULL, error_code TEXT,
            data_hash TEXT, code_version TEXT NOT NULL, seed INTEGER, parent TEXT,
            started_at DOUBLE PRECISION NOT NULL, finished_at DOUBLE PRECISION NOT NULL,
            UNIQUE (service, request_id))""",
        "CREATE INDEX decisions_by_request ON decisions (request_id)",
        """CREATE TABLE decision_symbols (
            decision_id INTEGER NOT NULL REFERENCES decisions (id) ON DELETE CASCADE, symbol TEXT NOT NULL,
            PRIMARY KEY (decision_id, symbol))""",
        "CREATE INDEX decisions_by_symbol ON decision_symbols (symbol, decision_id)",
        """CREATE TABLE models (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            model_id TEXT NOT NULL UNIQUE, recipe_hash TEXT NOT NULL, data_fingerprint TEXT NOT NULL, code_version TEXT NOT NULL,
            symbol TEXT NOT NULL, timeframe TEXT NOT NULL, model_type TEXT NOT NULL, card TEXT NOT NULL,
            weights_sha256 TEXT NOT NULL, out_of_sample_sha256 TEXT NOT NULL, request_id TEXT NOT NULL UNIQUE,
            deleted_at DOUBLE PRECISION, deleted_by TEXT)""",
        "CREATE INDEX models_by_symbol ON models (symbol, timeframe)",
        "CREATE INDEX models_by_recipe ON models (recipe_hash, data_fingerprint)",
        """CREATE TABLE evaluations (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            request_id TEXT NOT NULL, model_id TEXT NOT NULL, symbol TEXT NOT NULL, timeframe TEXT NOT NULL, evaluation TEXT NOT NULL,
            UNIQUE (request_id, model_id))""",
        "CREATE INDEX evaluations_by_model ON evaluations (model_id)",
        "CREATE INDEX evaluations_by_symbol ON evaluations (symbol, timeframe)",
        """CREATE TABLE answers (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            answer_id TEXT NOT NULL UNIQUE, request_id TEXT NOT NULL, question TEXT NOT NULL, document TEXT NOT NULL,
            trial_position INTEGER NOT NULL, answered_at DOUBLE PRECISION NOT NULL)""",
        """CREATE TABLE trials (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            symbol TEXT NOT NULL, recipe_hash TEXT NOT NULL, data_fingerprint TEXT NOT NULL, request_id TEXT NOT NULL,
            sharpe_per_bar DOUBLE PRECISION,
            UNIQUE (symbol, recipe_hash, data_fingerprint))""",
    )
