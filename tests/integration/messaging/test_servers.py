"""One request and one published message over each kind of server that a user may run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.bus_contract import eventually, heard
from evolve import logs, security_events
from evolve.errors import InvalidRequest, Unavailable
from evolve.messaging import acl
from evolve.messaging.asker import Asker
from evolve.messaging.bus import input_channel, output_channel
from evolve.messaging.connection import bus_for
from evolve.messaging.envelope import RequestEnvelope, new_request_id
from evolve.messaging.worker import Worker
from evolve.security_events import reported
from evolve.settings import Settings
from homes import PATIENCE_S
from integration.messaging.servers import certificates, cli, cluster, free_ports, redis_server, watched
from services_under_test.odd import OddService


async def serve_one(settings: Settings, *, midway: object = None, client: Settings | None = None) -> None:
    """Start a replica; ask it, inline and in a thread; publish by hand; read the queue and a dead letter."""
    serving_bus, asking_bus = bus_for(settings), bus_for(client or settings)
    asker = Asker(asking_bus)
    worker = Worker(OddService, settings, serving_bus)
    serving = asyncio.create_task(worker.serve())
    ready = asyncio.create_task(worker.ready.wait())

    async def ask(wire_type: str, **data: object) -> dict[str, object]:
        envelope = RequestEnvelope(wire_type, data, request_id=new_request_id(), reply_to=asker.name)
        reply = await asker.ask("odd", "light", envelope, timeout_s=PATIENCE_S, must_live=False)
        return dict(reply["data"])

    try:
        await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S)
        if serving.done():
            await serving
        assert (await ask("note", value=7))["value"] == 7
        assert isinstance((await ask("count"))["value"], int)
        async with heard(asking_bus, output_channel("odd")) as outputs:
            # Through the bridge, which may not hold its lease yet.
            assert await asking_bus.publish(input_channel("odd"), b'{"type":"note","data":{"value":8}}') > 0
            assert await asking_bus.publish(input_channel("odd"), b"\x00 no JSON") > 0
            await outputs.wait_for(2)
        if callable(midway):
            await asyncio.to_thread(midway)
            assert (await ask("note", value=9))["value"] == 9
        # The answer of the first has come; the second's error is one of the outputs, and kept.
        [letter] = await eventually(lambda: serving_bus.dead_letters("odd"), within_s=PATIENCE_S)
        assert letter.raw == b"\x00 no JSON"
        assert (await serving_bus.queue("odd")).queued == 0
    finally:
        ready.cancel()
        worker.stop()
        await asyncio.wait([serving], timeout=PATIENCE_S)
        await asker.close()
        await asking_bus.close()
        await serving_bus.close()


def settings_in(home: Path, **given: object) -> Settings:
    return Settings.load(home=home, log_dir=home / "logs", drain_s=0.5, **given)


async def test_a_server_of_the_users_own_with_a_password(home: Path) -> None:
    with redis_server("--requirepass", "geheim") as port:
        await serve_one(settings_in(home, redis_port=port, redis_password="geheim"))

        with pytest.raises(Unavailable, match="refused this user"):
            await serve_one(settings_in(home, redis_port=port, redis_password="wrong"))


async def test_a_server_reached_by_tls(home: Path, tmp_path: Path) -> None:
    folder = certificates(tmp_path)
    [port] = free_ports(1)
    options = ["--tls-port", port, "--port", "0", "--tls-auth-clients", "no", "--tls-cert-file", folder / "server.crt",
               "--tls-key-file", folder / "server.key", "--tls-ca-cert-file", folder / "ca.crt"]  # fmt: skip
    ping = ["-p", port, "--tls", "--cacert", folder / "ca.crt"]
    with redis_server(*options, port=port, ping=ping):
        await serve_one(settings_in(home, redis_port=port, redis_tls=True, redis_ca_certs=str(folder / "ca.crt")))

        url = f"rediss://localhost:{port}/0"
        with pytest.raises(Unavailable, match=r"does not answer: .*certificate"):
            await serve_one(settings_in(home, redis_url=url))


async def test_a_server_reached_by_a_unix_socket(home: Path, tmp_path: Path) -> None:
    with redis_server("--unixsocket", tmp_path / "r.sock"):
        await serve_one(settings_in(home, redis_url=f"unix://{tmp_path / 'r.sock'}?db=2"))


async def test_a_cluster(home: Path) -> None:
    with cluster() as ports:
        await serve_one(settings_in(home, redis_url=f"redis+cluster://127.0.0.1:{ports[0]}"))


async def test_a_cluster_has_one_database(home: Path) -> None:
    with pytest.raises(InvalidRequest, match="a Redis Cluster has only database 0, not '3'"):
        bus_for(settings_in(home, redis_url="redis+cluster://127.0.0.1:7000/3"))


async def test_a_node_of_a_cluster_taken_for_a_plain_server_is_named(home: Path) -> None:
    with cluster() as ports:
        owner = int(cli("-p", ports[0], "cluster", "keyslot", "{odd}")) // (16_384 // 3 + 1)
        with pytest.raises(Unavailable, match=r"one node of a Cluster; set REDIS_URL=redis\+cluster://"):
            await serve_one(settings_in(home, redis_port=ports[(owner + 1) % 3]))


@pytest.mark.prove  # as tests/integration/hosts, where the old primary lives on
async def test_a_primary_found_by_sentinels_and_the_next_one_after_it_died(home: Path) -> None:
    with watched() as (first, servers, watchers):

        def fail_over() -> None:
            cli("-p", first, "shutdown", "nosave")

        hosts = ",".join(f"127.0.0.1:{port}" for port in watchers)
        await serve_one(settings_in(home, redis_url=f"redis+sentinel://{hosts}/mymaster"), midway=fail_over)
        second = next(port for port in servers if port != first)
        assert "role:master" in cli("-p", second, "info", "replication")


@pytest.fixture
def passwords() -> dict[str, str]:
    return {name: acl.new_password() for name in acl.users(["odd", "other"])}


async def test_with_the_acl_on_services_and_clients_do_all_they_need(
    home: Path, tmp_path: Path, passwords: dict[str, str]
) -> None:
    (tmp_path / "users.acl").write_text(acl.acl_file(["odd", "other"], passwords))
    with redis_server("--aclfile", tmp_path / "users.acl") as port:

        def user(name: str) -> Settings:
            return settings_in(home, redis_port=port, redis_username=name, redis_password=passwords[name])

        await serve_one(user("odd"), client=user("client"))


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("client", "XRANGE evolve:{odd}:requests:light - +"),
        ("client", "XREADGROUP GROUP replicas me STREAMS evolve:{odd}:requests:light >"),
        ("client", "XREAD STREAMS evolve:{odd}:replies:other-1 0"),
        ("client", "XDEL evolve:{odd}:requests:light 1-1"),
        ("client", "PUBLISH odd_output {}"),
        ("client", "SUBSCRIBE odd_input"),
        ("client", "SET anything 1"),
        ("client", "FLUSHALL"),
        ("client", "CONFIG GET *"),
        ("client", "KEYS *"),
        ("other", "XREADGROUP GROUP replicas me STREAMS evolve:{odd}:requests:light >"),
        ("other", "XREAD STREAMS evolve:{odd}:replies:client-1 0"),
        ("other", "HGETALL evolve:{odd}:request:r1"),
        ("other", "PUBLISH odd_output {}"),
        ("other", "SET evolve:{odd}:bridge me"),
        ("supervisor", "FLUSHALL"),
        ("supervisor", "GET somebody-elses"),
        ("scaler", "XRANGE evolve:{odd}:requests:light - +"),
        ("web", "XDEL evolve:{odd}:requests:light 1-1"),
        ("web", "PUBLISH odd_output {}"),
        ("default", "PING"),
    ],
)
async def test_with_the_acl_on_nobody_reaches_what_is_not_theirs(
    guarded: tuple[int, dict[str, str]], name: str, command: str
) -> None:
    port, passwords = guarded
    login = ["--user", name, "--pass", passwords[name]] if name in passwords else []

    said = cli("-p", port, "--no-auth-warning", *login, *command.split())

    assert said.startswith(("NOPERM", "NOAUTH")), said


async def test_with_the_acl_on_the_web_server_sees_all_that_its_figures_need(
    home: Path, guarded: tuple[int, dict[str, str]]
) -> None:
    port, passwords = guarded
    bus = bus_for(settings_in(home, redis_port=port, redis_username="web", redis_password=passwords["web"]))
    try:
        assert await bus.figures("odd") == {}
        assert set(await bus.lanes("odd")) == {"light", "heavy"}
        [server] = await bus.server()
        assert (server.memory_used_bytes > 0, server.evicted_keys, server.aof_last_write_ok) == (True, 0, True)
        assert 0 < server.ping_s < PATIENCE_S
        # Its feed listens to all services by one command, which one rule of the ACL must allow.
        answers = bus.listen(["odd_output", "other_output"])
        assert await anext(answers) == ("", b"")
        cli(
            "-p",
            port,
            "--no-auth-warning",
            "--user",
            "other",
            "--pass",
            passwords["other"],
            "PUBLISH",
            "other_output",
            "{}",
        )
        assert await anext(answers) == ("other_output", b"{}")
        await answers.aclose()
    finally:
        await bus.close()


async def test_what_the_server_refuses_is_a_security_event(
    home: Path, guarded: tuple[int, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, passwords = guarded
    monkeypatch.setattr(logs, "_directory", tmp_path)
    monkeypatch.setattr(security_events, "_said", {})
    for password in (passwords["client"], "guessed"):
        bus = bus_for(settings_in(home, redis_port=port, redis_username="client", redis_password=password))
        with pytest.raises(Unavailable, match="refused this user"):
            await bus.figures("odd")
        await bus.close()

    assert [event["event"] for event in reported(tmp_path)] == ["acl_refused", "auth_refused"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, dict[str, str]]]:
    """A server with the ACL on, for looking only."""
    words = {name: acl.new_password() for name in acl.users(["odd", "other"])}
    file = tmp_path_factory.mktemp("acl") / "users.acl"
    file.write_text(acl.acl_file(["odd", "other"], words))
    with redis_server("--aclfile", file) as port:
        yield port, words


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--appendonly", "no"], "keeps no append-only file"),
        (
            ["--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"],
            "may evict queued requests",
        ),
    ],
)
async def test_a_server_that_could_lose_requests_is_named_at_the_start(
    home: Path, options: list[str], sentence: str
) -> None:
    with redis_server(*options) as port:
        bus = bus_for(settings_in(home, redis_port=port))
        [found] = await bus.hazards()
        await bus.close()

    assert sentence in found


async def test_a_server_that_is_full_is_a_typed_error(home: Path) -> None:
    with redis_server("--maxmemory", "2mb", "--maxmemory-policy", "noeviction") as port:
        bus = bus_for(settings_in(home, redis_port=port))

        async def fill() -> None:
            for number in range(40):
                await bus.send(
                    "odd", "light", b"x" * 100_000, request_id=f"r{number}", content_hash="h", reader="client-1"
                )

        with pytest.raises(Unavailable, match=r"is full .*; nothing was accepted: give it more memory"):
            await fill()
        await bus.close()


async def test_a_request_that_no_replica_of_the_server_confirms_is_not_accepted(
    server: Settings, unique_name: str
) -> None:
    bus = bus_for(server.model_copy(update={"redis_wait_replicas": 1}))
    try:
        with pytest.raises(Unavailable, match=r"0 of the 1 replicas .* the same request_id again asks for it once"):
            await bus.send(unique_name, "light", b"{}", request_id="r1", content_hash="h", reader="client-1")
    finally:
        await bus.close()
