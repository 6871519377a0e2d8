"""Which version of the schema does a database have, and how does it get the newest? By Alembic's revisions, in one transaction.

The revision stands in Alembic's own table. Beside it `schema_version` keeps when each step ran and by which code, and lets an Evolve
from before Alembic refuse the file with a sentence instead of misreading it. Looking costs one query; Alembic itself is imported only
when there is something to do.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, func, insert, inspect, select, text

from evolve.clock import Clock
from evolve.errors import Unavailable
from evolve.memory.tables import schema_version

REVISIONS = Path(__file__).with_name("revisions")
ALEMBIC_TABLE = "alembic_version"
# Alembic hands a migration its connection through a module of its own, which is one per process.
_one_at_a_time = threading.Lock()


def newest(places: Sequence[Path] = (REVISIONS,)) -> int:
    """The schema that this Evolve writes: the number of its last revision (`rNNNN_what.py`)."""
    return max(int(path.name[1:5]) for place in places for path in place.glob("r[0-9][0-9][0-9][0-9]_*.py"))


def found(connection: Connection, where: str) -> int:
    """The schema's number; 0 for an empty database. Raises Unavailable for one of another program."""
    names = inspect(connection).get_table_names()
    if ALEMBIC_TABLE in names:
        revision = connection.execute(text(f"SELECT max(version_num) FROM {ALEMBIC_TABLE}")).scalar()
        if revision is not None:
            return int(revision)
    if schema_version.name in names:  # from before Alembic
        return connection.execute(select(func.max(schema_version.c.version))).scalar() or 0
    if names:
        raise Unavailable(
            f"{where} is a database of another program (it holds {names[0]!r}); set EVOLVE_HOME to another directory, or EVOLVE_DATABASE_URL to another database"
        )
    return 0


def is_current(connection: Connection, where: str, places: Sequence[Path]) -> bool:
    """Raises Unavailable when a newer Evolve wrote it."""
    there, known = found(connection, where), newest(places)
    if there > known:
        raise Unavailable(
            f"{where} was written by a newer Evolve (schema {there}; this one knows {known}); "
            "update this installation, or set EVOLVE_HOME to another directory"
        )
    return there == known


def upgrade(
    connection: Connection, where: str, *, places: Sequence[Path], clock: Clock, to: int | None = None
) -> tuple[int, ...]:
    """Run what is missing, up to the newest or `to`, within the caller's transaction; the numbers of what ran."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    before = found(connection, where)
    if not inspect(connection).has_table(schema_version.name):
        schema_version.create(connection)
    script = ScriptDirectory(str(REVISIONS.parent), version_locations=[str(place) for place in places])
    ran: list[int] = []

    def journal(step: Any, *_: Any, **__: Any) -> None:
        number = int(step.up_revision_id)
        ran.append(number)
        row = {"version": number, "applied_at": clock.now(), "code_version": _code_version()}
        connection.execute(insert(schema_version).values(row))

    def steps(revision: Any, _: Any) -> Any:
        return script._upgrade_revs(_name(to or newest(places)), revision)

    if before and not inspect(connection).has_table(
        ALEMBIC_TABLE
    ):  # from before Alembic: it stands where the journal says
        MigrationContext.configure(connection).stamp(script, _name(before))
    with _one_at_a_time, EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(connection=connection, on_version_apply=cast(Any, journal))
        environment.run_migrations()
    return tuple(ran)


def _name(number: int) -> str:
    return f"{number:04d}"


def _code_version() -> str:
    try:
        return version("evolve-trading")
    except PackageNotFoundError:
        return "unknown"
