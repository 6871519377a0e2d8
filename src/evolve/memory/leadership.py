"""Which of several processes does what only one may do? A role with a term: who holds it, until when, and a token for what it writes.

A holder that falls asleep and wakes after another took over has a smaller token: its writes are refused by the fence (see `fence`), in
the transaction that would have made them. Leases are measured by one clock, the database's: a host that is an hour ahead neither takes a
role away nor keeps it for an hour after it died.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from evolve.clock import Clock
from evolve.memory.database import Database, put
from evolve.memory.fence import ROLES, Fence
from evolve.memory.tables import fences, leaders


@dataclass(frozen=True, slots=True)
class Term:
    """A role that is held. number: grows with every change of hands. until: by the database's clock."""

    role: str
    holder: str
    number: int
    until: float

    @property
    def fence(self) -> Fence:
        """What every write of the holder is made behind."""
        return Fence(f"{ROLES}{self.role}", f"{self.number:020d}", again=True)


class Leadership:
    def __init__(self, database: Database, *, clock: Clock | None = None) -> None:
        """clock: in the place of the database's, for tests."""
        self._database = database
        self._clock = clock

    def claim(self, role: str, holder: str, *, lease_s: float) -> Term | None:
        """Take or keep a role for `lease_s` more seconds; None while another holds it."""
        with self._database.write() as connection:
            now = self._now(connection)
            held = connection.execute(select(leaders).where(leaders.c.role == role)).mappings().first()
            mine = held is not None and held["holder"] == holder and held["until"] > now
            if held is not None and not mine and held["until"] > now:
                return None
            # An own lease that lapsed is a new term: another may have led and gone in between.
            number = 1 if held is None else held["term"] + (not mine)
            term = Term(role, holder, number, now + lease_s)
            row = {"holder": holder, "term": number, "until": term.until}
            put(connection, leaders, {"role": role}, row)
            # With the change of hands, not with the first write of who leads now: that may be hours away, and until then one
            # who slept through it would still be let in.
            put(connection, fences, {"request": term.fence.request}, {"token": term.fence.token})
            return term

    def resign(self, term: Term) -> None:
        """Let another take over at once; nothing if the term is over."""
        with self._database.write() as connection:
            now = self._now(connection)
            mine = (leaders.c.role == term.role) & (leaders.c.holder == term.holder) & (leaders.c.term == term.number)
            connection.execute(leaders.update().where(mine).values(until=now))

    def _now(self, connection: Connection) -> float:
        return self._database.now(connection) if self._clock is None else self._clock.now()
