"""What may an agent ask of the other services? One method each, so that it never knows how a question travels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from evolve.agents.model_builder import BuildOrder
from evolve.cards import ComparisonCard, EvaluationCard, ModelCard, Routing
from evolve.errors import EvolveError


class Desk(Protocol):
    """How the other services are asked. Each method raises their typed errors."""

    def understand(
        self, query: str, history: Sequence[str], symbols: Sequence[str] = (), *, replay: bool = False
    ) -> Routing: ...
    def build_all(self, orders: Sequence[BuildOrder]) -> list[ModelCard | EvolveError]: ...
    def compare(
        self, model_ids: Sequence[str], symbol: str, timeframe: str, period: str, *, simulate: bool, refit: bool, ledger_position: int, trials: int
    ) -> ComparisonCard: ...  # fmt: skip
    def evaluate(self, model_id: str, symbol: str | None, timeframe: str | None, period: str) -> EvaluationCard: ...
    def models(self) -> Sequence[ModelCard]: ...
    def evaluations(self, model_id: str) -> Sequence[EvaluationCard]: ...
    def forward(self, routing: Routing) -> dict[str, Any]: ...
    def progress(self, stage: str, done: int, total: int, message: str) -> None: ...
