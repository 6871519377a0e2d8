"""Can a service be used as a class, and configured as seed.md shows? Constructors, settings, environment, a server of one's own."""

from __future__ import annotations

import contextlib
import importlib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from seed_blocks import block
from seed_system import System, eventually

from evolve.client.client import ServiceClient
from evolve.messaging import embedded
from evolve.services import SERVICES as NAMES

PASSWORD = "a secret of this test"


@dataclass(frozen=True)
class OwnServer:
    """A Redis-compatible server on TCP that the user started, with a password."""

    port: int

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "REDIS_HOST": "localhost",
            "REDIS_PORT": str(self.port),
            "REDIS_DB": "0",
            "REDIS_PASSWORD": PASSWORD,
            **more,
        }


@contextlib.contextmanager
def serving(port: int, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [embedded.binary(), "--port", str(port), "--dir", directory, "--requirepass", PASSWORD, "--save", "", "--appendonly", "yes"],
        stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            with redis.Redis(port=port, password=PASSWORD) as connection:

                def answers() -> bool:
                    try:
                        return bool(connection.ping())
                    except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
                        return False

                eventually(answers, what="a PONG of the server")
            yield process
        finally:
            process.terminate()


@pytest.fixture
def own_server(tmp_path: Path, free_port: int) -> Iterator[OwnServer]:
    with serving(free_port, tmp_path):
        yield OwnServer(free_port)


# --- classes ---


def service_class(name: str) -> type:
    """As seed.md imports it: services.<name>_service.<Name>Service."""
    module = importlib.import_module(f"services.{name}_service")
    return getattr(module, "".join(part.capitalize() for part in name.split("_")).replace("Gpt", "GPT") + "Service")


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2]))


@pytest.fixture
def connecting_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a constructor must connect to nothing")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("evolve.messaging.connection.client_for", refuse)


@pytest.mark.usefixtures("connecting_is_an_error")
@pytest.mark.parametrize("name", NAMES)
def test_constructing_a_service_connects_to_nothing(name, home):
    from services.base_service import BaseService

    service = service_class(name)(redis_host="your-redis-host", redis_port=6379, redis_db=0)

    assert isinstance(service, BaseService)
    assert service.settings.redis_host == "your-redis-host"
    assert not home.exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_service_tells_its_channels_and_requests(name):
    info = service_class(name)().get_service_info()
    assert info["channels"] == {kind: f"{name}_{kind}" for kind in ("input", "output", "control")}
    assert info["name"] == name
    assert info["requests"]
    assert info["running"] is False


@pytest.mark.usefixtures("connecting_is_an_error")
def test_the_block_that_customises_a_service_runs_as_shown():
    names: dict[str, object] = {"ModelBuilderService": service_class("model_builder")}
    exec(block("service = ModelBuilderService(").text, names)
    assert names["service"].settings.redis_host == "your-redis-host"


def test_a_service_starts_and_stops_in_the_background_of_a_program(settings):
    service = service_class("prompt_router")(settings=settings)
    service.start()
    try:
        assert service.get_service_info()["running"]
        with ServiceClient(settings=settings) as client:
            assert client.detect_intent("Analyze IBM")["result"]["intent"] == "market_analysis"
    finally:
        service.stop()
    assert service.get_service_info()["running"] is False


# --- settings ---


@pytest.mark.parametrize("make", [ServiceClient, service_class], ids=["client", "service"])
def test_argument_beats_environment_beats_default(make: Callable, monkeypatch):
    made = make("prompt_router") if make is service_class else make
    assert made().settings.redis_port == 6379
    monkeypatch.setenv("REDIS_PORT", "7000")
    assert made().settings.redis_port == 7000
    assert made(redis_port=7001).settings.redis_port == 7001


def test_the_documented_variables_are_the_defaults_written_down():
    exported = dict(line.removeprefix("export ").split("=") for line in block("export REDIS_HOST").commands)
    settings = ServiceClient().settings
    assert exported == {
        "REDIS_HOST": settings.redis_host,
        "REDIS_PORT": str(settings.redis_port),
        "REDIS_DB": str(settings.redis_db),
        "LOG_LEVEL": settings.log_level,
    }


@pytest.mark.xdist_group("running")
def test_the_documented_variables_mean_the_same_as_none(running: System):
    """The defaults mean "as configured": exporting them does not lead away from the services that run."""
    exports = " && ".join(block("export REDIS_HOST").commands)
    status = running.json(f"{exports} && python service_manager.py --action status")
    assert {entry["status"] for entry in status.values()} == {"running"}


def test_services_run_on_a_server_of_ones_own_with_a_password(own_server: OwnServer, fresh: System, gently):
    """REDIS_HOST, REDIS_PORT, REDIS_DB, REDIS_PASSWORD; no server of ours is started beside it."""
    environment = own_server.environment()
    status = fresh.json("python service_manager.py --action start --service prompt_router", extra=environment)
    assert status["prompt_router"]["status"] == "running"

    reply = fresh.json("python service_client.py --action route", extra=environment)
    assert reply["type"] == "prompt_routed"
    by_flag = f"python service_client.py --action route --redis-host 127.0.0.1 --redis-port {own_server.port}"
    assert fresh.json(by_flag, extra={"REDIS_PASSWORD": PASSWORD})["type"] == "prompt_routed"
    with redis.Redis(port=own_server.port, password=PASSWORD) as connection:
        assert b"prompt_router_input" in connection.pubsub_channels()
    assert not (fresh.home / "redis").exists()

    stopped = fresh.shell("evolve down", extra=environment)
    assert "prompt_router" in stopped.stdout


def test_a_server_that_restarts_is_reached_again(free_port: int, tmp_path: Path, fresh: System):
    """Redis connection issues are handled with retries: what is asked afterwards is answered, nothing has to be restarted."""
    environment = OwnServer(free_port).environment()
    with serving(free_port, tmp_path):
        before = fresh.json("python service_manager.py --action start --service prompt_router", extra=environment)
    with serving(free_port, tmp_path):
        reply = fresh.json("python service_client.py --action route", extra=environment)
        assert reply["type"] == "prompt_routed"
        after = fresh.json("python service_manager.py --action status --service prompt_router", extra=environment)
        assert after["prompt_router"]["pids"] == before["prompt_router"]["pids"]
        fresh.shell("evolve down", extra=environment)


def test_a_wrong_password_is_said_in_one_sentence(own_server: OwnServer, fresh: System):
    environment = own_server.environment(REDIS_PASSWORD="wrong")
    done = fresh.shell("python service_client.py --action route", extra=environment)
    assert done.returncode == 1
    assert "password" in done.stdout.lower() + done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_log_level_decides_what_is_written(fresh: System, gently):
    from evolve.manager.manager import ServiceManager

    def log_of_a_run(level: str) -> str:
        path = fresh.home / "logs" / "prompt_router_service.log"
        path.unlink(missing_ok=True)
        process = fresh.launch("launch_prompt_router.py", extra={"LOG_LEVEL": level})
        with ServiceManager(settings=fresh.settings) as manager:
            eventually(lambda: manager.get_service_status("prompt_router")["prompt_router"]["status"] == "running")
        assert gently(process) == 0
        return path.read_text()

    assert "level='info'" in log_of_a_run("INFO")
    assert "level='info'" not in log_of_a_run("ERROR")
