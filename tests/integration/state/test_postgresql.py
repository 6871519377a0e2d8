"""The same memory on a PostgreSQL: every test of it, and what a restart of the server does to those who write."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from evolve.errors import EvolveError, Unavailable
from evolve.memory.aliases import Aliases
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.memory.trials import Trial, TrialLedger
from evolve.settings import Settings
from integration.state.conftest import Count
from postgres_server import PACKAGE, PostgresServer, postgres_server
from unit.memory.examples import decision

RESTARTED = {
    "fast": "restarted",
    "immediate": "cut off as by a power cut and restarted",
    "killed": "killed (SIGKILL) and started again",
}
MEMORY = Path(__file__).parents[2] / "unit" / "memory"
pytestmark = pytest.mark.prove


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        if running is None:
            pytest.skip(f"needs the package {PACKAGE}")
        yield running


@pytest.fixture
def settings(server: PostgresServer, tmp_path: Path) -> Settings:
    os.environ.pop("EVOLVE_DATABASE_URL", None)
    return Settings.load(home=tmp_path, database_url=server.url)


def test_every_test_of_the_memory_holds_on_postgresql(server: PostgresServer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not prove", str(MEMORY)],
        env={**os.environ, "TEST_POSTGRES_URL": server.url}, capture_output=True, text=True, timeout=900, cwd=MEMORY.parents[2],
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("how", ["fast", "immediate", "killed"])
def test_a_server_restarted_in_mid_transaction_loses_nothing_and_doubles_nothing(
    server: PostgresServer, settings: Settings, how: str, counted: Count
) -> None:
    """Three writers of 60 requests each; whoever is told `unavailable` asks again with the same request_id."""
    Database.open(settings).close()
    acknowledged: list[str] = []
    refused: list[str] = []
    going = threading.Barrier(4)

    def writer(name: str) -> None:
        with Database.open(settings) as database:
            log, ledger = DecisionLog(database), TrialLedger(database)
            going.wait(30)
            for number in range(60):
                request = f"{how}-{name}-{number}"
                while True:
                    try:
                        log.record(decision(request_id=request))
                        ledger.record([Trial(request, "r", "d", 0.1)], request_id=request)
                        break
                    except Unavailable as error:
                        refused.append(error.message)
                acknowledged.append(request)

    writers = [threading.Thread(target=writer, args=(name,)) for name in "abc"]
    for each in writers:
        each.start()
    going.wait(30)
    for _ in range(3):
        seen = len(acknowledged) + 10
        while len(acknowledged) < min(seen, 170):
            writers[0].join(0.01)
        if how == "killed":
            server.kill()
        else:
            server.stop(how)  # immediate: as a power cut, with recovery at the next start
        server.start()
    for each in writers:
        each.join(120)

    with Database.open(settings) as database, database.read() as connection:
        kept = connection.execute(
            text("SELECT request_id FROM decisions WHERE request_id LIKE :mine"), {"mine": f"{how}-%"}
        )
        trials = connection.execute(
            text("SELECT count(*), count(DISTINCT symbol) FROM trials WHERE symbol LIKE :mine"), {"mine": f"{how}-%"}
        )
        found = sorted(kept.scalars())
        rows, distinct = trials.one()
    lost, doubled = len(set(acknowledged) - set(found)), len(found) - len(set(found)) + rows - distinct
    counted(
        f"PostgreSQL {RESTARTED[how]} in mid-transaction, three writers",
        f"{len(acknowledged)} writes, {len(refused)} told `unavailable` and asked again",
        3,
        lost,
        doubled,
        0,
    )
    assert found == sorted(acknowledged)
    assert (rows, distinct) == (180, 180)
    assert all("the same request_id again does it once" in each for each in refused)


def test_a_transaction_that_was_open_when_the_server_went_leaves_nothing_of_it(
    server: PostgresServer, settings: Settings
) -> None:
    with Database.open(settings) as database:
        DecisionLog(database).record(decision(request_id="before"))

        def cut() -> None:
            with database.write() as connection:
                connection.execute(text("DELETE FROM decisions WHERE request_id = 'before'"))
                server.stop("immediate")
                server.start()
                connection.execute(text("DELETE FROM decisions"))

        with pytest.raises(Unavailable, match="does not answer"):
            cut()

        assert DecisionLog(database).get("before").request_id == "before"


def test_of_two_who_promote_at_once_one_is_told_that_the_other_was_first(
    server: PostgresServer, settings: Settings
) -> None:
    """Compare-and-set over two connections: the second waits for the first, and then sees what it did."""
    with Database.open(settings) as database:
        told: list[str] = []

        def promote(name: str) -> None:
            try:
                Aliases(database).move(
                    "champion", symbol="CAS", timeframe="1d", model_id=None, expected=None, reason=name, request_id=name
                )
                told.append("moved")
            except EvolveError as error:
                told.append(error.code)

        with database.write() as held:
            second = threading.Thread(target=promote, args=("second",))
            second.start()
            held.execute(
                text(
                    "INSERT INTO aliases (symbol, timeframe, alias, model_id, reason, request_id, moved_at)"
                    " VALUES ('CAS', '1d', 'champion', 'm', 'first', 'first', 0)"
                )
            )
        second.join(30)

        assert told == ["invalid_request"]


def test_ids_grow_in_the_order_of_commits(settings: Settings) -> None:
    """What `as_of` of the trial ledger and `read_to` of the alerts rest on: nobody who reads a position misses a row below it."""
    with Database.open(settings) as database:
        ledger = TrialLedger(database)
        missed: list[int] = []
        done = threading.Event()

        def watch() -> None:
            seen: dict[int, int] = {}
            while not done.is_set():
                position = ledger.position()
                seen[position] = ledger.count("ORDER", as_of=position)
            missed.extend(p for p, count in seen.items() if ledger.count("ORDER", as_of=p) != count)

        def write(name: int) -> None:
            for number in range(40):
                ledger.record([Trial("ORDER", f"{name}-{number}", "d")], request_id="o")

        watching = threading.Thread(target=watch)
        watching.start()
        writing = [threading.Thread(target=write, args=(name,)) for name in range(3)]
        for each in writing:
            each.start()
        for each in writing:
            each.join(60)
        done.set()
        watching.join(30)

        assert missed == []
        assert ledger.count("ORDER") == 120


def test_a_wrong_password_or_database_is_said_at_once(server: PostgresServer, tmp_path: Path) -> None:
    url = server.url.replace("/postgres", "/nowhere")

    with pytest.raises(Unavailable, match='database "nowhere" does not exist'):
        Database.open(Settings.load(home=tmp_path, database_url=url.replace("evolve@", "evolve:hunter2@")))
