"""Bars in an object store: whole or absent for every reader, checked, and of writers at once the last one wins while the other is told."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import uuid
from pathlib import Path

import numpy as np
import pytest

from evolve.errors import Busy, DataUnavailable, InvalidRequest, Unavailable
from evolve.folders import Folder, Remote
from evolve.market.bar_cache import BarCache
from evolve.market.bars import Bars
from evolve.market.keeping import keep
from evolve.market.shelves import ABANDONED_S, SharedShelf
from evolve.market.sources.base import BarSpec
from evolve.market.store import BarStore, Replaced
from evolve.settings import Settings

SPEC = BarSpec("ACME", "1d")
DAY_MS = 86_400_000


def bars(days: int = 800, *, first: int = 0, symbol: str = "ACME", level: float = 100.0) -> Bars:
    close = level + np.arange(first, first + days, dtype=float)
    time = DAY_MS * np.arange(first, first + days)
    return Bars(symbol=symbol, timeframe="1d", time=time, open=close, high=close, low=close, close=close, volume=close, source="made up", bars_per_year=252.0, currency="USD")  # fmt: skip


class Watched:
    """A folder that counts what is read, and lets something happen before what is written."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.read_names: list[str] = []
        self.before_write = self.after_read = lambda _: None

    def __getattr__(self, name: str):
        return getattr(self._folder, name)

    def read(self, name, is_whole=lambda _: True):
        self.read_names.append(name)
        content = self._folder.read(name, is_whole)
        self.after_read(name)
        return content

    def write(self, name, content):
        self.before_write(name)
        self._folder.write(name, content)


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4()}/evolve"


@pytest.fixture
def folder(url) -> Watched:
    return Watched(Remote(url, "EVOLVE_BARS_URL"))


@pytest.fixture
def store(folder, tmp_path) -> BarStore:
    return BarStore(SharedShelf(folder, BarCache(tmp_path / "cache", max_bytes=1 << 20)))


@pytest.fixture
def other(url, tmp_path) -> BarStore:
    """Another machine, with a home of its own."""
    return BarStore.open(Settings.load(home=tmp_path / "elsewhere", bars_url=url))


def test_what_one_machine_saves_another_finds_replaces_and_removes(store, other):
    assert store.symbols() == []
    assert store.save(bars()) is None
    store.save(bars(symbol="BRK.B"))

    assert other.symbols() == [SPEC, BarSpec("BRK.B", "1d")]
    loaded = other.load(SPEC)
    for field in dataclasses.fields(Bars):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(bars(), field.name), err_msg=field.name)
    assert other.save(bars(900)) == Replaced(800, "1970-01-01", "1972-03-10")
    assert len(store.load(SPEC)) == 900
    other.remove(SPEC)
    assert store.symbols() == [BarSpec("BRK.B", "1d")]
    with pytest.raises(DataUnavailable, match="no 1d bars of ACME have been imported"):
        store.load(SPEC)
    assert store.orphans() == other.orphans() == []


def test_a_year_that_was_read_before_is_not_fetched_again(store, folder):
    store.save(bars())
    store.load(SPEC)
    folder.read_names.clear()

    store.load(SPEC)

    assert folder.read_names == ["sets/ACME/1d.json"]  # always asked: another machine may have saved a newer set


def test_the_cache_keeps_what_was_used_last_within_its_size_and_notices_damage(tmp_path):
    cache = BarCache(tmp_path, max_bytes=250)
    names = {content: hashlib.sha256(content).hexdigest() for content in (b"a" * 100, b"b" * 100, b"c" * 100)}
    for age, (content, name) in enumerate(names.items()):
        cache.put(name, content)
        if age < 2:
            os.utime(tmp_path / name, (age, age))
    a, b, c = names.values()

    assert (cache.get(a), cache.get(b), cache.get(c)) == (None, b"b" * 100, b"c" * 100)
    (tmp_path / b).write_bytes(b"x" * 100)
    assert cache.get(b) is None
    cache.put(a, b"a" * 251)
    assert {path.name for path in tmp_path.iterdir()} == {c}


def test_a_reader_whose_set_is_replaced_under_it_gets_the_new_one_whole(store, folder, other):
    store.save(bars())
    folder.after_read = lambda name: (setattr(folder, "after_read", lambda _: None), other.save(bars(level=200.0)))

    assert store.load(SPEC).fingerprint == bars(level=200.0).fingerprint


def test_a_writer_who_dies_before_the_manifest_leaves_the_old_set_and_later_nothing(store, folder, other, monkeypatch):
    store.save(bars())

    def die(name):
        if name.startswith("sets/"):
            raise KeyboardInterrupt

    folder.before_write = die
    with pytest.raises(KeyboardInterrupt):
        store.save(bars(level=200.0))

    assert other.load(SPEC).fingerprint == bars().fingerprint
    assert len(other.orphans()) == 3  # 800 days of 1970, 1971 and 1972
    other.save(bars(level=300.0))
    assert len(other.orphans()) == 3  # too young: somebody may be about to name them
    an_hour_later = dict.fromkeys(folder.names("sets"), ABANDONED_S + 1)
    real = Remote.modified
    monkeypatch.setattr(Remote, "modified", lambda self, name: real(self, name) + an_hour_later.get(name, 0))
    other.save(bars(level=400.0))
    assert other.orphans() == []
    assert other.load(SPEC).fingerprint == bars(level=400.0).fingerprint


def test_of_two_who_save_at_once_the_last_wins_whole_and_the_other_is_told(store, folder, other):
    """The other machine's set lands right after this one's manifest, before this one looks again."""
    store.save(bars())

    def overtake(name):
        if name.startswith("sets/") and "sets/" in "".join(folder.read_names[-1:]):
            folder.after_read = lambda _: None
            other.save(bars(level=300.0))

    def land(name):
        if name.startswith("sets/"):
            folder.after_read = overtake

    folder.before_write = land
    with pytest.raises(Busy, match="at the same time, and that stands"):
        store.save(bars(level=200.0))

    assert store.load(SPEC).fingerprint == other.load(SPEC).fingerprint == bars(level=300.0).fingerprint
    assert store.orphans() == []


def test_two_who_fetch_different_stretches_at_once_both_keep_theirs(store, folder, other):
    """Between reading what stands and saving, the other one's stretch came in; it is joined, not overwritten."""
    store.save(bars(400))

    def meanwhile(name):
        folder.before_write = lambda _: None
        keep(bars(150, first=300), other)

    folder.before_write = meanwhile
    kept = keep(bars(160, first=390), store)

    assert len(kept.bars) == len(store.load(SPEC)) == 550
    assert store.orphans() == []


def test_half_a_manifest_and_half_a_year_are_never_bars(store, folder, other, url, monkeypatch):
    monkeypatch.setattr("evolve.folders.PAUSES_S", (0.0,))
    store.save(bars())
    place = Remote(url, "EVOLVE_BARS_URL")
    names = [next(place.names("sets")), sorted(place.names("parts"))[0]]
    for name in names:
        whole = place.read(name)
        place.write(name, whole[: len(whole) // 2])
        with pytest.raises(DataUnavailable, match=r"damaged or were changed \(memory://.*import or fetch them again"):
            other.load(SPEC)
        place.write(name, whole)
    assert len(other.load(SPEC)) == 800


def test_an_address_that_nobody_knows_and_a_place_that_fails_are_sentences(tmp_path, folder, store):
    with pytest.raises(InvalidRequest, match="EVOLVE_BARS_URL=carrier-pigeon://loft"):
        BarStore.open(Settings.load(home=tmp_path, bars_url="carrier-pigeon://loft"))

    def full(_):
        raise OSError(28, "No space left")

    folder.before_write = full
    with pytest.raises(Unavailable, match="No space left; see that EVOLVE_BARS_URL"):
        store.save(bars())


def test_a_file_address_is_a_directory_with_its_locks(tmp_path):
    settings = Settings.load(home=tmp_path / "home", bars_url=f"file://{tmp_path}/shared")
    BarStore.open(settings).save(bars())

    assert (Path(tmp_path) / "shared" / "ACME" / "1d" / "manifest.json").is_file()
    assert not (tmp_path / "home").exists()
