"""What every test may ask for: a home of its own, settings in it, a bus, running services.

Tests never touch a server they did not start: what the user's shell configures is removed before the first import, and
every server listens on a Unix socket in a fresh directory. `async def` tests run in an event loop of their own.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from evolve.manager.manager import ServiceManager
from evolve.messaging import embedded
from evolve.messaging.connection import bus_for
from evolve.messaging.redis_bus import RedisBus
from evolve.settings import Settings
from homes import cleaned, fresh_home

ASYNC_TEST_S = 90.0  # less than pytest's own timeout, so that the loop ends in order and says where it hung

_names = itertools.count(1)

# A machine that is busy makes examples slowly; that is no finding about what they test.
hypothesis_settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    kept = cleaned(os.environ)
    os.environ.clear()
    os.environ.update(kept)
    # Whoever forgets to ask for `home` writes here, and never into the user's own data.
    stray = Path(tempfile.gettempdir()) / f"ev-stray-{os.getpid()}"
    os.environ["EVOLVE_HOME"], os.environ["EVOLVE_LOG_DIR"] = str(stray / "home"), str(stray / "logs")
    config.add_cleanup(lambda: shutil.rmtree(stray, ignore_errors=True))


def pytest_itemcollected(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        item.fixturenames.insert(0, "loop")  # first, so that whatever is opened in it closes before it does


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    marked = pyfuncitem.get_closest_marker("timeout")  # a long proof has more time
    limit_s = ASYNC_TEST_S if marked is None else max(ASYNC_TEST_S, 0.9 * marked.args[0])
    pyfuncitem.funcargs["loop"].run(asyncio.wait_for(pyfuncitem.obj(**arguments), limit_s))
    return True


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    """The event loop of an `async def` test, for fixtures that must open and close something in it."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that does not exist yet, set in the environment. What was started in it is ended; a process left is a failure."""
    with fresh_home() as path:
        monkeypatch.setenv("EVOLVE_HOME", str(path))
        monkeypatch.setenv("EVOLVE_LOG_DIR", str(path / "logs"))
        yield path


@pytest.fixture
def settings(home: Path) -> Settings:
    """Settings of the fresh home: no server configured, so the embedded one is meant."""
    return Settings.load()


@pytest.fixture
def services(settings: Settings) -> Iterator[ServiceManager]:
    """All services of a fresh home, running."""
    with ServiceManager(settings=settings) as manager:
        manager.start_all_services()
        yield manager
        manager.down()


@pytest.fixture(scope="session")
def server() -> Iterator[Settings]:
    """A real server for all tests of this process: use names of your own (`unique_name`). Its settings.

    TEST_SERVER=/path/to/redis-server: another program than the embedded one.
    """
    with fresh_home() as path, pytest.MonkeyPatch.context() as patch:
        if program := os.environ.get("TEST_SERVER"):
            patch.setattr(embedded, "binary", lambda: Path(program))
        embedded.ensure(path)
        url = f"unix://{embedded.socket_path(path)}?db=0"
        yield Settings.load(home=path, log_dir=path / "logs", redis_url=url)


@pytest.fixture
def unique_name() -> str:
    """A service name that no other test of this process uses."""
    return f"echo{next(_names)}"


@pytest.fixture
def redis_bus(server: Settings, loop: asyncio.Runner) -> Iterator[RedisBus]:
    """A bus on the shared server, in the loop of the test."""

    async def made() -> RedisBus:
        return bus_for(server)

    bus = loop.run(made())
    yield bus
    loop.run(bus.close())


@pytest.fixture
def free_port() -> int:
    """A TCP port on localhost that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
