"""What lies in the stores that nothing names any more? Weights of deleted models, and files of bars whose writer died.

A deleted model's row stays, since its history does; its files are found here and may go. Files that somebody writes at this moment
look the same, so nothing may run while they are removed.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from evolve.market.store import BarStore
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.database import Database
from evolve.memory.tables import models
from evolve.settings import Settings


@dataclass(frozen=True, slots=True)
class Orphans:
    """artifacts: by their sha256; bars: by where they are."""

    artifacts: tuple[str, ...]
    bars: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.artifacts) + len(self.bars)


def orphans(settings: Settings) -> Orphans:
    """Raises Unavailable when a store cannot be read."""
    stored = set(ArtifactStore.open(settings).names())  # before the rows, which are written after their files
    with Database.open(settings) as database, database.read() as connection:
        living = select(models.c.weights_sha256, models.c.out_of_sample_sha256).where(models.c.deleted_at.is_(None))
        named = {sha256 for row in connection.execute(living) for sha256 in row}
    return Orphans(tuple(sorted(stored - named)), tuple(BarStore.open(settings).orphans()))


def remove_orphans(settings: Settings) -> Orphans:
    """What was removed. Nothing may write meanwhile."""
    found = orphans(settings)
    artifacts = ArtifactStore.open(settings)
    for sha256 in found.artifacts:
        artifacts.remove(sha256)
    BarStore.open(settings).remove_orphans()
    return found
