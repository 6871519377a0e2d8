"""Which kept texts hold any of these words? A full-text index in each engine's own way: FTS5, or a tsvector.

Both reduce English words to their stems, take no notice of accents and case, and count a match in the title more. They rank by their
own measures (bm25, ts_rank), so that two texts that match about equally well may change places.
"""

from __future__ import annotations

import re
import unicodedata

from sqlalchemy import Connection, text

# A match in the title tells more than one in the text.
TITLE_WEIGHT, BODY_WEIGHT = 4.0, 1.0
MAX_WORDS = 64  # of a query: both engines take hundreds, and nobody types more than a paragraph

_FTS5 = text(
    "SELECT library.document FROM library_words JOIN library ON library.id = library_words.rowid"
    " WHERE library_words MATCH :wanted AND library.kind = :kind"
    " ORDER BY bm25(library_words, :title, :body), library.id LIMIT :limit"
)
# Weights stand for the labels D, C, B, A; a title is labelled A and a body D. 1: a long text is no better for being long.
_TSVECTOR = text(
    "SELECT library.document FROM library_words JOIN library ON library.id = library_words.id,"
    " to_tsquery('english', :wanted) AS wanted WHERE library_words.words @@ wanted AND library.kind = :kind"
    " ORDER BY ts_rank(CAST(ARRAY[:body, 0, 0, :title] AS real[]), words, wanted, 1) DESC, library.id LIMIT :limit"
)


def matching(connection: Connection, kind: str, query: str, limit: int) -> list[str]:
    """The documents of a kind that hold any of the words, best match first."""
    words = re.findall(r"[^\W_]+", query)[:MAX_WORDS]
    words = list(dict.fromkeys(word.casefold() for word in words))
    if not words:
        return []
    postgresql = connection.dialect.name == "postgresql"
    # Quoted: no word of a user's is an operator. In a tsquery a run of letters and digits is none.
    wanted = " | ".join(map(_plain, words)) if postgresql else " OR ".join(f'"{word}"' for word in words)
    values = {"wanted": wanted, "kind": kind, "limit": limit, "title": TITLE_WEIGHT, "body": BODY_WEIGHT}
    if postgresql:
        values |= {"title": 1.0, "body": BODY_WEIGHT / TITLE_WEIGHT}  # ts_rank takes weights of at most 1
    return list(connection.execute(_TSVECTOR if postgresql else _FTS5, values).scalars())


def keep(connection: Connection, number: int, title: str, body: str) -> None:
    """The words of one document, in place of those it had."""
    values = {"id": number, "title": title, "body": body}
    if connection.dialect.name == "postgresql":
        connection.execute(
            text(
                "INSERT INTO library_words (id, words) VALUES (:id, setweight(to_tsvector('english', :title), 'A') ||"
                " setweight(to_tsvector('english', :body), 'D')) ON CONFLICT (id) DO UPDATE SET words = EXCLUDED.words"
            ),
            values | {"title": _plain(title), "body": _plain(body)},
        )
        return
    connection.execute(text("DELETE FROM library_words WHERE rowid = :id"), {"id": number})
    connection.execute(text("INSERT INTO library_words (rowid, title, body) VALUES (:id, :title, :body)"), values)


def _plain(words: str) -> str:
    """Letters and digits alone, without accents: PostgreSQL would keep accents, and take `a/b` for the name of a file."""
    apart = unicodedata.normalize("NFKD", words)
    return re.sub(r"[\W_]+", " ", "".join(letter for letter in apart if not unicodedata.combining(letter)))
