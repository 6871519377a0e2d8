"""The performance critic: scores models out of sample, net of costs, and says whether that could be luck."""

from __future__ import annotations

from typing import Any

from evolve.contracts.performance_critic import (
    BestModels,
    CompareModels,
    EvaluateModel,
    EvaluationHistory,
    GetBestModels,
    GetEvaluationHistory,
    ModelEvaluated,
    ModelsCompared,
)
from evolve.errors import EvolveError
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, handles
from evolve.services.base import BaseService, Facts


class PerformanceCriticService(BaseService):
    name = "performance_critic"
    preload = ("evolve.agents.performance_critic",)

    def setup(self) -> None:
        from evolve.agents.performance_critic import PerformanceCriticAgent

        self.agent = PerformanceCriticAgent.from_settings(self.settings)

    @handles
    def evaluate_model(self, request: EvaluateModel, job: Job) -> ModelEvaluated:
        evaluation = self.agent.evaluate(
            request.model_id, symbol=request.symbol, timeframe=request.timeframe, period=request.period,
            metrics=request.metrics, simulate=request.simulate, refit=request.refit, request_id=job.request_id, progress=job.progress,
        )  # fmt: skip
        return ModelEvaluated(evaluation=evaluation)

    @handles
    def compare_models(self, request: CompareModels, job: Job) -> ModelsCompared:
        comparison = self.agent.compare(
            request.model_ids, symbol=request.symbol, timeframe=request.timeframe, period=request.period,
            simulate=request.simulate, refit=request.refit, ledger_position=request.ledger_position, trials=request.trials, request_id=job.request_id,
            progress=job.progress,
        )  # fmt: skip
        return ModelsCompared(comparison=comparison)

    @handles
    def get_evaluation_history(self, request: GetEvaluationHistory, job: Job) -> EvaluationHistory:
        return EvaluationHistory(history=self.agent.history(request.model_id, request.limit), model_id=request.model_id)

    @handles
    def get_best_models(self, request: GetBestModels, job: Job) -> BestModels:
        models = self.agent.best(request.symbol, request.timeframe, request.limit, request.metric)
        return BestModels(models=models, symbol=request.symbol, timeframe=request.timeframe, metric=request.metric)

    def facts(self, request: Request[Any], outcome: Reply | EvolveError) -> Facts:
        if isinstance(outcome, ModelEvaluated):
            return Facts((outcome.evaluation.symbol,), outcome.evaluation.trust.data.fingerprint)
        if isinstance(outcome, ModelsCompared):
            return Facts((outcome.comparison.symbol,), outcome.comparison.trust.data.fingerprint)
        return super().facts(request, outcome)
