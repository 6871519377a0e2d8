"""Does everything run with TLS, certificates of its own and a user for each service? On a real server, with what `evolve security init` made."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from architecture.project_files import ROOT
from contracts.bus_contract import eventually
from evolve.cli import main
from evolve.errors import EvolveError, InvalidRequest, Unavailable
from evolve.messaging.bus import DeadLetter, input_channel
from evolve.messaging.connection import bus_for
from evolve.services import SERVICES
from evolve.settings import Settings
from homes import PATIENCE_S, environment_of, fresh_home, until
from integration.messaging.servers import free_ports, program

EVOLVE = str(Path(sys.executable).with_name("evolve"))


class Deployment:
    """A server, and processes that reach it as one of its users."""

    def __init__(self, home: Path, secrets: Path, port: int) -> None:
        self.home, self.secrets, self.port = home, secrets, port

    def environment(self, user: str, **extra: str) -> dict[str, str]:
        lines = (self.secrets / "settings.env").read_text().splitlines()
        settings = dict(line.split("=", 1) for line in lines) | {"REDIS_PORT": str(self.port)}
        own = {"REDIS_USERNAME": user, "REDIS_PASSWORD_FILE": str(self.secrets / "passwords" / user)}
        return environment_of(self.home, **{**settings, **own, **extra})

    def evolve(self, *words: str, user: str = "client", **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [EVOLVE, *words], env=self.environment(user, **extra), capture_output=True, text=True, timeout=110, check=False
        )  # fmt: skip

    def settings(self, user: str) -> Settings:
        return Settings.load(
            home=self.home,
            redis_port=self.port,
            redis_tls=True,
            redis_ca_certs=str(self.secrets / "ca.crt"),
            redis_certfile=str(self.secrets / "client.crt"),
            redis_keyfile=str(self.secrets / "client.key"),
            redis_username=user,
            redis_password=(self.secrets / "passwords" / user).read_text().strip(),
        )

    async def living(self) -> set[str]:
        bus = bus_for(self.settings("client"))
        try:
            return {service for service in SERVICES if await bus.replicas(service)}
        finally:
            await bus.close()

    @contextlib.contextmanager
    def serving(self, services: Sequence[str]) -> Iterator[None]:
        """Each service as a container runs it: alone, as its own user."""
        processes = [
            subprocess.Popen(
                [sys.executable, str(ROOT / "deploy" / "run.py")],
                env=self.environment(service, EVOLVE_SERVICE=service, EVOLVE_DRAIN_S="1"),
                stderr=subprocess.DEVNULL,
            )
            for service in services
        ]
        try:
            until(lambda: asyncio.run(self.living()) >= set(services), what="the services", within_s=90)
            yield
        finally:
            for process in processes:
                process.terminate()
            codes = [process.wait(30) for process in processes]
        assert codes == [0] * len(services)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    if shutil.which("openssl") is None:
        pytest.skip("package openssl is not installed")
    with fresh_home() as home:
        home.mkdir(mode=0o700)
        secrets = home / "secrets"
        kept = os.environ["EVOLVE_HOME"]
        os.environ["EVOLVE_HOME"] = str(home)
        try:
            assert main(["security", "init", str(secrets)]) == 0
        finally:
            os.environ["EVOLVE_HOME"] = kept
        [port] = free_ports(1)
        data = home / "server"
        data.mkdir()
        with (home / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [program(), str(secrets / "valkey.conf"), "--tls-port", str(port), "--dir", str(data)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            made = Deployment(home, secrets, port)
            until(lambda: "NOAUTH" in made_ping(made), what="the server")
            yield made
        finally:
            server.terminate()
            server.wait(10)


def made_ping(made: Deployment) -> str:
    keys = ["--tls", "--cacert", "ca.crt", "--cert", "client.crt", "--key", "client.key"]
    done = subprocess.run(
        ["redis-cli", "-p", str(made.port), *keys, "ping"],
        cwd=made.secrets,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_service_answers_by_tls_as_its_own_user(deployment: Deployment) -> None:
    with deployment.serving(["prompt_router"]):
        assert "serves on this host" in deployment.evolve("ping", "prompt_router", "--here").stdout
        asyncio.run(look_after_a_dead_letter(deployment.settings("web")))
        with pytest.raises(Unavailable, match="refused this user"):  # a client may not look into what others sent
            asyncio.run(dead_letters(deployment.settings("client")))
    gone = deployment.evolve("ping", "prompt_router", "--here")
    assert gone.returncode == 1
    assert "no replica of prompt_router serves on" in gone.stderr


async def dead_letters(settings: Settings) -> list[DeadLetter]:
    bus = bus_for(settings)
    try:
        return await bus.dead_letters("prompt_router")
    finally:
        await bus.close()


async def look_after_a_dead_letter(settings: Settings) -> None:
    """One comes by hand; it is seen, put back, dead again, and dropped."""
    bus = bus_for(settings)

    async def newest() -> list[DeadLetter]:
        return await bus.dead_letters("prompt_router")

    try:
        assert await bus.publish(input_channel("prompt_router"), b"no JSON") > 0
        [letter] = await eventually(newest, within_s=PATIENCE_S)
        assert await bus.revive("prompt_router", letter.entry) is not None
        [again] = await eventually(newest, within_s=PATIENCE_S)
        await bus.drop_dead("prompt_router", again.entry)
        assert await newest() == []
        assert (await bus.queue("prompt_router")).queued == 0
    finally:
        await bus.close()


async def reach(settings: Settings) -> None:
    bus = bus_for(settings)
    try:
        await bus.now("prompt_router")
    finally:
        await bus.close()


@pytest.mark.parametrize(
    ("changed", "error", "sentence"),
    [
        ({"redis_password": "wrong"}, Unavailable, "refused this user"),
        ({"redis_ca_certs": None}, Unavailable, "certificate"),
        ({"redis_certfile": None, "redis_keyfile": None}, Unavailable, "does not answer"),
        ({"redis_tls": False}, Unavailable, "does not answer"),
        ({"redis_ca_certs": "/nowhere/ca.crt"}, InvalidRequest, "REDIS_CA_CERTS names /nowhere/ca.crt"),
    ],
)
async def test_who_comes_without_one_of_them_is_told_which(
    deployment: Deployment, changed: dict[str, object], error: type[EvolveError], sentence: str
) -> None:
    settings = deployment.settings("client")
    await reach(settings)

    with pytest.raises(error, match=sentence):
        await reach(settings.model_copy(update=changed))


@contextlib.contextmanager
def web_server(deployment: Deployment) -> Iterator[str]:
    """As its container runs it: as the user `web`, which is a client that may look after dead letters. Its address."""
    [port] = free_ports(1)
    environment = deployment.environment("web", EVOLVE_SERVICE="web", EVOLVE_WEB_PORT=str(port))
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "deploy" / "run.py")],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        probe = [sys.executable, str(ROOT / "deploy" / "probe.py")]
        until(
            lambda: subprocess.run(probe, env=environment, capture_output=True, check=False).returncode == 0,
            what="the web server", within_s=60,
        )  # fmt: skip
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_all_services_run_and_ask_each_other_each_as_its_own_user(deployment: Deployment) -> None:
    with deployment.serving(list(SERVICES)):
        asked = deployment.evolve("ask", "Give me the best model for AAPL over 90 days", "--json", "--timeout", "100")
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout)["status"] == "success"
        # The critic asks the executor for each bar's decision.
        words = ["--code", str(ROOT / "examples" / "moving_average_cross.py"), "--symbol", "AAPL", "--timeout", "100"]
        scored = deployment.evolve("backtest", *words, "--param", "fast=20", "--param", "slow=100")
        assert scored.returncode == 0, scored.stderr
        with web_server(deployment) as address:
            # On this machine, of the same user: no token is asked.
            with urllib.request.urlopen(f"{address}/api/v1/services", timeout=30) as answer:
                assert set(SERVICES) <= {each["service"] for each in json.load(answer)["services"]}
            with urllib.request.urlopen(f"{address}/api/v1/services/updater/dead-letters", timeout=30) as answer:
                assert answer.status == 200
            # What it asks of services comes back to a name that its user may read.
            with urllib.request.urlopen(f"{address}/models", timeout=30) as answer:
                assert answer.status == 200
    said = "".join(path.read_text() for path in (deployment.home / "logs").glob("*_service.log"))
    assert "refused this user" not in said
    assert "acl_refused" not in said


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_the_supervisor_runs_all_services_as_one_user(deployment: Deployment) -> None:
    up = deployment.evolve("up", user="supervisor")
    try:
        assert up.returncode == 0, up.stderr
        for service in SERVICES:
            done = deployment.evolve("ping", service)
            assert done.returncode == 0, done.stderr
    finally:
        down = deployment.evolve("down", user="supervisor")
    assert down.returncode == 0, down.stderr
