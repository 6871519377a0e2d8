"""What was looked for, read and tried, and what led to what? One entry per step, with tags, notes and links."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, RowMapping, func, select

from evolve.clock import SYSTEM_CLOCK, Clock, iso
from evolve.errors import InvalidRequest
from evolve.findings import LogEntry, LogKind
from evolve.memory.canonical import canonical_json, sha256_of
from evolve.memory.database import Database, insert_into, insert_new
from evolve.memory.tables import research_links, research_log, research_notes, research_tags

ID_DIGITS = (
    10  # short enough to type; two of 50,000 entries share an id once in a thousand homes, and the second is refused
)


class ResearchLog:
    def __init__(self, database: Database, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._clock = clock

    def record(
        self,
        kind: LogKind,
        title: str,
        *,
        document: Mapping[str, object],
        request_id: str,
        tags: Sequence[str] = (),
        links: Sequence[str] = (),
    ) -> LogEntry:
        """Add a step and return it; a request that ran twice has one entry, the first."""
        entry_id = sha256_of([kind, request_id])[:ID_DIGITS]
        row = {
            "entry_id": entry_id,
            "request_id": request_id,
            "at": self._clock.now(),
            "kind": kind,
            "title": title,
            "document": canonical_json(document),
        }
        with self._database.write() as connection:
            if insert_new(connection, research_log, row) is not None:
                self._add(connection, entry_id, tags, links)
            return self._get(connection, entry_id)

    def annotate(self, entry_id: str, note: str, *, tags: Sequence[str], request_id: str) -> LogEntry:
        """The entry with a note and tags added. Raises InvalidRequest for an entry that is not there."""
        with self._database.write() as connection:
            self._get(connection, entry_id)
            insert_new(connection, research_notes, {"entry_id": entry_id, "request_id": request_id, "note": note})
            self._add(connection, entry_id, tags, ())
            return self._get(connection, entry_id)

    def latest(self, tags: Sequence[str] = (), limit: int = 50) -> tuple[LogEntry, ...]:
        """Newest first; only those that carry all of `tags`."""
        query = select(research_log).order_by(research_log.c.id.desc()).limit(limit)
        wanted = {_tag(tag) for tag in tags}
        if wanted:
            carrying = (
                select(research_tags.c.entry_id)
                .where(research_tags.c.tag.in_(wanted))
                .group_by(research_tags.c.entry_id)
                .having(func.count() == len(wanted))
            )
            query = query.where(research_log.c.entry_id.in_(carrying))
        with self._database.read() as connection:
            return tuple(_entry(connection, row) for row in connection.execute(query).mappings().all())

    def about(self, target: str) -> str | None:
        """The id of the newest entry that links to `target`; None when none does."""
        query = (
            select(research_links.c.entry_id)
            .join(research_log, research_log.c.entry_id == research_links.c.entry_id)
            .where(research_links.c.target == target)
            .order_by(research_log.c.id.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar()

    def _add(self, connection: Connection, entry_id: str, tags: Sequence[str], links: Sequence[str]) -> None:
        for tag in {_tag(tag) for tag in tags if _tag(tag)}:
            row = insert_into(connection, research_tags).values(entry_id=entry_id, tag=tag)
            connection.execute(row.on_conflict_do_nothing())
        for target in dict.fromkeys(links):
            row = insert_into(connection, research_links).values(entry_id=entry_id, target=target)
            connection.execute(row.on_conflict_do_nothing())

    def _get(self, connection: Connection, entry_id: str) -> LogEntry:
        found = connection.execute(select(research_log).where(research_log.c.entry_id == entry_id)).mappings().first()
        if found is None:
            raise InvalidRequest(
                f"there is no entry {entry_id[:40]!r} in the research log; `evolve research log` lists them"
            )
        return _entry(connection, found)


def _tag(tag: str) -> str:
    return "_".join(tag.casefold().split())


def _entry(connection: Connection, row: RowMapping) -> LogEntry:
    own = row["entry_id"]
    tags = select(research_tags.c.tag).where(research_tags.c.entry_id == own).order_by(research_tags.c.tag)
    links = select(research_links.c.target).where(research_links.c.entry_id == own).order_by(research_links.c.target)
    notes = select(research_notes.c.note).where(research_notes.c.entry_id == own).order_by(research_notes.c.id)
    return LogEntry(
        entry_id=own,
        at=iso(row["at"]),
        kind=row["kind"],
        title=row["title"],
        tags=tuple(connection.execute(tags).scalars()),
        notes=tuple(connection.execute(notes).scalars()),
        links=tuple(connection.execute(links).scalars()),
        document=json.loads(row["document"]),
    )
