"""A home goes into a file and comes back as it was, on either engine; a file that was touched does not."""

from __future__ import annotations

import uuid
import zipfile

import numpy as np
import pytest
from sqlalchemy import text

from evolve.errors import Forbidden, InvalidRequest
from evolve.findings import Paper
from evolve.market.bars import Bars
from evolve.market.sources.base import BarSpec
from evolve.market.store import BarStore
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.backup import MANIFEST, back_up, inspect_backup, restore
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.memory.library import Library
from evolve.memory.orphans import orphans, remove_orphans
from evolve.memory.registry import Registry
from evolve.memory.schema import newest
from evolve.memory.trials import Trial, TrialLedger
from unit.memory.examples import card, decision

PAPER = Paper("2001.00001", 1, "Momentum everywhere", "A study of trends.", "http://x", "trend", ("Ito",))
DAY_MS = 86_400_000


def bars(symbol: str = "TEST") -> Bars:
    close = 100 + np.arange(300.0)
    time = 1_577_836_800_000 + DAY_MS * np.arange(300)
    return Bars(symbol=symbol, timeframe="1d", time=time, open=close, high=close + 1, low=close - 1, close=close, volume=close, source="mine", bars_per_year=252.0, currency="USD")  # fmt: skip


def fill(settings) -> None:
    with Database.open(settings) as database:
        DecisionLog(database).record(decision(seed=2**40))
        TrialLedger(database).record([Trial("AAPL", "r", "d", 0.1 + 0.2), Trial("AAPL", "s", "d")], request_id="r1")
        Library(database).save([PAPER])
        Registry(database, ArtifactStore.open(settings)).save(
            card(), weights=b"weights", out_of_sample={"mean": np.arange(3.0)}, request_id="b1"
        )
        # The last id was given to a trial that is gone: it must not be given again.
        with database.write() as connection:
            connection.execute(text("DELETE FROM trials WHERE recipe_hash = 's'"))
    BarStore(settings.home).save(bars())


@pytest.fixture
def file(settings, tmp_path):
    fill(settings)
    back_up(settings, tmp_path / "evolve.backup")
    return tmp_path / "evolve.backup"


def test_a_restored_home_is_the_one_that_was_backed_up(settings, other_settings, file):
    made = restore(other_settings, file)

    assert (made.schema, made.rows["trials"], made.rows["models"]) == (newest(), 1, 1)
    with Database.open(settings) as before, Database.open(other_settings) as after:
        assert DecisionLog(after).get("r1") == DecisionLog(before).get("r1") == decision(seed=2**40)
        assert TrialLedger(after).tried("AAPL") == (Trial("AAPL", "r", "d", 0.1 + 0.2),)
        TrialLedger(after).record([Trial("AAPL", "t", "d")], request_id="r2")
        assert TrialLedger(after).position() == 3
        assert Library(after).search(Paper, "momentum trends", 5) == (PAPER,)
        model = Registry(after, ArtifactStore.open(other_settings))
        assert model.weights(card().model_id) == b"weights"
        assert model.out_of_sample(card().model_id)["mean"].tolist() == [0.0, 1.0, 2.0]
    assert BarStore(other_settings.home).load(BarSpec("TEST", "1d")).fingerprint == bars().fingerprint


def test_bars_in_an_object_store_are_in_a_backup_and_go_back_into_a_directory(settings, other_settings, tmp_path):
    shared = settings.with_arguments(bars_url=f"memory://{uuid.uuid4()}/evolve")
    Database.open(settings).close()
    BarStore.open(shared).save(bars())
    back_up(shared, tmp_path / "b")
    restore(other_settings, tmp_path / "b")

    assert BarStore.open(other_settings).load(BarSpec("TEST", "1d")).fingerprint == bars().fingerprint
    BarStore.open(shared).save(bars("MINE"))
    with pytest.raises(Forbidden, match="holds something already"):
        restore(shared, tmp_path / "b")
    restore(shared, tmp_path / "b", replace=True)
    assert BarStore.open(shared).symbols() == [BarSpec("TEST", "1d")]
    assert BarStore.open(shared).load(BarSpec("TEST", "1d")).fingerprint == bars().fingerprint
    assert BarStore.open(shared).orphans() == []


def test_rows_that_refer_to_others_go_back_after_them(settings, other_settings, tmp_path):
    """A decision's symbols stand in a table that refers to decisions, and comes before it in the alphabet."""
    with Database.open(settings) as database:
        DecisionLog(database).record(decision(symbols=("AAPL", "IBM")))
    back_up(settings, tmp_path / "b")

    made = restore(other_settings, tmp_path / "b")

    assert made.rows["decision_symbols"] == 2
    with Database.open(other_settings) as database:
        assert DecisionLog(database).get("r1").symbols == ("AAPL", "IBM")


def test_a_home_that_holds_something_is_replaced_only_when_told_so(settings, other_settings, file):
    with Database.open(other_settings) as there:
        DecisionLog(there).record(decision(request_id="mine"))
    BarStore(other_settings.home).save(bars("MINE"))

    with pytest.raises(Forbidden, match=r"holds something already .*--replace"):
        restore(other_settings, file)
    restore(other_settings, file, replace=True)

    with Database.open(other_settings) as there:
        assert [each.request_id for each in DecisionLog(there).history()] == ["r1"]
    assert BarStore(other_settings.home).symbols() == [BarSpec("TEST", "1d")]


def test_a_backup_taken_while_others_write_is_one_moment(settings, tmp_path, monkeypatch):
    """A decision that is made after the first table was read is in no table of the backup."""
    from evolve.memory import backup

    fill(settings)
    real = backup._put_rows

    def put_and_write(archive, entries, connection, table):
        count = real(archive, entries, connection, table)
        if table.name == "aliases":  # the first in order
            with Database.open(settings) as other:
                DecisionLog(other).record(decision(request_id="meanwhile"))
        return count

    monkeypatch.setattr(backup, "_put_rows", put_and_write)
    made = back_up(settings, tmp_path / "b")

    assert made.rows["decisions"] == 1
    with Database.open(settings) as database:
        assert len(DecisionLog(database).history()) == 2


@pytest.mark.parametrize("name", ["rows/decisions.jsonl", "artifacts/", "bars/", MANIFEST])
def test_a_backup_that_was_changed_is_refused_and_changes_nothing(other_settings, file, name):
    with zipfile.ZipFile(file) as archive:
        content = {each: archive.read(each) for each in archive.namelist()}
    target = next(each for each in content if each.startswith(name))
    content[target] = content[target].replace(b"1", b"2").replace(b"w", b"v")
    with zipfile.ZipFile(file, "w") as archive:
        for each, what in content.items():
            archive.writestr(each, what)

    with pytest.raises(InvalidRequest, match="changed since"):
        restore(other_settings, file)

    with Database.unmigrated(other_settings) as database:
        assert database.schema_version() == 0


def test_a_backup_with_something_added_or_cut_short_is_refused(file):
    whole = file.read_bytes()
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("artifacts/../../etc", b"x")
    with pytest.raises(InvalidRequest, match="other files are in it"):
        inspect_backup(file)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidRequest, match="is no backup of Evolve, or was damaged"):
        inspect_backup(file)


def test_a_backup_of_a_newer_evolve_is_refused(settings, other_settings, tmp_path, monkeypatch, file):
    monkeypatch.setattr("evolve.memory.schema.newest", lambda *_: newest() - 1)

    with pytest.raises(InvalidRequest, match="made by a newer Evolve"):
        restore(other_settings, file)


def test_an_artifact_that_was_damaged_before_is_named_and_left_out(settings, tmp_path):
    fill(settings)
    damaged = next(iter((settings.home / "artifacts").glob("*/*")))
    damaged.write_bytes(b"other")

    assert back_up(settings, tmp_path / "b").left_out == (damaged.name,)


def test_a_backup_that_cannot_be_written_leaves_nothing(settings, tmp_path):
    from evolve.errors import Unavailable

    with pytest.raises(Unavailable, match="cannot write"):
        back_up(settings, tmp_path / "nowhere" / "b")
    assert [each.name for each in tmp_path.iterdir() if each.name != "home"] == []


def test_files_of_a_deleted_model_and_of_a_save_that_was_cut_off_are_named_and_go_and_nothing_else_does(settings):
    fill(settings)
    assert len(orphans(settings)) == 0
    with Database.open(settings) as database:
        Registry(database, ArtifactStore.open(settings)).delete(card().model_id, request_id="d1")
    cut_off = settings.home / "bars" / "TEST" / "1d" / "1999-0123456789abcdef.parquet"
    cut_off.write_bytes(b"half")

    found = remove_orphans(settings)

    assert (len(found.artifacts), found.bars) == (2, (str(cut_off),))
    assert len(orphans(settings)) == 0
    assert not cut_off.exists()
    assert BarStore.open(settings).load(BarSpec("TEST", "1d")).fingerprint == bars().fingerprint
