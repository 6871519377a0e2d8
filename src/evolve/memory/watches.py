"""What is looked after, by which timetable, and which of its runs are done?

A run that is due is first claimed, by the leader, then sent, then marked done by whoever carried it out: what was claimed and is not
done is sent again under the same name, so that a crash between loses no run and doubles none.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, RowMapping, and_, select, update

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import InvalidRequest
from evolve.memory.database import Database, insert_into
from evolve.memory.tables import watches


@dataclass(frozen=True, slots=True)
class Watched:
    """since: when the watch began; claimed: the run of the timetable that was sent last, and when; done: the last one carried out.

    Times are Unix seconds, 0 for never. result: of the last run, in a sentence.
    """

    symbol: str
    timeframe: str
    simulate: bool
    cron: str
    timezone: str
    max_age_bars: int
    since: float
    claimed: float = 0.0
    claimed_at: float = 0.0
    done: float = 0.0
    result: str = ""


class Watches:
    def __init__(self, database: Database, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._clock = clock

    def put(
        self, symbol: str, timeframe: str, *, simulate: bool, cron: str, timezone: str, max_age_bars: int
    ) -> Watched:
        """Begin to watch, or change the timetable; what was due before is then forgotten."""
        now = self._clock.now()
        row = {
            "simulate": int(simulate), "cron": cron, "timezone": timezone, "max_age_bars": max_age_bars, "since": now,
            "claimed": 0.0, "claimed_at": 0.0, "done": 0.0,
        }  # fmt: skip
        with self._database.write() as connection:
            statement = insert_into(connection, watches).values(symbol=symbol, timeframe=timeframe, result="", **row)
            connection.execute(statement.on_conflict_do_update(index_elements=["symbol", "timeframe"], set_=row))
        found = self.find(symbol, timeframe)
        assert found is not None
        return found

    def remove(self, symbol: str, timeframe: str) -> None:
        """Raises InvalidRequest when it is not watched."""
        with self._database.write() as connection:
            where = (watches.c.symbol == symbol) & (watches.c.timeframe == timeframe)
            if not connection.execute(watches.delete().where(where)).rowcount:
                raise InvalidRequest(f"{symbol} at {timeframe} is not watched; `evolve watch` lists what is")

    def find(self, symbol: str, timeframe: str) -> Watched | None:
        return next((each for each in self.all() if (each.symbol, each.timeframe) == (symbol, timeframe)), None)

    def all(self) -> tuple[Watched, ...]:
        query = select(watches).order_by(watches.c.symbol, watches.c.timeframe)
        with self._database.read() as connection:
            return tuple(_watched(row) for row in connection.execute(query).mappings())

    def claim(self, watched: Watched, due: float) -> bool:
        """Note that the run due at `due` is about to be sent; False when the watch was changed meanwhile."""
        now = self._clock.now()
        with self._database.write() as connection:
            changed = connection.execute(update(watches).where(_unchanged(watched)).values(claimed=due, claimed_at=now))
        return bool(changed.rowcount)

    def finish(self, symbol: str, timeframe: str, *, due: float, result: str) -> None:
        """Note that a run was carried out, or could not be; an earlier one than the last done changes nothing."""
        where = (watches.c.symbol == symbol) & (watches.c.timeframe == timeframe) & (watches.c.done < due)
        with self._database.write() as connection:
            connection.execute(update(watches).where(where).values(done=due, result=result))


def _unchanged(watched: Watched) -> ColumnElement[bool]:
    return and_(
        watches.c.symbol == watched.symbol,
        watches.c.timeframe == watched.timeframe,
        watches.c.since == watched.since,
        watches.c.claimed == watched.claimed,
    )


def _watched(row: RowMapping) -> Watched:
    return Watched(**{**row, "simulate": bool(row["simulate"])})
