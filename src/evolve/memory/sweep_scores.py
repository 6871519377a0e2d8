"""Which pairs of symbol and model have been scored already? So that a sweep that was interrupted does nothing twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.memory.canonical import canonical_json, from_json, sha256_of
from evolve.memory.database import Database, insert_into
from evolve.memory.tables import sweep_scores
from evolve.memory.trials import Trial, count_trial

AT_ONCE = 500  # ids in one query: both engines take thousands, SQLite of some builds no more than 999


@dataclass(frozen=True, slots=True)
class SweepScore:
    """How one recipe did on one symbol, out of sample and after costs.

    total_return, drawdown: fractions; sharpe, alpha: a year; alpha: over buy-and-hold and vol-targeted buy-and-hold; p: one-sided, that
    it is not positive. alpha_sharpe, skew, kurtosis: of the alpha per bar, for deflation. None with the reason in `why`.
    """

    symbol: str
    timeframe: str
    model_type: str
    recipe_hash: str
    data_fingerprint: str
    code_version: str
    counted_on: str
    source: str
    tested_bars: int
    sharpe: float | None
    sharpe_per_bar: float | None
    total_return: float | None
    drawdown: float | None
    relative_mae: float | None
    skill_p: float | None
    alpha: float | None
    p: float | None
    alpha_sharpe: float | None
    skew: float | None
    kurtosis: float | None
    why: str

    @property
    def score_id(self) -> str:
        return score_id(self.recipe_hash, self.data_fingerprint, self.code_version)


def score_id(recipe_hash: str, data_fingerprint: str, code_version: str) -> str:
    """The same recipe, data and code give the same score."""
    return sha256_of([recipe_hash, data_fingerprint, code_version])


class SweepScores:
    def __init__(self, database: Database, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._clock = clock

    def keep(self, score: SweepScore) -> None:
        """Keep a score and count its trial, both or neither; a score that is there stays."""
        row = {
            "score_id": score.score_id, "symbol": score.symbol, "timeframe": score.timeframe, "model_type": score.model_type,
            "document": canonical_json(score), "finished_at": self._clock.now(),
        }  # fmt: skip
        trial = Trial(score.counted_on, score.recipe_hash, score.data_fingerprint, score.sharpe_per_bar)
        with self._database.write() as connection:
            connection.execute(insert_into(connection, sweep_scores).values(row).on_conflict_do_nothing())
            count_trial(connection, trial, request_id=f"sweep {score.score_id[:10]}")

    def found(self, ids: Iterable[str]) -> dict[str, SweepScore]:
        """Those of these that are there, by id."""
        wanted, documents = list(ids), list[str]()
        with self._database.read() as connection:
            for start in range(0, len(wanted), AT_ONCE):
                some = sweep_scores.c.score_id.in_(wanted[start : start + AT_ONCE])
                documents += connection.execute(select(sweep_scores.c.document).where(some)).scalars()
        return {score.score_id: score for score in (from_json(SweepScore, document) for document in documents)}
