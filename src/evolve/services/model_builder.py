"""The model builder: trains models, tests them walk-forward, and keeps them."""

from __future__ import annotations

from typing import Any

from evolve.contracts.model_builder import (
    BuildModel,
    DeleteModel,
    GetModelInfo,
    ListModels,
    ModelBuilt,
    ModelDeleted,
    ModelInfo,
    ModelsListed,
)
from evolve.errors import EvolveError
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, handles
from evolve.services.base import BaseService, Facts


class ModelBuilderService(BaseService):
    name = "model_builder"
    preload = ("evolve.agents.model_builder",)

    def setup(self) -> None:
        from evolve.agents.model_builder import ModelBuilderAgent

        self.agent = ModelBuilderAgent.from_settings(self.settings)

    @handles
    def build_model(self, request: BuildModel, job: Job) -> ModelBuilt:
        from evolve.agents.model_builder import BuildOrder

        order = BuildOrder(
            request.model_type, request.symbol, request.timeframe, tuple(request.features or ()), request.hyperparameters,
            request.horizon_bars, request.seed, request.rebuild, request.simulate,
        )  # fmt: skip
        built = self.agent.build(order, request_id=job.request_id, progress=job.progress)
        return ModelBuilt(model_info=built.card, found=built.found)

    @handles
    def list_models(self, request: ListModels, job: Job) -> ModelsListed:
        models = self.agent.list(symbol=request.symbol, timeframe=request.timeframe, limit=request.limit)
        return ModelsListed(models=models, count=len(models))

    @handles
    def get_model_info(self, request: GetModelInfo, job: Job) -> ModelInfo:
        return ModelInfo(model_info=self.agent.get(request.model_id))

    @handles
    def delete_model(self, request: DeleteModel, job: Job) -> ModelDeleted:
        self.agent.delete(request.model_id, request_id=job.request_id)
        return ModelDeleted(model_id=request.model_id)

    def facts(self, request: Request[Any], outcome: Reply | EvolveError) -> Facts:
        if isinstance(outcome, ModelBuilt):
            card = outcome.model_info
            return Facts((card.recipe.symbol,), card.data.fingerprint, card.recipe.seed)
        return super().facts(request, outcome)
