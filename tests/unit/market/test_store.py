import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.parquet as pq
import pytest

from evolve.errors import DataUnavailable, Unavailable
from evolve.market.bars import Bars
from evolve.market.sources.base import BarSpec
from evolve.market.store import BarStore, Replaced

SPEC = BarSpec("ACME", "1d")


def bars(symbol="ACME", timeframe="1d", last=12.0, **changed):
    step = {"1d": 86_400_000, "1h": 3_600_000}[timeframe]
    close = np.array([10.0, 11.0, last])
    return dataclasses.replace(
        Bars(
            symbol=symbol,
            timeframe=timeframe,
            time=np.arange(3) * step,
            open=close,
            high=close,
            low=close,
            close=close,
            volume=[1, np.nan, 3],
            source="imported from prices.csv",
            bars_per_year=252 if timeframe == "1d" else 1764,
            currency="EUR",
            notes=("first", "second — with a dash"),
        ),
        **changed,
    )


@pytest.fixture
def store(tmp_path):
    return BarStore(tmp_path)


def test_what_was_saved_is_loaded_with_everything_that_was_known(store):
    saved = bars()
    store.save(saved)

    loaded = store.load(SPEC)

    for field in dataclasses.fields(Bars):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(saved, field.name), err_msg=field.name)
    assert loaded.fingerprint == saved.fingerprint


def test_an_empty_store_has_no_symbols_and_makes_no_directory(store):
    assert store.symbols() == []
    assert not store.directory.exists()


def test_symbols_are_those_that_were_saved(store):
    for made in (bars("MSFT"), bars("BRK.B"), bars("ACME", "1h"), bars("ACME")):
        store.save(made)
    (store.directory / ".importing-abc").touch()
    (store.directory / "ACME_2d.parquet").touch()

    assert store.symbols() == [
        BarSpec("ACME", "1d"),
        BarSpec("ACME", "1h"),
        BarSpec("BRK.B", "1d"),
        BarSpec("MSFT", "1d"),
    ]


def test_saving_again_replaces_and_tells_what_stood_there(store):
    assert store.save(bars()) is None
    assert store.save(bars(last=13.0)) == Replaced(3, "1970-01-01", "1970-01-03")
    assert store.load(SPEC).close[-1] == 13


def test_another_timeframe_is_kept_beside(store):
    store.save(bars())
    assert store.save(bars(timeframe="1h")) is None
    assert len(store.symbols()) == 2


def test_bars_never_imported_are_unavailable(store):
    with pytest.raises(DataUnavailable, match="no 1d bars of ACME have been imported"):
        store.load(SPEC)


def damage_values(path):
    table = pq.read_table(path)
    close = table.column("close").to_pylist()
    changed = table.set_column(table.schema.get_field_index("close"), "close", [[*close[:-1], 12 * (1 + 1e-12)]])
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)


def damage_order(path):
    table = pq.read_table(path)
    pq.write_table(table.take([0, 2, 1]).replace_schema_metadata(table.schema.metadata), path)


def damage_description(path):
    table = pq.read_table(path)
    about = {**table.schema.metadata, b"evolve": table.schema.metadata[b"evolve"].replace(b"EUR", b"USD")}
    pq.write_table(table.replace_schema_metadata(about), path)


def damage_by_stripping(path):
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)


def damage_by_cutting(path):
    path.write_bytes(path.read_bytes()[:-20])


def damage_by_emptying(path):
    path.write_bytes(b"")


def damage_by_renaming(path):
    """Another symbol's file under this name: the symbol is part of the fingerprint."""
    BarStore(path.parent.parent).save(bars("OTHER"))
    os.replace(path.parent / "OTHER_1d.parquet", path)


@pytest.mark.parametrize(
    "damage",
    [
        damage_values,
        damage_order,
        damage_description,
        damage_by_stripping,
        damage_by_cutting,
        damage_by_emptying,
        damage_by_renaming,
    ],
)
def test_a_damaged_file_is_unavailable_until_imported_again(store, damage):
    store.save(bars())
    damage(store.directory / "ACME_1d.parquet")

    with pytest.raises(DataUnavailable, match=r"damaged or were changed .* import them again"):
        store.load(SPEC)

    assert store.save(bars()) == Replaced(0, "", "")
    assert store.load(SPEC).fingerprint == bars().fingerprint


def test_a_home_that_is_no_directory_is_unavailable_in_one_sentence(tmp_path):
    (tmp_path / "home").write_text("a file")
    store = BarStore(tmp_path / "home")
    for act in (lambda: store.save(bars()), store.symbols, lambda: store.load(SPEC)):
        with pytest.raises(Unavailable, match="set EVOLVE_HOME to a directory"):
            act()


def test_a_failed_write_leaves_the_earlier_bars_and_no_debris(store, monkeypatch):
    store.save(bars())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        store.save(bars(last=13.0))

    assert store.load(SPEC).close[-1] == 12
    assert os.listdir(store.directory) == ["ACME_1d.parquet"]


def test_simulated_bars_are_never_stored(store):
    with pytest.raises(ValueError, match="only real ones"):
        store.save(bars(simulated=True))


def test_a_reader_never_sees_half_a_file(store):
    store.save(bars())
    with ThreadPoolExecutor(3) as pool:
        writes = [pool.submit(store.save, bars(last=12.0 + n)) for n in range(20)]
        reads = [pool.submit(store.load, SPEC) for _ in range(40)]
        assert all(len(read.result()) == 3 for read in reads)
        assert all(write.exception() is None for write in writes)


def test_removed_bars_are_gone_and_removing_them_twice_says_so(store):
    store.save(bars())
    spec = BarSpec("ACME", "1d")

    store.remove(spec)

    assert store.symbols() == []
    with pytest.raises(DataUnavailable, match="have been imported"):
        store.remove(spec)
