"""A home of its own for every test, and the values that the tests store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.memory.artifacts import ArtifactStore
from evolve.memory.database import Database
from evolve.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("EVOLVE_DATABASE_URL", raising=False)
    return Settings.load(home=tmp_path / "home")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with Database.open(settings) as opened:
        yield opened


@pytest.fixture
def artifacts(settings: Settings) -> ArtifactStore:
    return ArtifactStore.open(settings)
