"""The performance critic: scores models out of sample, net of costs, and says whether that could be luck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evolve.contracts.performance_critic import (
    AuditModel,
    BacktestStrategy,
    BestModels,
    CompareModels,
    EvaluateModel,
    EvaluationHistory,
    GetBestModels,
    GetEvaluationHistory,
    ModelAudited,
    ModelEvaluated,
    ModelsCompared,
    StrategyBacktested,
)
from evolve.contracts.safe_executor import ExecuteBars, RunResult
from evolve.errors import EvolveError, InvalidRequest, Unavailable
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, handles
from evolve.services.base import BaseService, Facts

if TYPE_CHECKING:
    from evolve.market.bars import Bars


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
    def backtest_strategy(self, request: BacktestStrategy, job: Job) -> StrategyBacktested:
        from evolve.agents.strategy import Strategy, columns_of

        strategy = Strategy(request.strategy_code, request.strategy_name, request.parameters, request.long_only)
        bars, notes = self.agent.bars_for(request.symbol, request.timeframe, simulate=request.simulate)
        job.progress("decide", 0, len(bars), f"{strategy.name} decides on {len(bars):,} bars in the sandbox")
        done = job.ask(ExecuteBars(
            strategy_code=strategy.code, strategy_name=strategy.name, bars=columns_of(bars), parameters=request.parameters,
            market_data={"symbol": bars.symbol, "timeframe": bars.timeframe},
        ))  # fmt: skip
        _check_run(done.result, strategy.name, len(done.decisions), bars)
        job.progress("decide", len(bars), len(bars), f"{len(bars):,} decisions")
        comparison = self.agent.backtest(
            strategy,
            done.decisions,
            bars,
            period=request.period,
            notes=notes,
            request_id=job.request_id,
            progress=job.progress,
        )
        return StrategyBacktested(comparison=comparison, run=done.result)

    @handles
    def audit_model(self, request: AuditModel, job: Job) -> ModelAudited:
        audit = self.agent.audit(
            request.model_id, symbol=request.symbol, timeframe=request.timeframe, simulate=request.simulate, progress=job.progress
        )  # fmt: skip
        return ModelAudited(audit=audit)

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
        if isinstance(outcome, ModelsCompared | StrategyBacktested):
            return Facts((outcome.comparison.symbol,), outcome.comparison.trust.data.fingerprint)
        return super().facts(request, outcome)


def _check_run(result: RunResult, name: str, decided: int, bars: Bars) -> None:
    """A strategy that did not get to the last bar cannot be scored. Raises InvalidRequest, or Unavailable where no sandbox runs."""
    if result.status == "success":
        return
    if result.status == "system_error":
        raise Unavailable(f"{name} could not be run: {result.error}")
    where = (
        "before the first bar"
        if result.status == "validation_error"
        else f"at bar {decided} ({bars.date(min(decided, len(bars) - 1))})"
    )
    raise InvalidRequest(f"{name} ended {where}, {result.status}: {result.error}", run=result.model_dump(mode="json"))
