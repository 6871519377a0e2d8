"""How does a database of an older Evolve become one of this? Ordered steps, each a function, never edited once released.

Step n brings schema version n − 1 to n; `Database.open` runs the missing ones in one transaction. To change the schema: append a
function, change `tables` to match, and leave the older steps alone, since databases made by them exist.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

Migration = Callable[[Connection], None]


def first_schema(connection: Connection) -> None:
    """Version 1: decisions, models, evaluations, answers, trials."""
    # AUTOINCREMENT: an id is never given twice, so that a trial position or a history never means two things.
    for statement in (
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
    ):
        connection.exec_driver_sql(statement)


def fences(connection: Connection) -> None:
    """The newest run of each request that ran more than once."""
    connection.exec_driver_sql("CREATE TABLE fences (request TEXT NOT NULL PRIMARY KEY, token TEXT NOT NULL)")


def aliases(connection: Connection) -> None:
    """Champions and challengers, and every move of them."""
    for statement in (
        """CREATE TABLE aliases (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            symbol TEXT NOT NULL, timeframe TEXT NOT NULL, alias TEXT NOT NULL, model_id TEXT, previous TEXT,
            reason TEXT NOT NULL, request_id TEXT NOT NULL UNIQUE, moved_at DOUBLE PRECISION NOT NULL)""",
        "CREATE INDEX aliases_by_symbol ON aliases (symbol, timeframe, alias, id)",
        "CREATE INDEX aliases_by_model ON aliases (model_id)",
    ):
        connection.exec_driver_sql(statement)


def research(connection: Connection) -> None:
    """The library of what was found, with an index of its words, and the research log."""
    for statement in (
        """CREATE TABLE library (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            item TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, document TEXT NOT NULL,
            first_seen DOUBLE PRECISION NOT NULL, fetched_at DOUBLE PRECISION NOT NULL)""",
        # Accents do not count: "Itô" is found by "ito".
        "CREATE VIRTUAL TABLE library_words USING fts5(title, body, tokenize = 'porter unicode61 remove_diacritics 2')",
        """CREATE TABLE research_log (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            entry_id TEXT NOT NULL UNIQUE, request_id TEXT NOT NULL UNIQUE, at DOUBLE PRECISION NOT NULL,
            kind TEXT NOT NULL, title TEXT NOT NULL, document TEXT NOT NULL)""",
        """CREATE TABLE research_tags (
            entry_id TEXT NOT NULL REFERENCES research_log (entry_id) ON DELETE CASCADE, tag TEXT NOT NULL,
            PRIMARY KEY (entry_id, tag))""",
        """CREATE TABLE research_links (
            entry_id TEXT NOT NULL REFERENCES research_log (entry_id) ON DELETE CASCADE, target TEXT NOT NULL,
            PRIMARY KEY (entry_id, target))""",
        """CREATE TABLE research_notes (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            entry_id TEXT NOT NULL REFERENCES research_log (entry_id) ON DELETE CASCADE, request_id TEXT NOT NULL UNIQUE,
            note TEXT NOT NULL)""",
    ):
        connection.exec_driver_sql(statement)


def tuning(connection: Connection) -> None:
    """Studies, their trials, and what they found."""
    for statement in (
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
    ):
        connection.exec_driver_sql(statement)


def watches(connection: Connection) -> None:
    """What is looked after by a timetable, and which process keeps it."""
    for statement in (
        """CREATE TABLE watches (
            symbol TEXT NOT NULL, timeframe TEXT NOT NULL, simulate INTEGER NOT NULL, cron TEXT NOT NULL, timezone TEXT NOT NULL,
            max_age_bars INTEGER NOT NULL, since DOUBLE PRECISION NOT NULL, claimed DOUBLE PRECISION NOT NULL,
            claimed_at DOUBLE PRECISION NOT NULL, done DOUBLE PRECISION NOT NULL, result TEXT NOT NULL,
            PRIMARY KEY (symbol, timeframe))""",
        """CREATE TABLE leaders (
            role TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, term INTEGER NOT NULL, until DOUBLE PRECISION NOT NULL)""",
    ):
        connection.exec_driver_sql(statement)


def alerts(connection: Connection) -> None:
    """Rules of alerts, where they stand, and what is told or waits to be."""
    for statement in (
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
    ):
        connection.exec_driver_sql(statement)


MIGRATIONS: tuple[Migration, ...] = (first_schema, fences, aliases, research, tuning, watches, alerts)
