"""How has a model done each time it was judged? The history of its evaluations, which deleting the model does not erase."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from evolve.cards import TrustCard
from evolve.evidence import Evidence
from evolve.memory.canonical import canonical_json, from_json, sha256_of
from evolve.memory.database import Database, insert_new
from evolve.memory.tables import evaluations, models


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One judgement of one model.

    overall_score: None when unknown (too few bars); figures: its metrics by name; period_days: the stretch scored, None for all;
    evaluated_at: ISO 8601, UTC.
    """

    model_id: str
    request_id: str
    symbol: str
    timeframe: str
    evaluated_at: str
    code_version: str
    overall_score: float | None
    figures: tuple[Evidence, ...]
    trust: TrustCard
    period_days: int | None = None

    @property
    def evaluation_id(self) -> str:
        trust = self.trust
        return evaluation_id(
            self.model_id, trust.data.fingerprint, self.period_days, trust.ledger_position, self.code_version
        )


def evaluation_id(model_id: str, fingerprint: str, days: int | None, position: int, code: str) -> str:
    """What an evaluation came from: model, bars, stretch shown, trials counted and code."""
    return sha256_of([model_id, fingerprint, days, position, code])[:12]


class Evaluations:
    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, evaluation: Evaluation) -> bool:
        """Add to the history; False when this request has evaluated this model before (the first stays)."""
        row = {
            "request_id": evaluation.request_id,
            "model_id": evaluation.model_id,
            "symbol": evaluation.symbol,
            "timeframe": evaluation.timeframe,
            "evaluation": canonical_json(evaluation),
        }
        with self._database.write() as connection:
            return insert_new(connection, evaluations, row) is not None

    def history(self, model_id: str, *, limit: int = 10) -> tuple[Evaluation, ...]:
        """The latest evaluations of a model, newest first; empty when it has none."""
        query = (
            select(evaluations.c.evaluation)
            .where(evaluations.c.model_id == model_id)
            .order_by(evaluations.c.id.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            texts = connection.execute(query).scalars().all()
        return tuple(from_json(Evaluation, text) for text in texts)

    def latest(self, symbol: str, timeframe: str) -> tuple[Evaluation, ...]:
        """The newest evaluation of each model that is not deleted, newest first: what a ranking starts from."""
        newest = (
            select(func.max(evaluations.c.id))
            .where(evaluations.c.symbol == symbol, evaluations.c.timeframe == timeframe)
            .where(evaluations.c.model_id.in_(select(models.c.model_id).where(models.c.deleted_at.is_(None))))
            .group_by(evaluations.c.model_id)
        )
        query = select(evaluations.c.evaluation).where(evaluations.c.id.in_(newest)).order_by(evaluations.c.id.desc())
        with self._database.read() as connection:
            texts = connection.execute(query).scalars().all()
        return tuple(from_json(Evaluation, text) for text in texts)
