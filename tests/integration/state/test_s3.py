"""Artifacts and bars in an S3-compatible store over HTTP: whole or an error, through 503s and objects that come in half."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evolve.errors import Busy, DataUnavailable, Unavailable
from evolve.market.bars import Bars
from evolve.market.sources.base import BarSpec
from evolve.market.store import BarStore
from evolve.memory.artifacts import ArtifactStore
from evolve.settings import Settings
from integration.state.conftest import Count

pytestmark = [pytest.mark.prove, pytest.mark.filterwarnings("ignore")]

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Faulty:
    """The store, which answers the next so many requests for objects with 503, or with half of what they are."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self.unavailable = self.halves = 0
        self.reads = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        about_an_object = environ["PATH_INFO"].count("/") > 2 and environ["REQUEST_METHOD"] in ("GET", "PUT")
        self.reads += about_an_object and environ["REQUEST_METHOD"] == "GET"
        if about_an_object and self.unavailable:
            self.unavailable -= 1
            start_response(
                "503 Slow Down", [("Content-Type", "application/xml"), ("Content-Length", str(len(SLOW_DOWN)))]
            )
            return [SLOW_DOWN]
        if about_an_object and self.halves and environ["REQUEST_METHOD"] == "GET":
            self.halves -= 1
            said: list[Any] = []
            whole = b"".join(self._application(environ, lambda *answer: said.append(answer)))
            half = whole[: len(whole) // 2]
            headers = [(name, value) for name, value in said[0][1] if name.lower() not in ("content-length", "etag")]
            start_response(said[0][0], [*headers, ("Content-Length", str(len(half)))])
            return [half]
        return self._application(environ, start_response)


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[Faulty, str]]:
    pytest.importorskip("s3fs", reason="needs the package s3fs; `make prove` installs it")
    pytest.importorskip("moto", reason="needs the package moto[server]; `make prove` installs it")
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    faulty = Faulty(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, faulty, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield faulty, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def bucket(s3: tuple[Faulty, str], monkeypatch: pytest.MonkeyPatch) -> str:
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    for name, value in {
        "AWS_ENDPOINT_URL": s3[1], "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",  # of the library beneath, so that ours are what is tested
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem().makedirs("evolve-test", exist_ok=True)
    s3[0].unavailable = s3[0].halves = 0
    return f"s3://evolve-test/{uuid.uuid4()}"


@pytest.fixture
def store(bucket: str) -> ArtifactStore:
    return ArtifactStore.open(Settings.load(artifacts_url=bucket))


@pytest.fixture
def machine(bucket: str, tmp_path: Path) -> Callable[[str], BarStore]:
    """The store of bars, as a machine of this name sees it."""
    return lambda name: BarStore.open(Settings.load(home=tmp_path / name, bars_url=bucket))


def test_what_is_stored_comes_back_and_is_listed(store: ArtifactStore) -> None:
    sha256 = store.put_bytes(b"weights" * 1000)

    assert store.get_bytes(sha256) == b"weights" * 1000
    assert sha256 in set(store.names())
    assert store.where(sha256).startswith("s3://evolve-test/")


def test_a_few_503s_cost_time_and_nothing_else(store: ArtifactStore, s3: tuple[Faulty, str]) -> None:
    s3[0].unavailable = 3
    sha256 = store.put_bytes(b"slow")
    s3[0].unavailable = 3

    assert store.get_bytes(sha256) == b"slow"
    assert s3[0].unavailable == 0


def test_half_an_object_is_noticed_and_asked_for_again(store: ArtifactStore, s3: tuple[Faulty, str]) -> None:
    sha256 = store.put_bytes(b"0123456789" * 100)
    s3[0].halves = 2

    assert store.get_bytes(sha256) == b"0123456789" * 100


def test_a_store_that_stays_away_or_stays_damaged_is_a_typed_error(
    store: ArtifactStore, s3: tuple[Faulty, str]
) -> None:
    sha256 = store.put_bytes(b"abcdef" * 100)
    s3[0].halves = 10_000
    with pytest.raises(Unavailable, match=r"does not have the hash in its name|FlexibleChecksumError"):
        store.get_bytes(sha256)
    s3[0].halves, s3[0].unavailable = 0, 10_000
    with pytest.raises(Unavailable, match="cannot read s3://"):
        store.get_bytes(sha256)
    with pytest.raises(Unavailable, match="cannot write s3://"):
        store.put_bytes(b"new")


def test_a_missing_object_is_said_at_once(store: ArtifactStore, s3: tuple[Faulty, str]) -> None:
    before = s3[0].reads
    with pytest.raises(Unavailable, match="is missing from s3://"):
        store.get_bytes("0" * 64)

    assert s3[0].reads - before <= 2


SPEC = BarSpec("ACME", "1d")


def bars(level: float = 100.0) -> Bars:
    close = level + np.arange(700.0)
    time = 86_400_000 * np.arange(700)
    return Bars(symbol="ACME", timeframe="1d", time=time, open=close, high=close, low=close, close=close, volume=close, source="made up", bars_per_year=252.0, currency="USD")  # fmt: skip


def test_bars_survive_503s_and_halves_on_their_way_there_and_back(
    machine: Callable[[str], BarStore], s3: tuple[Faulty, str], counted: Count
) -> None:
    s3[0].unavailable = 3
    machine("a").save(bars())
    read = []
    for unavailable, halves in ((3, 0), (0, 3)):
        s3[0].unavailable, s3[0].halves = unavailable, halves
        read.append(machine(f"{unavailable}").load(SPEC).fingerprint)
        assert s3[0].unavailable == s3[0].halves == 0
    different = sum(each != bars().fingerprint for each in read)
    counted(
        "S3 answers 503, or half an object, three times in a row",
        f"bars saved once, read {len(read)} times",
        9,
        2 - len(read),
        0,
        different,
    )
    assert different == 0
    s3[0].halves = 10_000
    with pytest.raises((DataUnavailable, Unavailable), match=r"damaged or were changed|cannot read bars in s3://"):
        machine("z").load(SPEC)
    s3[0].halves, s3[0].unavailable = 0, 10_000
    with pytest.raises(Unavailable, match=r"cannot (read|write) bars in s3://.*EVOLVE_BARS_URL"):
        machine("a").save(bars(200.0))
    s3[0].unavailable = 0
    assert machine("a").load(SPEC).fingerprint == bars().fingerprint


def test_of_many_machines_that_save_and_read_at_once_none_sees_half_and_nothing_is_left_over(
    machine: Callable[[str], BarStore], counted: Count
) -> None:
    """Thirty readings of 12 writings by four machines: each is one of the sets that somebody saved, whole."""
    machine("a").save(bars())
    sets = {bars(100.0 + number).fingerprint for number in range(12)}
    told: list[str] = []

    def write(number: int) -> None:
        try:
            machine(str(number % 4)).save(bars(100.0 + number))
        except Busy as error:
            told.append(error.message)

    with ThreadPoolExecutor(6) as pool:
        writing = [pool.submit(write, number) for number in range(12)]
        reading = [
            pool.submit(lambda number: machine(f"r{number % 3}").load(SPEC).fingerprint, number) for number in range(30)
        ]
        found = [each.result(120) for each in reading]
        for each in writing:
            each.result(120)

    counted(
        "four machines save and read the same bars on S3 at once",
        f"12 sets saved ({len(told)} told that they were overtaken), 30 read",
        0,
        0,
        0,
        sum(each not in sets for each in found),
    )
    assert set(found) <= sets
    assert machine("fresh").load(SPEC).fingerprint in sets
    assert all("at the same time, and that stands" in each for each in told)
    machine("a").remove(SPEC)
    assert machine("fresh").symbols() == []
    assert machine("fresh").orphans() == []
