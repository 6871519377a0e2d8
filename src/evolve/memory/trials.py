"""How many models were tried on this symbol before one looked good? The count that deflates a Sharpe ratio, kept across runs.

A trial is one recipe on one data set; trying it again is no new trial. An answer records the ledger's `position`, so that it can be
reproduced later with the trials "as of then".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from evolve.memory.database import Database, insert_new
from evolve.memory.tables import trials


@dataclass(frozen=True, slots=True)
class Trial:
    """One recipe tried on one data set. sharpe_per_bar: its out-of-sample Sharpe ratio after costs, not annualised; None if undefined."""

    symbol: str
    recipe_hash: str
    data_fingerprint: str
    sharpe_per_bar: float | None = None


class TrialLedger:
    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, tried: Iterable[Trial], *, request_id: str) -> int:
        """Add trials, all or none; returns how many were new."""
        with self._database.write() as connection:
            return sum(count_trial(connection, trial, request_id=request_id) for trial in tried)

    def position(self) -> int:
        """Where the ledger ends now; 0 when empty. Pass it as `as_of` to see it so again."""
        with self._database.read() as connection:
            return connection.execute(select(func.max(trials.c.id))).scalar() or 0

    def count(self, symbol: str, *, as_of: int | None = None) -> int:
        """Distinct trials on a symbol, up to a position or all."""
        return len(self.tried(symbol, as_of=as_of))

    def tried(self, symbol: str, *, as_of: int | None = None) -> tuple[Trial, ...]:
        """The trials on a symbol in the order they were first made; their Sharpe ratios give the variance that deflation needs."""
        query = select(trials).where(trials.c.symbol == symbol).order_by(trials.c.id)
        if as_of is not None:
            query = query.where(trials.c.id <= as_of)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(
            Trial(row["symbol"], row["recipe_hash"], row["data_fingerprint"], row["sharpe_per_bar"]) for row in rows
        )


def count_trial(connection: Connection, trial: Trial, *, request_id: str) -> bool:
    """Add a trial within a transaction of the caller's; whether it was new."""
    row = {
        "symbol": trial.symbol,
        "recipe_hash": trial.recipe_hash,
        "data_fingerprint": trial.data_fingerprint,
        "request_id": request_id,
        "sharpe_per_bar": trial.sharpe_per_bar,
    }
    return insert_new(connection, trials, row) is not None
