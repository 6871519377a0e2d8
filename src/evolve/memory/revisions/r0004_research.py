"""The library of what was found, with an index of its words, and the research log."""

from evolve.memory import ddl

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    ddl.run(
        """CREATE TABLE library (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            item TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, document TEXT NOT NULL,
            first_seen DOUBLE PRECISION NOT NULL, fetched_at DOUBLE PRECISION NOT NULL)""",
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
    )
    if ddl.speaks_postgresql():
        ddl.run(
            "CREATE TABLE library_words (id INTEGER PRIMARY KEY REFERENCES library (id) ON DELETE CASCADE, words TSVECTOR NOT NULL)",
            "CREATE INDEX library_by_words ON library_words USING GIN (words)",
        )
    else:
        # Accents do not count: "Itô" is found by "ito".
        ddl.run(
            "CREATE VIRTUAL TABLE library_words USING fts5(title, body, tokenize = 'porter unicode61 remove_diacritics 2')"
        )
