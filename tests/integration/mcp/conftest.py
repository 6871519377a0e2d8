"""One replica of a tenth service for all tests of this folder, and the registry that knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from evolve import services
from evolve.settings import Settings
from homes import fresh_home
from integration.messaging.fronts import fronts_in


@pytest.fixture(scope="session")
def echo_settings() -> Iterator[Settings]:
    with fresh_home() as home, fronts_in(home) as fronts:
        asyncio.run(fronts.start())
        yield fronts.settings


@pytest.fixture
def tenth(echo_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a home where the echo service runs, which the registry names and nothing else does."""
    monkeypatch.setitem(services.SERVICES, "echo", "services_under_test.echo:EchoService")
    return echo_settings
