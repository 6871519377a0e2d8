"""Which model is in charge of a symbol, and which one challenges it? Names that move from model to model, one at a time.

An alias moves only from the model that the mover believes to hold it (compare-and-set): of two who promote at once, one is told
that the other was first. Every move stays on record; the newest row of a symbol, timeframe and alias is its present.
"""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping, select

from evolve.cards import AliasMove, AliasName
from evolve.clock import SYSTEM_CLOCK, Clock, iso
from evolve.errors import InvalidRequest, UnknownModel
from evolve.memory.database import Database, insert_new
from evolve.memory.tables import aliases, models


class Aliases:
    def __init__(self, database: Database, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._clock = clock

    def move(
        self,
        alias: AliasName,
        *,
        symbol: str,
        timeframe: str,
        model_id: str | None,
        expected: str | None,
        reason: str,
        request_id: str,
    ) -> AliasMove:
        """Give the alias to a model, or set it free (None), if `expected` holds it now.

        The same request may move it twice. Raises InvalidRequest when another model holds it (`holder` in the details) or when the
        model is of another symbol or timeframe, UnknownModel for one that is not registered.
        """
        with self._database.write() as connection:
            before = connection.execute(select(aliases).where(aliases.c.request_id == request_id)).mappings().first()
            if before is not None:
                return _move_of(before)
            if model_id is not None:
                _check(connection, model_id, symbol, timeframe)
            now = _newest(connection, alias, symbol, timeframe)
            holder = now["model_id"] if now is not None else None
            if holder != expected:
                raise InvalidRequest(
                    f"{alias} of {symbol} {timeframe} is {holder or 'nobody'}, not {expected or 'nobody'}: look again, then say which one to replace",
                    holder=holder,
                )
            row = {
                "symbol": symbol,
                "timeframe": timeframe,
                "alias": alias,
                "model_id": model_id,
                "previous": holder,
                "reason": reason,
                "request_id": request_id,
                "moved_at": self._clock.now(),
            }
            insert_new(connection, aliases, row)
            return _move_of(row)

    def holder(self, alias: AliasName, *, symbol: str, timeframe: str) -> str | None:
        """The model that holds the alias now."""
        with self._database.read() as connection:
            now = _newest(connection, alias, symbol, timeframe)
        return now["model_id"] if now is not None else None

    def current(self, *, symbol: str | None = None, timeframe: str | None = None) -> tuple[AliasMove, ...]:
        """The last move of each alias that is held, newest first."""
        newest: dict[tuple[str, str, str], AliasMove] = {}
        for move in self.history(symbol=symbol, timeframe=timeframe, limit=None):
            newest.setdefault((move.symbol, move.timeframe, move.alias), move)
        return tuple(move for move in newest.values() if move.model_id is not None)

    def history(
        self, *, symbol: str | None = None, timeframe: str | None = None, limit: int | None = 100
    ) -> tuple[AliasMove, ...]:
        """Every move, newest first; limit None: all of them."""
        query = select(aliases).order_by(aliases.c.id.desc()).limit(limit)
        for column, wanted in ((aliases.c.symbol, symbol), (aliases.c.timeframe, timeframe)):
            if wanted is not None:
                query = query.where(column == wanted)
        with self._database.read() as connection:
            return tuple(_move_of(row) for row in connection.execute(query).mappings())


def held_by(connection: Connection, model_id: str) -> tuple[AliasMove, ...]:
    """The aliases that a model holds now."""
    rows = connection.execute(select(aliases).where(aliases.c.model_id == model_id)).mappings().all()
    newest = (_newest(connection, row["alias"], row["symbol"], row["timeframe"]) for row in rows)
    return tuple({move.alias: move for row in newest if row and (move := _move_of(row)).model_id == model_id}.values())


def release_all(connection: Connection, model_id: str, *, reason: str, request_id: str, moved_at: float) -> None:
    """Set every alias of a model free, inside the transaction of who takes the model away."""
    for held in held_by(connection, model_id):
        row = {
            "symbol": held.symbol,
            "timeframe": held.timeframe,
            "alias": held.alias,
            "model_id": None,
            "previous": model_id,
            "reason": reason,
            "request_id": f"{request_id}/{held.alias}",
            "moved_at": moved_at,
        }
        insert_new(connection, aliases, row)


def _newest(connection: Connection, alias: str, symbol: str, timeframe: str) -> RowMapping | None:
    query = (
        select(aliases)
        .where(aliases.c.symbol == symbol, aliases.c.timeframe == timeframe, aliases.c.alias == alias)
        .order_by(aliases.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).mappings().first()


def _check(connection: Connection, model_id: str, symbol: str, timeframe: str) -> None:
    query = select(models).where(models.c.model_id == model_id, models.c.deleted_at.is_(None))
    row = connection.execute(query).mappings().first()
    if row is None:
        raise UnknownModel(f"there is no model {model_id!r}; `evolve models` lists them", model_id=model_id)
    if (row["symbol"], row["timeframe"]) != (symbol, timeframe):
        raise InvalidRequest(
            f"{model_id} is a model of {row['symbol']} {row['timeframe']} and cannot stand for {symbol} {timeframe}"
        )


def _move_of(row: RowMapping | dict[str, object]) -> AliasMove:
    moved_at = row["moved_at"]
    assert isinstance(moved_at, float | int)
    return AliasMove(
        symbol=str(row["symbol"]),
        timeframe=str(row["timeframe"]),
        alias="champion" if row["alias"] == "champion" else "challenger",
        model_id=None if row["model_id"] is None else str(row["model_id"]),
        previous=None if row["previous"] is None else str(row["previous"]),
        reason=str(row["reason"]),
        at=iso(float(moved_at)),
    )
