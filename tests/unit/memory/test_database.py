"""One file that many processes share: schema, migrations, crashes, and the sentences for what can go wrong.

Other processes are real ones, started from scratch: `writers.py` is what they run.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from evolve.clock import FrozenClock
from evolve.errors import Busy, InvalidRequest, Unavailable
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.memory.schema import REVISIONS, newest
from evolve.memory.tables import metadata
from evolve.settings import Settings
from unit.memory.examples import decision

WRITERS = Path(__file__).with_name("writers.py")


ADD_MOOD = "ddl.run(\"ALTER TABLE decisions ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'\")"


@pytest.fixture
def mood(tmp_path):
    """A next version that only these tests know."""
    return [REVISIONS, revision_in(tmp_path / "mood", ADD_MOOD)]


def revision_in(place: Path, *lines: str) -> Path:
    place.mkdir()
    head = f"from evolve.memory import ddl\nrevision, down_revision = '{NOW + 1:04d}', '{NOW:04d}'\ndef upgrade():\n"
    (place / f"r{NOW + 1:04d}_mood.py").write_text(head + "".join(f"    {line}\n" for line in lines))
    return place


def start(what: str, settings: Settings, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITERS), what, str(settings.home), *map(str, arguments)]
    path = os.pathsep.join(["tests", *sys.path])
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def rows(database: Database, statement: str) -> list[tuple[object, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def is_sound(database: Database) -> bool:
    """What SQLite says of its file; a server's pages are its own business, and what it holds is counted by the tests."""
    return database.path is None or rows(database, "PRAGMA integrity_check") == [("ok",)]


# Schema and migrations

# SQLite reports DOUBLE PRECISION by its affinity; the integers of both have 64 bits.
SAME = {"REAL": "FLOAT", "DOUBLE PRECISION": "FLOAT", "BIGINT": "INTEGER"}


def test_a_new_database_has_exactly_the_tables_that_queries_expect(database):
    with database.read() as connection:
        found = inspect(connection)
        # The full-text index is a virtual table, and SQLite keeps its parts in tables of their own.
        made = {name for name in found.get_table_names() if not name.startswith("library_words")}
        assert made - {"sqlite_sequence", "alembic_version"} == set(metadata.tables)
        for name, table in metadata.tables.items():
            # SQLite calls an integer primary key nullable though it never is.
            columns = {
                column["name"]: (SAME.get(str(column["type"]), str(column["type"])), column["nullable"])
                for column in found.get_columns(name)
            }
            expected = {
                column.name: (str(column.type).replace("BIGINT", "INTEGER"), bool(column.nullable))
                for column in table.columns
            }
            if "id" in expected:
                expected["id"] = ("INTEGER", database.path is not None)
            if name == "schema_version":
                expected["version"] = columns["version"]
            assert columns == expected, name
            unique = {tuple(constraint["column_names"]) for constraint in found.get_unique_constraints(name)}
            wanted = {
                tuple(c.name for c in k.columns) for k in table.constraints if type(k).__name__ == "UniqueConstraint"
            }
            assert unique == wanted, name


NOW = newest()  # the schema of this version; the tests' own next one is NOW + 1
ALL = [(number,) for number in range(1, NOW + 1)]


def test_the_schema_version_says_which_code_made_it_and_when(settings):
    with Database.open(settings, clock=FrozenClock(5.0)) as database:
        assert database.schema_version() == NOW
        assert [row[:2] for row in rows(database, "SELECT * FROM schema_version")] == [
            (number, 5.0) for (number,) in ALL
        ]


def test_opening_again_changes_nothing(settings):
    Database.open(settings).close()
    with Database.open(settings) as database:
        assert rows(database, "SELECT COUNT(*) FROM schema_version") == [(NOW,)]


def test_a_database_of_an_older_version_becomes_the_newest_and_keeps_its_rows(settings, mood):
    with Database.open(settings) as old:
        DecisionLog(old).record(decision())

    with Database.open(settings, revisions=mood) as new:
        assert new.schema_version() == NOW + 1
        assert rows(new, "SELECT request_id, mood FROM decisions") == [("r1", "calm")]


def test_a_new_database_runs_all_migrations_in_order(settings, mood):
    with Database.open(settings, revisions=mood) as database:
        assert rows(database, "SELECT version FROM schema_version ORDER BY version") == [*ALL, (NOW + 1,)]


def test_an_older_code_refuses_a_newer_database_with_a_sentence(settings, mood):
    Database.open(settings, revisions=mood).close()

    with pytest.raises(
        Unavailable,
        match=rf"written by a newer Evolve \(schema {NOW + 1}; this one knows {NOW}\); update this installation",
    ):
        Database.open(settings)


def test_a_migration_that_fails_leaves_the_old_version_whole(settings, tmp_path):
    with Database.open(settings) as old:
        DecisionLog(old).record(decision())

    failing = revision_in(tmp_path / "failing", ADD_MOOD, "raise RuntimeError('power cut')")
    with pytest.raises(RuntimeError, match="power cut"):
        Database.open(settings, revisions=[REVISIONS, failing])

    with Database.open(settings) as database:
        assert database.schema_version() == NOW
        assert DecisionLog(database).get("r1") == decision()


def test_processes_that_start_at_once_migrate_once(settings):
    started = [start("open", settings) for _ in range(4)]

    assert [finish(process).strip() for process in started] == [str(NOW)] * 4
    with Database.open(settings) as database:
        assert rows(database, "SELECT version FROM schema_version") == ALL


# Several processes, and their deaths


def test_several_writers_lose_nothing_and_write_each_row_once(settings):
    """Each of four processes records 40 requests of its own and the same 40 shared ones."""
    started = [start("record", settings, f"w{number}", 40) for number in range(4)]

    new_shared = sum(int(finish(process)) for process in started)

    assert new_shared == 40
    with Database.open(settings) as database:
        assert rows(database, "SELECT COUNT(*), COUNT(DISTINCT request_id) FROM decisions") == [(200, 200)]
        assert is_sound(database)


def test_a_writer_killed_in_mid_transaction_leaves_nothing_of_it_and_all_before(settings):
    process = start("record_then_hang_in_a_transaction", settings, 10)
    assert process.stdout is not None
    assert process.stdout.readline() == "in transaction\n"

    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)

    with Database.open(settings) as database:
        assert rows(database, "SELECT COUNT(*) FROM decisions") == [(10,)]
        assert is_sound(database)
        assert DecisionLog(database).record(decision(request_id="after"))


def test_a_forked_child_uses_connections_of_its_own(settings):
    """Two processes on one open file of SQLite drop each other's locks and may corrupt it."""
    assert finish(start("fork", settings)) == "child: another connection\nparent: the same connection\n"

    with Database.open(settings) as database:
        assert {made.request_id for made in DecisionLog(database).history()} == {"before", "child", "after"}


# What can go wrong, as sentences


def test_a_reader_is_not_held_up_by_a_writer(database):
    DecisionLog(database).record(decision())
    with database.write() as connection:
        connection.execute(text("DELETE FROM decisions"))

        assert rows(database, "SELECT COUNT(*) FROM decisions") == [(1,)]


def test_a_database_held_by_another_process_is_busy(settings):
    with (
        Database.open(settings, busy_timeout_ms=10) as database,
        Database.open(settings) as other,
        other.write(),
        pytest.raises(Busy, match="is held by another process"),
        database.write(),
    ):
        pass


def test_an_error_inside_a_transaction_undoes_all_of_it(database):
    def interrupted():
        with database.write() as connection:
            connection.execute(text("INSERT INTO schema_version VALUES (99, 0, '')"))
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        interrupted()

    assert database.schema_version() == NOW


@pytest.mark.usefixtures("sqlite_only")
def test_a_directory_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(Unavailable, match="set EVOLVE_HOME to a directory that you can write"):
        Database.open(Settings.load(home=tmp_path / "file" / "home"))


@pytest.mark.usefixtures("sqlite_only")
def test_a_path_that_cannot_be_opened_is_a_sentence(tmp_path):
    (tmp_path / "evolve.db").mkdir()

    with pytest.raises(Unavailable, match="set EVOLVE_HOME to a directory that you can write"):
        Database.open(Settings.load(home=tmp_path))


@pytest.mark.usefixtures("sqlite_only")
def test_a_home_that_cannot_be_made_is_a_sentence(tmp_path):
    """Below a file, where not even root can make a directory."""
    (tmp_path / "home").write_text("a file")

    with pytest.raises(Unavailable, match="set EVOLVE_HOME to a directory that you can write"):
        Database.open(Settings.load(home=tmp_path / "home" / "evolve"))


@pytest.mark.usefixtures("sqlite_only")
def test_a_full_disk_is_a_sentence_and_changes_nothing(database):
    log = DecisionLog(database)
    log.record(decision())
    # SQLite's own limit on pages gives the same error as a full disk, without filling one.
    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")

    def fill():
        for number in range(100):
            log.record(decision(request_id=f"big{number}", outcome={"text": "x" * 60_000}))

    with pytest.raises(
        Unavailable, match=r"no space left for .*evolve\.db; free some or set EVOLVE_HOME to another disk"
    ):
        fill()

    assert log.get("r1") == decision()
    assert is_sound(database)


@pytest.mark.usefixtures("sqlite_only")
def test_a_file_that_is_no_database_is_a_sentence_and_stays_as_it_is(settings):
    settings.home.mkdir()
    (settings.home / "evolve.db").write_bytes(b"not a database, " * 100)

    with pytest.raises(Unavailable, match="is damaged or not a database; restore a copy of it, or move it aside"):
        Database.open(settings)

    assert (settings.home / "evolve.db").read_bytes() == b"not a database, " * 100


@pytest.mark.usefixtures("sqlite_only")
def test_a_damaged_page_is_a_sentence(settings):
    with Database.open(settings) as database:
        for number in range(20):
            DecisionLog(database).record(decision(request_id=f"r{number}", inputs={"text": "x" * 2000}))
        with database.write() as connection:
            page_size = connection.execute(text("PRAGMA page_size")).scalar_one()
            root = connection.execute(text("SELECT rootpage FROM sqlite_master WHERE name = 'decisions'")).scalar_one()
    with open(settings.home / "evolve.db", "r+b") as file:
        file.seek((root - 1) * page_size)
        file.write(b"\xff" * page_size)

    with Database.open(settings) as database, pytest.raises(Unavailable, match="is damaged"):
        DecisionLog(database).history()


@pytest.mark.usefixtures("sqlite_only")
def test_a_database_of_another_program_is_not_touched(settings):
    settings.home.mkdir()
    with sqlite3.connect(settings.home / "evolve.db") as other:
        other.execute("CREATE TABLE recipes (cake TEXT)")
    other.close()

    with pytest.raises(Unavailable, match="is a database of another program"):
        Database.open(settings)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://h/evolve", "names mysql, which Evolve does not speak; write sqlite:.*or postgresql:"),
        ("sqlite:///evolve.db", "needs an absolute path"),
        ("sqlite://", "needs an absolute path"),
        ("nonsense", "is not a URL"),
    ],
)
def test_a_database_url_that_cannot_work_is_a_sentence(settings, url, sentence):
    with pytest.raises(InvalidRequest, match=sentence):
        Database.open(Settings.load(home=settings.home, database_url=url))


def test_the_database_is_where_its_url_says(settings, tmp_path):
    with Database.open(
        Settings.load(home=settings.home, database_url=f"sqlite:///{tmp_path}/elsewhere.db")
    ) as database:
        assert database.path == tmp_path / "elsewhere.db"
    assert (tmp_path / "elsewhere.db").is_file()


def test_importing_the_package_loads_neither_sqlalchemy_nor_numpy():
    code = "import evolve.memory, sys; print(sorted({'sqlalchemy', 'numpy', 'pydantic'} & set(sys.modules)))"

    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert out.stdout == "[]\n"
