"""Where is it all kept, and what if that place fails? One SQLite file per home, or a PostgreSQL for many machines.

Many processes write at once, one after the other (see `engines`); what was answered was recorded, since a commit is on disk.
Failures of disk, file and server become typed errors that say what to do.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import Insert as SQLiteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import EvolveError, InvalidRequest, LeaseLost
from evolve.memory import schema
from evolve.memory.engines import Dialect, PostgreSQL, SQLite
from evolve.memory.fence import ROLES, Fence, current
from evolve.memory.schema import REVISIONS
from evolve.memory.tables import fences
from evolve.settings import Settings

FILE_NAME = "evolve.db"
BUSY_TIMEOUT_MS = (
    15_000  # the worst wait measured with 12 writers is under 1 s; beyond this a process hangs, and we say so
)
_EXAMPLES = "sqlite:////absolute/path/evolve.db or postgresql://user@host/evolve"


class Database:
    """The tables of one home. `write()` and `read()` give connections; safe to use from threads and after a fork."""

    def __init__(self, dialect: Dialect, *, path: Path | None) -> None:
        self.path = path
        self._dialect = dialect
        self._pid = os.getpid()

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        revisions: Sequence[Path] = (REVISIONS,),
        clock: Clock = SYSTEM_CLOCK,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    ) -> Database:
        """The database of these settings, created or brought to this version's schema.

        Raises Unavailable when the directory cannot be written, the disk is full, the file is damaged, the server does not answer, or
        it is not a database of Evolve, or written by a newer Evolve; InvalidRequest when EVOLVE_DATABASE_URL cannot work; MissingExtra.
        """
        database = cls.unmigrated(settings, busy_timeout_ms=busy_timeout_ms)
        try:
            database.migrate(revisions=revisions, clock=clock)
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def unmigrated(cls, settings: Settings, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Database:
        """The database as it is, for who asks about its schema or replaces it."""
        path = database_path(settings)
        if path is not None:
            return cls(SQLite(path, busy_timeout_ms=busy_timeout_ms), path=path)
        return cls(PostgreSQL(database_url(settings), busy_timeout_ms=busy_timeout_ms), path=None)

    @property
    def where(self) -> str:
        """The file, or the server without the password."""
        return self._dialect.where

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start; committed on leaving, undone on an error.

        Raises LeaseLost when the request in hand was taken over by another replica (see `fence`).
        """
        with self._begin(writing=True) as connection:
            fence = current()
            if fence is not None:
                _pass(connection, fence)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view that never waits for writers."""
        with self._begin(writing=False) as connection:
            yield connection

    def now(self, connection: Connection) -> float:
        """The time by the one clock that all who share this database share, Unix seconds."""
        return self._dialect.now(connection)

    def migrate(self, *, revisions: Sequence[Path] = (REVISIONS,), clock: Clock = SYSTEM_CLOCK) -> tuple[int, ...]:
        """Bring the schema up to date; the numbers of the steps that ran. Processes that do so at once wait for each other."""
        with self.read() as connection:
            if schema.is_current(connection, self.where, revisions):
                return ()
        self.prepare()
        with self._begin(writing=True) as connection:
            # Looked at again: another process may have migrated while this one waited.
            if schema.is_current(connection, self.where, revisions):
                return ()
            return schema.upgrade(connection, self.where, places=revisions, clock=clock)

    def prepare(self) -> None:
        """What is done once, before the first table is made."""
        with self._explained():
            self._dialect.prepare()

    def schema_version(self) -> int:
        """The number of the last migration that ran; 0 for an empty database."""
        with self.read() as connection:
            return schema.found(connection, self.where)

    def damage(self) -> str | None:
        """What SQLite's own check of the whole file says is wrong; None where nothing is, and for a server, which checks its own pages."""
        if self.path is None:
            return None
        with self.read() as connection:
            said = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        return None if said == "ok" else said

    def close(self) -> None:
        self._dialect.engine.dispose(close=self._pid == os.getpid())

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _begin(self, *, writing: bool) -> Iterator[Connection]:
        if self._pid != os.getpid():
            # A forked child must not touch its parent's connections: two processes on one file handle or socket corrupt both.
            self._dialect.engine.dispose(close=False)
            self._pid = os.getpid()
        with self._explained(), self._dialect.connect() as connection:
            mode = self._dialect.for_writing if writing else self._dialect.for_reading
            with mode(connection).begin():
                if writing:
                    self._dialect.lock(connection)
                yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._explain(error.orig) or error from None
        except sqlite3.Error as error:
            raise self._explain(error) or error from None

    def _explain(self, error: BaseException | None) -> EvolveError | None:
        return self._dialect.explain(error)


def database_url(settings: Settings) -> URL:
    """What EVOLVE_DATABASE_URL names, with its driver. Raises InvalidRequest."""
    try:
        url = make_url(settings.database_url or f"sqlite:///{settings.home.absolute() / FILE_NAME}")
    except ArgumentError:
        raise InvalidRequest(f"EVOLVE_DATABASE_URL is not a URL; write {_EXAMPLES}, or unset it") from None
    backend = url.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url
    if backend != "sqlite":
        raise InvalidRequest(
            f"EVOLVE_DATABASE_URL names {backend}, which Evolve does not speak; write {_EXAMPLES}, or unset it"
        )
    if not url.database or not Path(url.database).is_absolute():
        # Services start in different directories: a relative path would be a different database in each.
        raise InvalidRequest(
            "EVOLVE_DATABASE_URL needs an absolute path: sqlite:////absolute/path/evolve.db (four slashes)"
        )
    return url


def database_path(settings: Settings) -> Path | None:
    """The file the settings name: `<home>/evolve.db`, or the one of EVOLVE_DATABASE_URL; None for a server."""
    url = database_url(settings)
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def is_begun(settings: Settings) -> bool:
    """Whether there may be something in it: False for a file that is yet to be made."""
    path = database_path(settings)
    return path is None or path.exists()


def insert_into(connection: Connection, table: Table) -> SQLiteInsert | PostgresInsert:
    """INSERT … that can say ON CONFLICT, in the words of the engine (the same in both)."""
    return postgres_insert(table) if connection.dialect.name == "postgresql" else sqlite_insert(table)


def insert_new(connection: Connection, table: Table, row: Mapping[str, object]) -> int | None:
    """The id of the new row, or None when a row with one of its unique keys is there already and stays as it is."""
    statement = insert_into(connection, table).values(dict(row)).on_conflict_do_nothing().returning(table.c.id)
    new: int | None = connection.execute(statement).scalar()
    return new


def put(connection: Connection, table: Table, key: Mapping[str, object], row: Mapping[str, object]) -> None:
    """Insert, or change what stands under this key."""
    statement = insert_into(connection, table).values({**key, **row})
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=dict(row)))


def _pass(connection: Connection, fence: Fence) -> None:
    newest = connection.execute(select(fences.c.token).where(fences.c.request == fence.request)).scalar()
    if newest is not None and newest > fence.token:
        raise LeaseLost(f"{fence.request} was taken over by another replica; this run changes nothing more")
    if fence.again and newest != fence.token:
        put(connection, fences, {"request": fence.request}, {"token": fence.token})
        if oldest := fence.oldest_kept():
            # Those of roles are few, and kept: a role has one fence for ever.
            outdated = (fences.c.token < oldest) & fences.c.request.not_like(f"{ROLES}%")
            connection.execute(delete(fences).where(outdated))
