"""The newest run of each request that ran more than once."""

from evolve.memory import ddl

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    ddl.run("CREATE TABLE fences (request TEXT NOT NULL PRIMARY KEY, token TEXT NOT NULL)")
