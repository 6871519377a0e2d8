"""How are SQLite and PostgreSQL spoken to, so that the rest need not know which it is?

On both a writer holds the one write lock from its start: SQLite by BEGIN IMMEDIATE, PostgreSQL by an advisory lock of the database,
let go at the commit. So ids grow in the order of commits, and what a writer read does not change before it writes. Readers see one
moment and wait for nobody: a transaction in the write-ahead log, or REPEATABLE READ. Writes are a few rows each; what is lost is
writing in parallel, which one file never had.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError

from evolve.clock import SYSTEM_CLOCK
from evolve.errors import Busy, EvolveError, InvalidRequest, MissingExtra, Unavailable

# One number for all Evolves in one database: "evolve" in ASCII.
WRITE_LOCK = int.from_bytes(b"evolve")
SILENT_MS = 15_000  # how long a server may leave what was sent to it unacknowledged: as long as we wait for one that starts again
_HOPELESS = re.compile(
    r"authentication failed|does not exist|no pg_hba\.conf entry|is not permitted|no password supplied"
)


class Dialect(Protocol):
    """One engine. where: the file or the server, for sentences, without a password."""

    where: str
    engine: Engine

    def connect(self) -> Connection: ...

    def for_writing(self, connection: Connection) -> Connection: ...

    def lock(self, connection: Connection) -> None: ...

    def for_reading(self, connection: Connection) -> Connection: ...

    def now(self, connection: Connection) -> float: ...

    def prepare(self) -> None:
        """What is done once, before the first table is made."""

    def explain(self, error: BaseException | None) -> EvolveError | None:
        """The error a user can act on, or None for a bug of ours (a wrong statement, a broken constraint)."""


class SQLite:
    def __init__(self, path: Path, *, busy_timeout_ms: int) -> None:
        self.where = str(path)
        self._patience_s = busy_timeout_ms / 1000
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(
                f"cannot create {path.parent}: {error.strerror}; set EVOLVE_HOME to a directory that you can write"
            ) from None
        self.engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": self._patience_s})
        event.listen(self.engine, "connect", _configure_sqlite)
        event.listen(self.engine, "begin", _begin_sqlite)

    def connect(self) -> Connection:
        return self.engine.connect()

    def for_writing(self, connection: Connection) -> Connection:
        return connection.execution_options(evolve_begin="IMMEDIATE")

    def lock(self, connection: Connection) -> None:
        """Held since BEGIN IMMEDIATE."""

    def for_reading(self, connection: Connection) -> Connection:
        return connection.execution_options(evolve_begin="DEFERRED")

    def now(self, connection: Connection) -> float:
        del connection  # a file belongs to one machine
        return SYSTEM_CLOCK.now()

    def prepare(self) -> None:
        """Kept in the file from here on. Of processes that start at once, SQLite refuses all but one here without waiting."""
        end = time.monotonic() + self._patience_s  # real time: it is another process that is waited for
        while True:
            try:
                with self.engine.connect() as connection:
                    connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                        "PRAGMA journal_mode = WAL"
                    )
                return
            except DBAPIError as error:
                if not isinstance(self.explain(error.orig), Busy) or time.monotonic() >= end:
                    raise
                time.sleep(0.02)

    def explain(self, error: BaseException | None) -> EvolveError | None:
        code = getattr(error, "sqlite_errorcode", None)
        primary = code & 0xFF if isinstance(code, int) else None
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Busy(f"{self.where} is held by another process; stop it (`evolve status` lists ours) or try again")
        if primary == sqlite3.SQLITE_FULL:
            return Unavailable(
                f"no space left for {self.where}; free some or set EVOLVE_HOME to another disk (nothing was changed)"
            )
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return Unavailable(
                f"{self.where} is damaged or not a database; restore a copy of it, or move it aside to begin a new one"
            )
        if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR):
            return Unavailable(
                f"cannot write {self.where} ({error}); set EVOLVE_HOME to a directory that you can write"
            )
        return None


def _configure_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # The driver would begin transactions by itself, deferred and late; `_begin_sqlite` does it instead.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("evolve_begin")
    if mode is not None:  # none: outside `read` and `write`, when a statement must run outside a transaction
        connection.exec_driver_sql(f"BEGIN {mode}")


class PostgreSQL:
    # By SQLSTATE (PostgreSQL's appendix A): what to say, and as what.
    _SAID: Mapping[str, tuple[type[EvolveError], str]] = {
        "55P03": (Busy, "is held by another process, whose transaction does not end; try again, or see whose in pg_stat_activity"),
        "40001": (Busy, "could not order two transactions; try again"),
        "40P01": (Busy, "could not order two transactions; try again"),
        "53100": (Unavailable, "has no space left on its disk; free some (nothing was changed)"),
        "53300": (Busy, "has no connection left; raise its max_connections, or run fewer replicas"),
        "42501": (Unavailable, "does not let this user write; grant it CREATE and USAGE on the schema"),
        "25006": (Unavailable, "is read-only (a standby?); name the primary in EVOLVE_DATABASE_URL"),
    }  # fmt: skip

    def __init__(self, url: URL, *, busy_timeout_ms: int) -> None:
        self.where = url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
        self._patience_s = busy_timeout_ms / 1000
        try:
            self.engine = create_engine(
                url,
                # A connection that a restart of the server cut is found out before it is used.
                pool_pre_ping=True,
                # A process writes from one thread at a time, now and then from more; a hundred of them share one server.
                pool_size=1,
                max_overflow=15,
                # A server that was cut off is silent, and refuses nothing: without these a writer would wait a quarter of an hour.
                connect_args={
                    # Also where the database has no encoding of its own (SQL_ASCII, as initdb makes it without a locale), and text came as bytes.
                    "client_encoding": "utf8",
                    "connect_timeout": 5,
                    "tcp_user_timeout": SILENT_MS,
                    "keepalives_idle": 5,
                    "keepalives_interval": 3,
                    "keepalives_count": 3,
                },
            )
        except ImportError as error:
            raise MissingExtra(
                f"EVOLVE_DATABASE_URL names PostgreSQL, and {error.name or 'its driver'} is not installed: pip install 'evolve-trading[postgres]'",
                extra="postgres",
            ) from None

        def configure(connection: Any, _: object) -> None:
            # Whoever vanished in the middle of a transaction must not keep the others longer than they are ready to wait: the server
            # gives up after 10 s.
            settings = {
                "lock_timeout": busy_timeout_ms, "tcp_keepalives_idle": 4, "tcp_keepalives_interval": 2,
                "tcp_keepalives_count": 3, "tcp_user_timeout": 10_000,  # the one for who is silent, the other for who acknowledges nothing
                "application_name": "'evolve'",
            }  # fmt: skip
            with connection.cursor() as cursor:
                cursor.execute("; ".join(f"SET {name} = {value}" for name, value in settings.items()))
            connection.commit()

        event.listen(self.engine, "connect", configure)

    def connect(self) -> Connection:
        """Waits for a server that is starting again, as long as for one that is busy."""
        end, pause = time.monotonic() + self._patience_s, 0.05
        while True:
            try:
                return self.engine.connect()
            except OperationalError as error:
                if _HOPELESS.search(str(error.orig)) or time.monotonic() + pause >= end:
                    raise
                time.sleep(pause)
                pause = min(1.0, 2 * pause)

    def for_writing(self, connection: Connection) -> Connection:
        return connection

    def lock(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": WRITE_LOCK})

    def for_reading(self, connection: Connection) -> Connection:
        return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def now(self, connection: Connection) -> float:
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def prepare(self) -> None:
        """Nothing: the server has its write-ahead log."""

    def explain(self, error: BaseException | None) -> EvolveError | None:
        state = getattr(error, "sqlstate", None)
        said = str(error).strip().partition("\n")[0]
        if isinstance(state, str) and state in self._SAID:
            kind, sentence = self._SAID[state]
            return kind(f"{self.where} {sentence}")
        if "NUL (0x00)" in said:
            return InvalidRequest("a text holds a NUL character, which PostgreSQL cannot keep; leave it out")
        if state is None or state[:2] in ("08", "57"):  # no answer, or the server is going down
            return Unavailable(
                f"{self.where} does not answer ({said}); start it, or correct EVOLVE_DATABASE_URL. What was being written is undone, "
                "or done if only its receipt was lost: the same request_id again does it once"
            )
        return None
