"""One replica for the tests that leave it as they found it, and fresh ones for those that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from homes import fresh_home
from integration.messaging.fronts import Fronts, fronts_in


@pytest.fixture(scope="session")
def echo() -> Iterator[Fronts]:
    """A home with one running replica of the echo service, shared: neither stop nor kill it."""
    with fresh_home() as home, fronts_in(home) as fronts:
        asyncio.run(fronts.start())
        yield fronts


@pytest.fixture
def fronts(home: Path) -> Iterator[Fronts]:
    """A fresh home with its server, and no replica yet."""
    with fronts_in(home) as launching:
        yield launching
