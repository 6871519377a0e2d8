"""How does everything that Evolve remembers come into one file, and back? Rows, artifacts and bars, checked on both ways.

Rows are read in one transaction, so that a backup taken while services run is one moment of the database; artifacts are never
changed once written, and are written before the rows that name them. Rows travel as JSON lines: a backup of SQLite restores into
PostgreSQL, and the other way round. The hashes prove that a file is whole and unchanged since, not who made it.

Not in it: requests that still wait in Redis (its append-only file keeps those), secrets and settings, logs, cached answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Table, inspect, select, text

from evolve.clock import SYSTEM_CLOCK, Clock, iso
from evolve.errors import Forbidden, InvalidRequest, Unavailable
from evolve.market.store import BarStore
from evolve.memory import library, schema
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.canonical import canonical_json
from evolve.memory.database import Database
from evolve.memory.tables import metadata, schema_version
from evolve.settings import Settings
from evolve.version import code_version

FORMAT = 1
MANIFEST = "manifest.json"
ROWS_AT_ONCE = 500  # of an INSERT; more does not make it faster
CHUNK = 1 << 20
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file within a backup."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BackupCard:
    """What a backup holds. rows: by table; ids: the last one given, by table; left_out: artifacts that were damaged already."""

    format: int
    schema: int
    engine: str
    code_version: str
    made_at: str
    rows: dict[str, int]
    columns: dict[str, list[str]]
    ids: dict[str, int]
    entries: tuple[Entry, ...]
    left_out: tuple[str, ...]

    def of(self, kind: str) -> list[str]:
        """The names of the entries of a kind: rows, artifacts, bars."""
        return [entry.name for entry in self.entries if entry.name.startswith(f"{kind}/")]

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.entries)


def unheard(_: int, __: int, ___: str) -> None:
    """Nobody listens."""


# --- there ---


def back_up(settings: Settings, file: Path, *, progress: Progress = unheard, clock: Clock = SYSTEM_CLOCK) -> BackupCard:
    """Write a backup of this home; services may go on. The file is there whole or not at all. Raises Unavailable."""
    with (
        Database.open(settings) as database,
        _whole(file) as out,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        entries: list[Entry] = []
        with database.read() as connection:
            tables = [table for table in metadata.sorted_tables if table is not schema_version]
            rows = {table.name: _put_rows(archive, entries, connection, table) for table in tables}
            ids = _last_ids(connection, tables)
            version, engine = schema.found(connection, database.where), connection.dialect.name
        left_out = _put_artifacts(archive, entries, ArtifactStore.open(settings), progress)
        for name, content in BarStore.open(settings).files():
            _put(archive, entries, f"bars/{name}", [content])
        card = BackupCard(
            FORMAT, version, engine, code_version(), iso(clock.now()), rows,
            {table.name: [column.name for column in table.columns] for table in tables}, ids, tuple(entries), tuple(left_out),
        )  # fmt: skip
        described = canonical_json(asdict(card)).encode()
        archive.writestr(MANIFEST, hashlib.sha256(described).hexdigest().encode() + b"\n" + described)
    return card


def _put(archive: zipfile.ZipFile, entries: list[Entry], name: str, parts: Iterable[bytes]) -> int:
    """Add a file; how many parts it had."""
    digest, size, count = hashlib.sha256(), 0, 0
    with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as out:
        for part in parts:
            out.write(part)
            digest.update(part)
            size, count = size + len(part), count + 1
    entries.append(Entry(name, size, digest.hexdigest()))
    return count


def _put_rows(archive: zipfile.ZipFile, entries: list[Entry], connection: Connection, table: Table) -> int:
    found = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(select(table).order_by(*table.primary_key))
    return _put(
        archive, entries, f"rows/{table.name}.jsonl", (canonical_json(list(row)).encode() + b"\n" for row in found)
    )


def _put_artifacts(
    archive: zipfile.ZipFile, entries: list[Entry], store: ArtifactStore, progress: Progress
) -> list[str]:
    left_out = []
    names = sorted(store.names())
    for number, sha256 in enumerate(names, start=1):
        try:
            _put(archive, entries, f"artifacts/{sha256}", [store.get_bytes(sha256)])
        except Unavailable:
            left_out.append(sha256)  # it was damaged before; said in the card, and no reason to keep no backup at all
        progress(number, len(names), "artifacts")
    return left_out


def _last_ids(connection: Connection, tables: Iterable[Table]) -> dict[str, int]:
    """An id is never given twice, also not that of a row that was deleted before the backup."""
    last = {}
    for table in tables:
        if "id" in table.columns:
            if connection.dialect.name == "postgresql":
                query = text(f"SELECT pg_sequence_last_value(pg_get_serial_sequence('{table.name}', 'id')::regclass)")
                last[table.name] = int(connection.execute(query).scalar() or 0)
            else:
                query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
                last[table.name] = int(connection.execute(query, {"name": table.name}).scalar() or 0)
    return last


@contextmanager
def _whole(file: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when it is complete and on disk."""
    try:
        handle, unfinished = tempfile.mkstemp(dir=file.absolute().parent, prefix=".", suffix=".part")
    except OSError as error:
        raise Unavailable(
            f"cannot write {file}: {error.strerror}; name a file in a directory that you can write"
        ) from None
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        os.replace(unfinished, file)
    except OSError as error:
        raise Unavailable(
            f"cannot write {file}: {error.strerror or error}; free space, or name another place"
        ) from None
    finally:
        with suppress(OSError):
            os.unlink(unfinished)


# --- and back ---


def inspect_backup(file: Path) -> BackupCard:
    """What a backup holds, after every byte of it was checked. Raises InvalidRequest for one that was changed, cut or is none."""
    try:
        with zipfile.ZipFile(file) as archive:
            card = _described(archive)
            if sorted(archive.namelist()) != sorted([MANIFEST, *(entry.name for entry in card.entries)]):
                raise InvalidRequest(f"{file} was changed since it was made: other files are in it than it lists")
            for entry in card.entries:
                if _hashed(archive, entry) != entry.sha256:
                    raise InvalidRequest(
                        f"{file} was changed since it was made: {entry.name} does not have the hash it lists"
                    )
            return card
    except FileNotFoundError:
        raise InvalidRequest(f"there is no file {file}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError, ValueError, TypeError):
        raise InvalidRequest(
            f"{file} is no backup of Evolve, or was damaged or changed since: make one with `evolve backup`"
        ) from None
    except OSError as error:
        raise Unavailable(f"cannot read {file}: {error.strerror}") from None


def restore(
    settings: Settings, file: Path, *, replace: bool = False, progress: Progress = unheard, clock: Clock = SYSTEM_CLOCK
) -> BackupCard:
    """Make this home what it was when the backup was made. No service may run meanwhile.

    Artifacts and bars are put back first, then all rows in one transaction: what fails before it leaves the database as it was.
    Raises InvalidRequest for a file that was changed or that a newer Evolve made, Forbidden for a home that holds something already.
    """
    card = inspect_backup(file)
    if card.format > FORMAT or card.schema > schema.newest():
        raise InvalidRequest(
            f"{file} was made by a newer Evolve (schema {card.schema}; this one knows {schema.newest()}); update this installation first"
        )
    bars = BarStore.open(settings)
    with Database.unmigrated(settings) as database, zipfile.ZipFile(file) as archive:
        if not replace:
            _refuse_what_is_there(database, bars)
        artifacts = ArtifactStore.open(settings)
        for number, name in enumerate(card.of("artifacts"), start=1):
            artifacts.put_bytes(archive.read(name))
            progress(number, len(card.of("artifacts")), "artifacts")
        kept = {name.removeprefix("bars/"): archive.read(name) for name in card.of("bars")}
        bars.put_files(kept)
        database.prepare()
        with database.write() as connection:
            _drop_all(connection)
            schema.upgrade(connection, database.where, places=[schema.REVISIONS], clock=clock, to=card.schema)
            for name in _referred_first(connection, card.columns):
                _insert(connection, name, card.columns[name], archive.open(f"rows/{name}.jsonl"))
                progress(card.rows[name], card.rows[name], name)
            schema.upgrade(connection, database.where, places=[schema.REVISIONS], clock=clock)
            _continue_ids(connection, card.ids)
            library.index_anew(connection)
        bars.keep_only(kept)
    return card


def _described(archive: zipfile.ZipFile) -> BackupCard:
    head, _, described = archive.read(MANIFEST).partition(b"\n")
    if hashlib.sha256(described).hexdigest().encode() != head:
        raise ValueError("the manifest was changed")
    about: dict[str, Any] = json.loads(described)
    about["entries"] = tuple(Entry(**entry) for entry in about["entries"])
    about["left_out"] = tuple(about["left_out"])
    return BackupCard(**about)


def _hashed(archive: zipfile.ZipFile, entry: Entry) -> str:
    """The sha256 of what is stored under a name; reads no more than the manifest allows."""
    digest, left = hashlib.sha256(), entry.bytes
    with archive.open(entry.name) as stored:
        while left >= 0 and (part := stored.read(CHUNK)):
            digest.update(part)
            left -= len(part)
    return digest.hexdigest()


def _refuse_what_is_there(database: Database, bars: BarStore) -> None:
    with database.read() as connection:
        there = set(inspect(connection).get_table_names())
        held = [
            table.name
            for table in metadata.sorted_tables
            if table.name in there
            and table is not schema_version
            and connection.execute(select(table).limit(1)).first()
        ]
    if held or bars.symbols():
        what = ", ".join(held[:3]) or "bars"
        raise Forbidden(
            f"{database.where} holds something already ({what} …): a backup restores into an empty home, or in place of it with --replace"
        )


def _drop_all(connection: Connection) -> None:
    names = inspect(connection).get_table_names()
    known = [table.name for table in reversed(metadata.sorted_tables)]
    # FTS5 keeps its parts in tables of their own, which go with the index.
    first = [name for name in ("library_words",) if name in names]
    rest = [name for name in [*known, schema.ALEMBIC_TABLE] if name in names]
    for name in [*first, *rest]:
        # SQLite deletes the rows that refer to a table with it; PostgreSQL must be told to forget the reference.
        connection.execute(text(f"DROP TABLE {name}{' CASCADE' if connection.dialect.name == 'postgresql' else ''}"))


def _referred_first(connection: Connection, names: Iterable[str]) -> list[str]:
    """Tables in the order in which rows may be put into them: those that others refer to before these."""
    referred: dict[str, set[str]] = {}
    for name in names:
        keys = inspect(connection).get_foreign_keys(name)
        referred[name] = {key["referred_table"] for key in keys} - {name}
    return list(TopologicalSorter(referred).static_order())


def _insert(connection: Connection, table: str, columns: list[str], lines: IO[bytes]) -> None:
    values = ", ".join(f":{name}" for name in columns)
    statement = text(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})")
    waiting: list[Mapping[str, object]] = []
    with lines:
        for line in lines:
            waiting.append(dict(zip(columns, json.loads(line), strict=True)))
            if len(waiting) == ROWS_AT_ONCE:
                connection.execute(statement, waiting)
                waiting = []
    if waiting:
        connection.execute(statement, waiting)


def _continue_ids(connection: Connection, last: Mapping[str, int]) -> None:
    for table, number in last.items():
        if not number:
            continue
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), :last)"), {"last": number})
            continue
        values = {"name": table, "last": number}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), values)
