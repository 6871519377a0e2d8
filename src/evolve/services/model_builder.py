"""The model builder: trains models, tests them walk-forward, and keeps them."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Any

from evolve.contracts.model_builder import (
    AliasesListed,
    AliasMoved,
    BuildModel,
    DeleteModel,
    ExportModel,
    GetModelInfo,
    ImportModel,
    ListAliases,
    ListModels,
    ModelBuilt,
    ModelDeleted,
    ModelExported,
    ModelImported,
    ModelInfo,
    ModelsListed,
    MoveAlias,
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
            request.horizon_bars, request.seed, request.rebuild, request.simulate, request.tuned,
        )  # fmt: skip
        built = self.agent.build(order, request_id=job.request_id, progress=job.progress)
        return ModelBuilt(model_info=built.card, found=built.found)

    @handles
    def list_models(self, request: ListModels, job: Job) -> ModelsListed:
        models = self.agent.list(symbol=request.symbol, timeframe=request.timeframe, limit=request.limit)
        return ModelsListed(models=models, count=len(models))

    @handles
    def get_model_info(self, request: GetModelInfo, job: Job) -> ModelInfo:
        from evolve.agents.model_card import document

        card = self.agent.get(request.model_id)
        return ModelInfo(model_info=card, document=document(card))

    @handles
    def delete_model(self, request: DeleteModel, job: Job) -> ModelDeleted:
        self.agent.delete(request.model_id, request_id=job.request_id)
        return ModelDeleted(model_id=request.model_id)

    @handles
    def move_alias(self, request: MoveAlias, job: Job) -> AliasMoved:
        move = self.agent.move_alias(
            request.alias, request.model_id, request.symbol, request.timeframe,
            expected=request.expected, reason=request.reason, request_id=job.request_id,
        )  # fmt: skip
        return AliasMoved(move=move)

    @handles
    def list_aliases(self, request: ListAliases, job: Job) -> AliasesListed:
        current, history = self.agent.aliases(request.symbol, request.timeframe, limit=request.limit)
        return AliasesListed(current=current, history=history)

    @handles
    def export_model(self, request: ExportModel, job: Job) -> ModelExported:
        bundle = self.agent.export(request.model_id)
        return ModelExported(
            model_id=request.model_id, bundle=b64encode(bundle).decode(), sha256=sha256(bundle).hexdigest()
        )

    @handles
    def import_model(self, request: ImportModel, job: Job) -> ModelImported:
        return ModelImported(model_info=self.agent.import_bundle(request.bundle, request_id=job.request_id))

    def facts(self, request: Request[Any], outcome: Reply | EvolveError) -> Facts:
        if isinstance(outcome, ModelBuilt):
            card = outcome.model_info
            return Facts((card.recipe.symbol,), card.data.fingerprint, card.recipe.seed)
        return super().facts(request, outcome)
