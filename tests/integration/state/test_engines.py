"""A home moves from SQLite to PostgreSQL and back: same rows, same ids, and an answer given before is given again to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from evolve.memory.backup import back_up, restore
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.memory.tables import metadata, schema_version
from evolve.memory.trials import Trial, TrialLedger
from evolve.settings import Settings
from homes import environment_of, fresh_home
from postgres_server import PACKAGE, PostgresServer, postgres_server
from unit.memory.examples import decision

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]
QUESTION = "Give me the best ridge model for AAPL over 90 days"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    pytest.importorskip("psycopg", reason="needs the package psycopg; `make prove` installs it")
    with postgres_server() as running:
        if running is None:
            pytest.skip(f"needs the package {PACKAGE}")
        yield running


def evolve(home: Path, *arguments: str, database: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "evolve", *arguments], env=environment_of(home, EVOLVE_DATABASE_URL=database), capture_output=True,
        text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def rows(settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    with Database.open(settings) as database, database.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
            if table is not schema_version
        }


def test_a_home_moves_to_postgresql_and_back_and_answers_are_reproduced_to_the_bit(
    server: PostgresServer, tmp_path: Path
) -> None:
    os.environ.pop("EVOLVE_DATABASE_URL", None)
    file, back = tmp_path / "there.backup", tmp_path / "back.backup"
    with fresh_home() as first, fresh_home() as second, fresh_home() as third:
        answer = json.loads(evolve(first, "ask", QUESTION, "--json"))["answer"]["answer_id"]
        evolve(first, "down")
        evolve(first, "backup", str(file))
        began = rows(Settings.load(home=first))

        evolve(second, "restore", str(file), database=server.url)
        there = rows(Settings.load(home=second, database_url=server.url))
        assert there == began
        assert all(began[table] for table in ("decisions", "decision_symbols", "models", "trials"))
        said = evolve(second, "reproduce", answer, "--json", database=server.url)
        evolve(second, "down", database=server.url)
        assert json.loads(said)["results"]["reproduction"]["identical"] is True, said[-2000:]

        evolve(second, "backup", str(back), database=server.url)
        evolve(third, "restore", str(back))
        after = rows(Settings.load(home=second, database_url=server.url))
        assert rows(Settings.load(home=third)) == after
        said = evolve(third, "reproduce", answer, "--json")
        evolve(third, "down")
        assert json.loads(said)["results"]["reproduction"]["identical"] is True, said[-2000:]


def test_ids_go_on_after_the_last_one_that_was_ever_given_on_the_other_engine(
    server: PostgresServer, tmp_path: Path
) -> None:
    """The last trial was deleted before the backup: its id is not given again, neither there nor back."""
    sqlite = Settings.load(home=tmp_path / "a")
    postgres = Settings.load(home=tmp_path / "b", database_url=f"{server.url}?options=-csearch_path%3Dids")
    other = Settings.load(home=tmp_path / "c")
    with (
        Database.unmigrated(Settings.load(home=tmp_path, database_url=server.url)) as database,
        database.write() as connection,
    ):
        connection.execute(text("CREATE SCHEMA ids"))
    with Database.open(sqlite) as database:
        DecisionLog(database).record(decision())
        TrialLedger(database).record([Trial("A", "1", "d", 0.1 + 0.2), Trial("A", "2", "d")], request_id="r")
        with database.write() as connection:
            connection.execute(text("DELETE FROM trials WHERE recipe_hash = '2'"))
    for number, (here, there) in enumerate([(sqlite, postgres), (postgres, other)]):
        back_up(here, tmp_path / f"{number}")
        restore(there, tmp_path / f"{number}")
        assert rows(there) == rows(here)
        with Database.open(there) as database:
            TrialLedger(database).record([Trial("A", f"3{number}", "d")], request_id=f"s{number}")
            assert TrialLedger(database).position() == 3 + number
