"""A home of its own for every test, and the values that the tests store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from evolve.memory.artifacts import ArtifactStore
from evolve.memory.database import Database
from evolve.settings import Settings

# Set by the proof that runs this directory against a PostgreSQL (tests/integration/state): each test then has a schema of its own.
SERVER = os.environ.get("TEST_POSTGRES_URL")
_schemas = count()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    if SERVER:
        monkeypatch.setenv("EVOLVE_DATABASE_URL", new_schema(SERVER))
    else:
        monkeypatch.delenv("EVOLVE_DATABASE_URL", raising=False)
    return Settings.load(home=tmp_path / "home")


@pytest.fixture
def other_settings(tmp_path: Path) -> Settings:
    """Those of a second home."""
    return Settings.load(home=tmp_path / "elsewhere", database_url=new_schema(SERVER) if SERVER else None)


@pytest.fixture
def sqlite_only() -> None:
    if SERVER:
        pytest.skip("about a file of SQLite")


def new_schema(server: str) -> str:
    """The URL of an empty schema on the server."""
    from sqlalchemy import create_engine

    name = f"test_{os.getpid()}_{next(_schemas)}"
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    engine.dispose()
    return f"{server}?options=-csearch_path%3D{name}"


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with Database.open(settings) as opened:
        yield opened


@pytest.fixture
def artifacts(settings: Settings) -> ArtifactStore:
    return ArtifactStore.open(settings)
