import dataclasses
import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.parquet as pq
import pytest

from evolve.errors import DataUnavailable, Unavailable
from evolve.market import arrow
from evolve.market.bars import Bars
from evolve.market.provenance import Dividend, Provenance, Split
from evolve.market.sources.base import BarSpec, Span
from evolve.market.sources.sample import SampleSource
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
    (store.directory / "EMPTY" / "1d").mkdir(parents=True)

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


def partition(store, spec=SPEC):
    (path,) = (store.directory / spec.symbol / spec.timeframe).glob("*.parquet")
    return path


def manifest(store, spec=SPEC):
    return store.directory / spec.symbol / spec.timeframe / "manifest.json"


def rehashed(store, path):
    """The manifest says what the changed partition now hashes to: only the fingerprint of the values is left to tell."""
    description = json.loads(manifest(store).read_bytes().partition(b"\n")[2])
    description["partitions"][0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    written = json.dumps(description).encode()
    manifest(store).write_bytes(hashlib.sha256(written).hexdigest().encode() + b"\n" + written)


def damage_values(store):
    path = partition(store)
    table = pq.read_table(path)
    close = table.column("close").to_pylist()
    pq.write_table(
        table.set_column(table.schema.get_field_index("close"), "close", [[*close[:-1], 12 * (1 + 1e-12)]]), path
    )
    rehashed(store, path)


def damage_order(store):
    path = partition(store)
    pq.write_table(pq.read_table(path).take([0, 2, 1]), path)
    rehashed(store, path)


def damage_description(store):
    manifest(store).write_bytes(manifest(store).read_bytes().replace(b"EUR", b"USD"))


def damage_one_bit(store):
    content = bytearray(partition(store).read_bytes())
    content[len(content) // 2] ^= 1
    partition(store).write_bytes(content)


def damage_by_cutting(store):
    partition(store).write_bytes(partition(store).read_bytes()[:-20])


def damage_by_emptying(store):
    partition(store).write_bytes(b"")


def damage_by_removing(store):
    partition(store).unlink()


def damage_by_emptying_the_manifest(store):
    manifest(store).write_bytes(b"")


def damage_by_renaming(store):
    """Another symbol's bars under this name: the symbol is part of the fingerprint."""
    store.save(bars("OTHER"))
    shutil.rmtree(store.directory / "ACME")
    os.replace(store.directory / "OTHER", store.directory / "ACME")


@pytest.mark.parametrize(
    "damage",
    [
        damage_values,
        damage_order,
        damage_description,
        damage_one_bit,
        damage_by_cutting,
        damage_by_emptying,
        damage_by_removing,
        damage_by_emptying_the_manifest,
        damage_by_renaming,
    ],
)
def test_a_damaged_set_is_unavailable_until_imported_again(store, damage):
    store.save(bars())
    damage(store)

    with pytest.raises(DataUnavailable, match=r"damaged or were changed .* import or fetch them again"):
        store.load(SPEC)

    assert store.save(bars()) == Replaced(0, "", "")
    assert store.load(SPEC).fingerprint == bars().fingerprint


def years_of_bars(last="2013-06-30"):
    """AAPL's real daily bars up to `last`: fourteen calendar years."""
    return SampleSource().load(BarSpec("AAPL", "1d"), Span.of_days("2000-01-01", last))


def test_each_year_has_a_partition_and_an_older_one_is_not_written_again(store):
    spec = BarSpec("AAPL", "1d")
    store.save(years_of_bars("2012-12-20"))
    before = {path.name: path.stat().st_mtime_ns for path in (store.directory / "AAPL" / "1d").glob("*.parquet")}
    store.save(years_of_bars())
    after = {path.name: path.stat().st_mtime_ns for path in (store.directory / "AAPL" / "1d").glob("*.parquet")}

    assert sorted(name[:4] for name in after) == [str(year) for year in range(2000, 2014)]
    untouched = dict(before.items() & after.items())
    assert sorted(name[:4] for name in untouched) == [str(year) for year in range(2000, 2012)]
    assert store.load(spec).fingerprint == years_of_bars().fingerprint


def test_a_span_of_what_is_stored_is_served(store):
    store.save(years_of_bars())

    found = store.load(BarSpec("AAPL", "1d"), Span.of_days("2005-01-01", "2005-01-31"))

    assert (found.date(0), found.date(-1)) == ("2005-01-03", "2005-01-31")


def test_where_bars_come_from_is_kept(store):
    told = Provenance(
        source="tiingo", url="https://api.tiingo.com/tiingo/daily/ACME/prices", fetched_at="2024-01-10T12:00:00Z",
        venue="us_equity", adjusted="splits and dividends", asked_from="1970-01-01", asked_to="1970-01-03", delay_s=5400.0,
        tells_actions=True, splits=(Split("1970-01-02", 4.0),), dividends=(Dividend("1970-01-03", 0.24),), delisted="1970-01-03",
    )  # fmt: skip
    store.save(bars(provenance=told))

    assert store.load(SPEC).provenance == told


def save_in_the_first_format(store, made):
    """As version 0.1 wrote: one file, its description in the schema."""
    description = json.dumps(
        {
            "format": 1, "symbol": made.symbol, "timeframe": made.timeframe, "source": made.source, "currency": made.currency,
            "notes": made.notes, "fingerprint": made.fingerprint,
        },
        sort_keys=True,
    ).encode()  # fmt: skip
    table = arrow.table_of({name: getattr(made, name) for name in ("time", "open", "high", "low", "close", "volume")})
    about = {"evolve": description, "evolve_sha256": hashlib.sha256(description).hexdigest()}
    store.directory.mkdir(parents=True, exist_ok=True)
    path = store.directory / f"{made.symbol}_{made.timeframe}.parquet"
    path.write_bytes(arrow.parquet_bytes(table.replace_schema_metadata(about)))
    return path


def test_bars_in_the_first_format_are_read_and_replaced(store):
    old = save_in_the_first_format(store, bars())

    assert store.symbols() == [SPEC]
    assert store.load(SPEC).fingerprint == bars().fingerprint
    assert store.save(bars(last=13.0)) == Replaced(3, "1970-01-01", "1970-01-03")
    assert not old.exists()
    assert store.load(SPEC).close[-1] == 13


def test_damaged_bars_in_the_first_format_are_unavailable(store):
    old = save_in_the_first_format(store, bars())
    old.write_bytes(old.read_bytes()[:-20])
    with pytest.raises(DataUnavailable, match="damaged or were changed"):
        store.load(SPEC)


def test_bars_in_the_first_format_can_be_removed(store):
    save_in_the_first_format(store, bars())
    store.remove(SPEC)
    assert store.symbols() == []


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
    assert sorted(path.suffix for path in manifest(store).parent.iterdir()) == [
        "",
        ".json",
        ".parquet",
    ]  # a lock, no more


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
