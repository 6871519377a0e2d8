"""QuantGPT: a question in plain English, answered by asking the other services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evolve.cards import ComparisonCard, EvaluationCard, ModelCard, Routing
from evolve.contracts import request_class
from evolve.contracts.model_builder import BuildModel, ListModels, ModelBuilt
from evolve.contracts.performance_critic import CompareModels, EvaluateModel, GetEvaluationHistory
from evolve.contracts.prompt_router import RoutePrompt
from evolve.contracts.quant_gpt import (
    AnswerFound,
    AvailableSymbols,
    GetAnswer,
    GetAvailableSymbols,
    GetQueryHistory,
    ProcessQuery,
    QueryHistory,
    QueryProcessed,
)
from evolve.errors import EvolveError
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, handles
from evolve.services.base import BaseService, Facts
from evolve.settings import Settings

if TYPE_CHECKING:
    from evolve.agents.model_builder import BuildOrder


class QuantGPTService(BaseService):
    name = "quant_gpt"
    preload = ("evolve.agents.quant_gpt", "evolve.charts.equity")

    def __init__(
        self,
        redis_host: str = "localhost",
        redis_port: int = 6379,
        redis_db: int = 0,
        *,
        openai_api_key: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(redis_host, redis_port, redis_db, settings=settings)
        if openai_api_key is not None:
            self.settings = self.settings.model_copy(update={"openai_api_key": openai_api_key})

    def setup(self) -> None:
        from evolve.agents.quant_gpt import QuantGptAgent

        self.agent = QuantGptAgent.from_settings(self.settings)

    @handles
    def process_query(self, request: ProcessQuery, job: Job) -> QueryProcessed:
        result = self.agent.process(
            request.query, BusDesk(job), request_id=job.request_id, session=request.session,
            simulate=request.simulate, reproduce=request.reproduce, document=request.document, replay=request.replay,
        )  # fmt: skip
        return QueryProcessed(result=result)

    @handles
    def get_query_history(self, request: GetQueryHistory, job: Job) -> QueryHistory:
        history = self.agent.history(request.limit, request.symbol)
        return QueryHistory(history=history, symbol=request.symbol, count=len(history))

    @handles
    def get_available_symbols(self, request: GetAvailableSymbols, job: Job) -> AvailableSymbols:
        return AvailableSymbols(**self.agent.available())

    @handles
    def get_answer(self, request: GetAnswer, job: Job) -> AnswerFound:
        return AnswerFound(answer=self.agent.stored(request.answer_id))

    def facts(self, request: Request[Any], outcome: Reply | EvolveError) -> Facts:
        if not isinstance(outcome, QueryProcessed):
            return super().facts(request, outcome)
        parsed, answer = outcome.result.parsed_intent, outcome.result.answer
        data = answer.recipe.get("data") if answer else None
        fingerprint = data[0]["fingerprint"] if data and len(data) == 1 else None
        refused = (outcome.result.code or "invalid_request") if outcome.result.status == "error" else None
        return Facts(parsed.symbols if parsed else (), fingerprint, 0, refused)

    def outcome_of(self, reply: Reply) -> dict[str, Any]:
        """Without the answer itself: that is stored under its id."""
        if not isinstance(reply, QueryProcessed):
            return super().outcome_of(reply)
        result = reply.result
        return {
            "status": result.status,
            "query": result.query,
            "intent": result.parsed_intent.intent if result.parsed_intent else None,
            "answer_id": result.answer.answer_id if result.answer else None,
            "verdict": result.answer.verdict if result.answer else None,
            "headline": result.answer.headline if result.answer else None,
            "error": result.error,
        }


class BusDesk:
    """The agent's way to the other services: each call is a message, its progress is the job's."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def understand(
        self, query: str, history: Sequence[str], symbols: Sequence[str] = (), *, replay: bool = False
    ) -> Routing:
        context = {"history": list(history), "symbols": list(symbols), "replay": replay}
        return self._job.ask(RoutePrompt(user_prompt=query, context=context)).result

    def build_all(self, orders: Sequence[BuildOrder]) -> list[ModelCard | EvolveError]:
        requests = [
            BuildModel(
                model_type=order.model_type, symbol=order.symbol, timeframe=order.timeframe,
                features=order.features, hyperparameters=dict(order.hyperparameters or {}),
                horizon_bars=order.horizon_bars, seed=order.seed, simulate=order.simulate,
            )
            for order in orders
        ]  # fmt: skip
        answers: list[ModelCard | EvolveError] = []
        for answer in self._job.ask_all(requests):
            if isinstance(answer, ModelBuilt):
                answers.append(answer.model_info)
            elif isinstance(answer, EvolveError):
                answers.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
        return answers

    def compare(
        self, model_ids: Sequence[str], symbol: str, timeframe: str, period: str, *, simulate: bool, refit: bool, ledger_position: int, trials: int
    ) -> ComparisonCard:  # fmt: skip
        request = CompareModels(
            model_ids=tuple(model_ids), symbol=symbol, timeframe=timeframe, period=period, simulate=simulate,
            refit=refit, ledger_position=ledger_position, trials=trials,
        )  # fmt: skip
        return self._job.ask(request).comparison

    def evaluate(self, model_id: str, symbol: str | None, timeframe: str | None, period: str) -> EvaluationCard:
        request = EvaluateModel(model_id=model_id, symbol=symbol, timeframe=timeframe, period=period)
        return self._job.ask(request).evaluation

    def models(self) -> Sequence[ModelCard]:
        return self._job.ask(ListModels(limit=10)).models

    def evaluations(self, model_id: str) -> Sequence[EvaluationCard]:
        return self._job.ask(GetEvaluationHistory(model_id=model_id, limit=1)).history

    def forward(self, routing: Routing) -> dict[str, Any]:
        if routing.request is None:
            return {}
        request = request_class(routing.request.service, routing.request.type)(**routing.request.data)
        reply = self._job.ask(request)
        return {"type": reply.wire_type, **{name: getattr(reply, name) for name in type(reply).model_fields}}

    def progress(self, stage: str, done: int, total: int, message: str) -> None:
        self._job.progress(stage, done, total, message)
