"""What has been found before? Every repository and paper that a search brought home, found again by its words without a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

from sqlalchemy import Connection, select, text

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import Unavailable
from evolve.findings import Paper, Repository
from evolve.memory import words
from evolve.memory.canonical import canonical_json, from_json
from evolve.memory.database import Database, insert_into
from evolve.memory.tables import library

Item = TypeVar("Item", Repository, Paper)
KINDS: dict[type[Repository | Paper], str] = {Repository: "repository", Paper: "paper"}


class Library:
    def __init__(self, database: Database, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._clock = clock

    def save(self, items: Iterable[Repository | Paper]) -> int:
        """Keep what was found, the newest state of each; how many were not known before."""
        with self._database.write() as connection:
            return sum(self._kept(connection, item) for item in items)

    def search(self, kind: type[Item], query: str, limit: int) -> tuple[Item, ...]:
        """What holds any of the words, best match first; empty when nothing does."""
        with self._database.read() as connection:
            return _items(kind, words.matching(connection, KINDS[kind], query, limit))

    def get(self, kind: type[Item], name: str) -> Item | None:
        """The one with this full name or arXiv id; None when it was never found."""
        query = select(library.c.document).where(library.c.item == f"{KINDS[kind]}:{name.casefold()}")
        with self._database.read() as connection:
            document = connection.execute(query).scalar()
        return None if document is None else from_json(kind, document)

    def _kept(self, connection: Connection, item: Repository | Paper) -> bool:
        known = connection.execute(select(library.c.id).where(library.c.item == _name(item))).scalar()
        now = self._clock.now()
        row = {
            "item": _name(item),
            "kind": KINDS[type(item)],
            "document": canonical_json(item),
            "first_seen": now,
            "fetched_at": now,
        }
        newer = {"document": row["document"], "fetched_at": now}
        statement = insert_into(connection, library).values(row)
        statement = statement.on_conflict_do_update(index_elements=["item"], set_=newer)
        number = connection.execute(statement.returning(library.c.id)).scalar_one()
        words.keep(connection, number, *_words(item))
        return known is None


def index_anew(connection: Connection) -> None:
    """The words of all that is kept, within a transaction of the caller's: an index is no part of a backup."""
    connection.execute(text("DELETE FROM library_words"))
    kinds: dict[str, type[Repository | Paper]] = {kind: item for item, kind in KINDS.items()}
    for number, kind, document in connection.execute(select(library.c.id, library.c.kind, library.c.document)).all():
        with suppress(Unavailable):  # kept in a shape of another version: no search can show it either
            words.keep(connection, number, *_words(from_json(kinds[kind], document)))


def _items(kind: type[Item], documents: Sequence[str]) -> tuple[Item, ...]:
    return tuple(from_json(kind, document) for document in documents)


def _name(item: Repository | Paper) -> str:
    own = item.full_name if isinstance(item, Repository) else item.arxiv_id
    return f"{KINDS[type(item)]}:{own.casefold()}"


def _words(item: Repository | Paper) -> tuple[str, str]:
    if isinstance(item, Repository):
        return item.full_name, f"{item.description} {' '.join(item.topics)} {item.tag}"
    return item.title, f"{item.summary} {' '.join(item.authors)} {item.tag}"
