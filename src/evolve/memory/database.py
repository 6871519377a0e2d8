"""Where is it all kept, and what if that place fails? One SQLite file per home, shared by every process of it.

Many processes write at once: write-ahead log, so that readers never wait; BEGIN IMMEDIATE, so that a writer waits for its turn at the
start instead of failing at the end; a full sync at commit, so that what was answered was recorded.
Failures of disk and file become typed errors that say what to do.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, create_engine, event, func, insert, inspect, select
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import Busy, EvolveError, InvalidRequest, LeaseLost, Unavailable
from evolve.memory.fence import Fence, current
from evolve.memory.migrations import MIGRATIONS, Migration
from evolve.memory.tables import fences, schema_version
from evolve.settings import Settings

FILE_NAME = "evolve.db"
BUSY_TIMEOUT_MS = (
    15_000  # the worst wait measured with 12 writers is under 1 s; beyond this a process hangs, and we say so
)


class Database:
    """The tables of one home. `write()` and `read()` give connections; safe to use from threads and after a fork."""

    def __init__(self, path: Path, engine: Engine, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_ms / 1000
        self._engine = engine
        self._pid = os.getpid()

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        migrations: Sequence[Migration] = MIGRATIONS,
        clock: Clock = SYSTEM_CLOCK,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    ) -> Database:
        """The database of these settings, created or brought to this version's schema.

        Raises Unavailable when the directory cannot be written, the disk is full, the file is damaged, not a database of
        Evolve, or written by a newer Evolve; InvalidRequest when EVOLVE_DATABASE_URL is no absolute sqlite path.
        """
        path = database_path(settings)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(
                f"cannot create {path.parent}: {error.strerror}; set EVOLVE_HOME to a directory that you can write"
            ) from None
        database = cls(path, _engine(path, busy_timeout_ms), busy_timeout_ms=busy_timeout_ms)
        try:
            database._migrate(migrations, clock)
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start; committed on leaving, undone on an error.

        Raises LeaseLost when the request in hand was taken over by another replica (see `fence`).
        """
        with self._begin("IMMEDIATE") as connection:
            fence = current()
            if fence is not None:
                _pass(connection, fence)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view that never waits for writers."""
        with self._begin("DEFERRED") as connection:
            yield connection

    def schema_version(self) -> int:
        """The number of the last migration that ran; 0 for an empty file."""
        with self.read() as connection:
            return self._version(connection)

    def damage(self) -> str | None:
        """What SQLite's own check of the whole file says is wrong; None where nothing is. Reads all of it."""
        with self.read() as connection:
            said = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        return None if said == "ok" else said

    def close(self) -> None:
        self._engine.dispose(close=self._pid == os.getpid())

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _begin(self, mode: str) -> Iterator[Connection]:
        if self._pid != os.getpid():
            # A forked child must not touch its parent's connections: two processes on one file handle corrupt the log.
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        with (
            self._explained(),
            self._engine.connect().execution_options(evolve_begin=mode) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._explain(error.orig) or error from None
        except sqlite3.Error as error:
            raise self._explain(error) or error from None

    def _explain(self, error: object) -> EvolveError | None:
        """The error a user can act on, or None for a bug of ours (a wrong statement, a broken constraint)."""
        code = getattr(error, "sqlite_errorcode", None)
        primary = code & 0xFF if isinstance(code, int) else None
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Busy(f"{self.path} is held by another process; stop it (`evolve status` lists ours) or try again")
        if primary == sqlite3.SQLITE_FULL:
            return Unavailable(
                f"no space left for {self.path}; free some or set EVOLVE_HOME to another disk (nothing was changed)"
            )
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return Unavailable(
                f"{self.path} is damaged or not a database; restore a copy of it, or move it aside to begin a new one"
            )
        if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR):
            return Unavailable(f"cannot write {self.path} ({error}); set EVOLVE_HOME to a directory that you can write")
        return None

    def _migrate(self, migrations: Sequence[Migration], clock: Clock) -> None:
        with self.read() as connection:
            if self._pending(connection, migrations) == ():
                return
        self._write_ahead()
        with self._begin("IMMEDIATE") as connection:
            # Looked at again: another process may have migrated while this one waited.
            pending = self._pending(connection, migrations)
            if not inspect(connection).has_table(schema_version.name):
                schema_version.create(connection)
            for number, migrate in enumerate(pending, start=len(migrations) - len(pending) + 1):
                migrate(connection)
                row = {"version": number, "applied_at": clock.now(), "code_version": _code_version()}
                connection.execute(insert(schema_version).values(row))

    def _write_ahead(self) -> None:
        """Kept in the file from here on. Of processes that start at once, SQLite refuses all but one here without waiting."""
        end = time.monotonic() + self._busy_timeout_s  # real time: it is another process that is waited for
        while True:
            try:
                with self._explained(), self._engine.connect() as connection:
                    connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                        "PRAGMA journal_mode = WAL"
                    )
                return
            except Busy:
                if time.monotonic() >= end:
                    raise
                time.sleep(0.02)

    def _pending(self, connection: Connection, migrations: Sequence[Migration]) -> tuple[Migration, ...]:
        found = self._version(connection)
        if found > len(migrations):
            raise Unavailable(
                f"{self.path} was written by a newer Evolve (schema {found}; this one knows {len(migrations)}); "
                "update this installation, or set EVOLVE_HOME to another directory"
            )
        return tuple(migrations[found:])

    def _version(self, connection: Connection) -> int:
        names = inspect(connection).get_table_names()
        if schema_version.name not in names:
            if names:
                raise Unavailable(
                    f"{self.path} is a database of another program (it holds {names[0]!r}); set EVOLVE_HOME to another directory"
                )
            return 0
        return connection.execute(select(func.max(schema_version.c.version))).scalar() or 0


def database_path(settings: Settings) -> Path:
    """The file the settings name: `<home>/evolve.db`, or the one of EVOLVE_DATABASE_URL."""
    if settings.database_url is None:
        return settings.home.absolute() / FILE_NAME
    try:
        url = make_url(settings.database_url)
    except ArgumentError:
        raise InvalidRequest(
            "EVOLVE_DATABASE_URL is not a URL; write sqlite:////absolute/path/evolve.db or unset it"
        ) from None
    if url.get_backend_name() != "sqlite":
        raise InvalidRequest(
            f"EVOLVE_DATABASE_URL names {url.get_backend_name()}, which this version does not support; write sqlite:////absolute/path/evolve.db or unset it"
        )
    if not url.database or not Path(url.database).is_absolute():
        # Services start in different directories: a relative path would be a different database in each.
        raise InvalidRequest(
            "EVOLVE_DATABASE_URL needs an absolute path: sqlite:////absolute/path/evolve.db (four slashes)"
        )
    return Path(url.database)


def insert_new(connection: Connection, table: Table, row: Mapping[str, object]) -> int | None:
    """The id of the new row, or None when a row with one of its unique keys is there already and stays as it is."""
    statement = sqlite_insert(table).values(dict(row)).on_conflict_do_nothing().returning(table.c.id)
    new: int | None = connection.execute(statement).scalar()
    return new


def _pass(connection: Connection, fence: Fence) -> None:
    newest = connection.execute(select(fences.c.token).where(fences.c.request == fence.request)).scalar()
    if newest is not None and newest > fence.token:
        raise LeaseLost(f"{fence.request} was taken over by another replica; this run changes nothing more")
    if fence.again and newest != fence.token:
        noted = sqlite_insert(fences).values(request=fence.request, token=fence.token)
        connection.execute(noted.on_conflict_do_update(index_elements=["request"], set_={"token": fence.token}))


def _engine(path: Path, busy_timeout_ms: int) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": busy_timeout_ms / 1000})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        # The driver would begin transactions by itself, deferred and late; `begin` below does it instead.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("evolve_begin")
        if mode is not None:  # none: outside `read` and `write`, when a statement must run outside a transaction
            connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _code_version() -> str:
    try:
        return version("evolve-trading")
    except PackageNotFoundError:
        return "unknown"
