"""Which server is meant? The rules of the contract, in their order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import ResponseError

from evolve.errors import InvalidRequest, Unavailable
from evolve.messaging import embedded
from evolve.messaging.connection import Server, bus_for, client_for, server_for
from evolve.messaging.redis_calls import translated
from evolve.messaging.service import Service
from evolve.settings import Settings


@pytest.fixture
def configured(home: Path) -> str:
    """A server that the user chose with `evolve config`."""
    home.mkdir()
    (home / "config.json").write_text(json.dumps({"redis_url": "redis://chosen:7000/1"}))
    return "redis://chosen:7000/1"


def test_with_nothing_configured_the_embedded_server_of_the_home_is_meant(home: Path) -> None:
    server = server_for(Settings.load())

    assert server.kind == "embedded"
    assert server.redis_cli == f"redis-cli -s {home}/redis/valkey.sock"
    assert not embedded.is_running(home), "asking which server is meant starts none"


def test_the_documented_defaults_mean_as_configured(configured: str) -> None:
    settings = Settings.load(redis_host="localhost", redis_port=6379, redis_db=0)

    assert server_for(settings) == Server(configured, "configured")


def test_a_url_wins_over_everything(configured: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://url:1/2")

    assert server_for(Settings.load()) == Server("redis://url:1/2", "given")
    assert server_for(Settings.load(redis_host="host", redis_port=7)) == Server("redis://url:1/2", "given")


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"REDIS_HOST": "host"}, "redis://host:6379/0"),
        ({"REDIS_PORT": "7"}, "redis://localhost:7/0"),
        ({"REDIS_DB": "3"}, "redis://localhost:6379/3"),
        ({"REDIS_HOST": "::1", "REDIS_PORT": "7"}, "redis://[::1]:7/0"),
        ({"REDIS_HOST": "host", "REDIS_TLS": "true"}, "rediss://host:6379/0"),
    ],
)
def test_any_other_host_port_or_db_is_used_as_given(
    configured: str, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert server_for(Settings.load()) == Server(url, "given")


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("REDIS_HOST", "from_the_environment")

    assert server_for(Settings.load(redis_host="argument")).url == "redis://argument:6379/0"


@pytest.mark.parametrize(("variable", "value"), [("REDIS_PORT", "many"), ("REDIS_PORT", "70000"), ("REDIS_DB", "-1")])
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(InvalidRequest, match=f"{variable} must be .*{value}"):
        Settings.load()


def test_a_broken_configuration_file_is_named(home: Path) -> None:
    home.mkdir()
    (home / "config.json").write_text("{")

    with pytest.raises(InvalidRequest, match=r"config\.json is not JSON; mend it or delete it"):
        server_for(Settings.load())


@pytest.mark.parametrize("url", ["http://host:1", "localhost:6379", "redis://host:port/0"])
def test_a_url_that_is_none_is_named(home: Path, url: str) -> None:
    with pytest.raises(InvalidRequest, match="REDIS_URL is not valid"):
        client_for(Settings.load(redis_url=url))


async def test_a_server_that_was_given_and_is_down_is_an_error_and_never_replaced(home: Path, free_port: int) -> None:
    bus = bus_for(Settings.load(redis_port=free_port))
    try:
        with pytest.raises(Unavailable, match="does not answer"):
            await bus.queue("svc")
    finally:
        await bus.close()

    assert not embedded.is_running(home)


async def test_credentials_of_the_environment_go_to_the_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_USERNAME", "me")
    monkeypatch.setenv("REDIS_PASSWORD", "secret")
    client = client_for(Settings.load(redis_host="host"))

    options = client.connection_pool.connection_kwargs
    assert (options["username"], options["password"]) == ("me", "secret")
    await client.aclose()


def test_no_password_is_shown(home: Path) -> None:
    settings = Settings.load(redis_url="redis://me:secret@host:1/0", redis_password="secret")

    assert server_for(settings).redis_cli == "redis-cli -u redis://me@host:1/0"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("name", ["a b", "100%41", "what?", "#1", "größe"])
async def test_a_home_may_have_any_name(home: Path, name: str) -> None:
    odd = home / name
    settings = Settings.load(home=odd)
    bus = bus_for(settings)
    try:
        assert (await bus.queue("svc")).queued == 0
        assert server_for(settings).redis_cli == f"redis-cli -s {odd}/redis/valkey.sock"
    finally:
        await bus.close()
        embedded.stop(odd)


async def test_a_closed_bus_leaves_no_connection(home: Path) -> None:
    bus = bus_for(Settings.load())
    await bus.queue("svc")
    await bus.close()

    again = bus_for(Settings.load())
    [line] = [
        line
        for line in bytes(await again._redis.execute_command("INFO", "clients")).decode().splitlines()
        if line.startswith("connected_clients:")
    ]
    await again.close()
    assert line == "connected_clients:1"


async def test_a_port_that_speaks_another_language_is_named_as_no_redis_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer_as_a_web_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(answer_as_a_web_server, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}/0")
    bus = bus_for(Settings.load())
    try:
        with pytest.raises(Unavailable, match="no Redis server"):
            await bus.now("svc")
    finally:
        await bus.close()
        other.close()


def test_a_server_named_to_a_constructor_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://of-the-environment:1/2")

    named = Service("of-the-call", 7000)

    assert server_for(named.settings).url == "redis://of-the-call:7000/0"
    assert server_for(Service().settings).url == "redis://of-the-environment:1/2"


def test_confirmation_by_replicas_is_refused_where_no_single_primary_could_give_it(home: Path) -> None:
    settings = Settings.load(home=home, redis_url="redis+cluster://127.0.0.1:7000", redis_wait_replicas=1)

    with pytest.raises(InvalidRequest, match="REDIS_WAIT_REPLICAS works with one primary"):
        bus_for(settings)


@pytest.mark.parametrize("said", ["NOREPLICAS Not enough good replicas to write.", "-NOREPLICAS Not enough good replicas to write. script: x"])  # fmt: skip
def test_a_primary_that_lacks_its_replicas_is_a_typed_error(said: str) -> None:
    error = translated(ResponseError(said))

    assert isinstance(error, Unavailable)
    assert "min-replicas-to-write" in error.message


async def test_two_that_ask_at_once_for_the_primary_forget_no_sentinel(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library moves the one that knew to the front by position: two at once then had it twice, and the first no more."""
    client = client_for(Settings.load(redis_url="redis+sentinel://one,two,three/mymaster"))
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    all_three = list(pool.sentinel_manager.sentinels)
    state = {"is_master": True, "is_sdown": False, "is_odown": False, "ip": "here", "port": 1, "num-other-sentinels": 2}
    for sentinel, known in zip(all_three, ({}, {"mymaster": state}, {}), strict=True):
        monkeypatch.setattr(sentinel, "sentinel_masters", _after_a_moment(known))

    found = await asyncio.gather(*(pool.sentinel_manager.discover_master("mymaster") for _ in range(2)))

    assert set(found) == {("here", 1)}
    assert set(pool.sentinel_manager.sentinels) == set(all_three)
    assert pool.sentinel_manager.sentinels[0] is all_three[1], "the one that knew is asked first"
    await client.aclose()


def _after_a_moment(answer: Mapping[str, object]) -> Callable[[], Awaitable[Mapping[str, object]]]:
    async def masters() -> Mapping[str, object]:
        await asyncio.sleep(0)
        return answer

    return masters
