"""Homes of every age become homes of today without loss; Alembic's own account and ours agree."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from evolve.clock import FrozenClock
from evolve.memory.answers import Answers
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.memory.evaluations import Evaluations
from evolve.memory.registry import Registry
from evolve.memory.schema import REVISIONS, newest, upgrade
from evolve.memory.trials import Trial, TrialLedger
from unit.memory.examples import card, decision, evaluation

# Made by the code of the first schema: one decision, model, evaluation and answer, two trials.
FIRST = Path(__file__).with_name("homes") / "schema_1.sql"

pytestmark = pytest.mark.usefixtures("sqlite_only")


def shape(settings):
    with sqlite3.connect(settings.home / "evolve.db") as file:
        made = file.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
        return made.fetchall()


def test_a_home_of_the_first_schema_becomes_one_of_today_and_loses_nothing(settings, other_settings):
    settings.home.mkdir()
    with sqlite3.connect(settings.home / "evolve.db") as file:
        file.executescript(FIRST.read_text())
    file.close()

    with Database.open(settings) as database:
        assert database.schema_version() == newest()
        assert DecisionLog(database).get("r1") == decision()
        assert TrialLedger(database).tried("AAPL") == (
            Trial("AAPL", "r" * 64, "d" * 64, 0.05),
            Trial("AAPL", "s" * 64, "d" * 64),
        )
        assert Answers(database).get("abc123abc123").document == {"a": 1}
        model = Registry(database, ArtifactStore.open(settings)).get(card().model_id)
        assert model.recipe == card().recipe
        assert Evaluations(database).history(model.model_id) == (evaluation(model.model_id, "e1"),)
        # The ledger goes on where it stood: positions mean what they meant.
        TrialLedger(database).record([Trial("AAPL", "t" * 64, "d" * 64)], request_id="r2")
        assert TrialLedger(database).count("AAPL", as_of=2) == 2
    Database.open(other_settings).close()
    assert shape(settings) == shape(other_settings)


def test_a_home_from_before_alembic_is_taken_over_as_it_stands(settings):
    last = 6  # of the steps that our own small migrations made
    with Database.unmigrated(settings) as before:
        before.prepare()
        with before.write() as connection:
            upgrade(connection, before.where, places=[REVISIONS], clock=FrozenClock(5.0), to=last)
            connection.execute(text("DROP TABLE alembic_version"))
        DecisionLog(before).record(decision())

    with Database.unmigrated(settings) as database:
        assert database.migrate() == tuple(range(last + 1, newest() + 1))
        assert DecisionLog(database).get("r1") == decision()
        with database.read() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [
                f"{newest():04d}"
            ]


def test_revisions_are_one_chain_in_the_order_of_their_numbers():
    files = sorted(REVISIONS.glob("r*.py"))
    chain = [
        (line.split('"')[1] if '"' in line else None)
        for path in files
        for line in path.read_text().splitlines()
        if line.startswith(("revision =", "down_revision ="))
    ]
    assert chain[::2] == [path.name[1:5] for path in files]
    assert chain[1::2] == [None, *chain[::2][:-1]]
