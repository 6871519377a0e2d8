"""The performance critic: scores models out of sample, net of costs, and says whether that could be luck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from evolve.contracts.performance_critic import (
    AuditModel,
    AuditStrategy,
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
    StrategyAudited,
    StrategyBacktested,
)
from evolve.contracts.safe_executor import BarsExecuted, ExecuteBars, ExecuteStrategy, RunResult
from evolve.errors import EvolveError, InvalidRequest, Unavailable
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, handles
from evolve.services.base import BaseService, Facts

if TYPE_CHECKING:
    from evolve.agents.strategy import Strategy
    from evolve.market.bars import Bars
    from evolve.market.pair import Pair


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
            metrics=request.metrics, simulate=request.simulate, refit=request.refit, cross_validated=request.cross_validated,
            request_id=job.request_id, progress=job.progress,
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

        strategy = Strategy(
            request.strategy_code,
            request.strategy_name,
            request.parameters,
            request.long_only,
            request.volatility_target,
        )
        given: Bars | Pair
        if request.second_symbol is None:
            bars, notes = self.agent.bars_for(request.symbol, request.timeframe, simulate=request.simulate)
            given = bars
        else:
            given, notes = self.agent.pair_for(
                request.symbol, request.second_symbol, request.timeframe, simulate=request.simulate
            )
            bars = given.bars
        job.progress("decide", 0, 2 * len(bars), f"{strategy.name} decides on {len(bars):,} bars in the sandbox")
        program = _Sandboxed(strategy, bars, job)
        run = program.run(columns_of(given))
        job.progress(
            "decide", len(bars), 2 * len(bars), f"{len(bars):,} decisions; once more, to see whether they are the same"
        )
        again = program.run(columns_of(given))
        job.progress("decide", 2 * len(bars), 2 * len(bars), f"{len(bars):,} decisions, made twice")
        comparison = self.agent.backtest(
            strategy,
            run.decisions,
            bars,
            again=again.decisions,
            period=request.period,
            notes=notes,
            request_id=job.request_id,
            progress=job.progress,
        )
        return StrategyBacktested(comparison=comparison, run=run.result)

    @handles
    def audit_model(self, request: AuditModel, job: Job) -> ModelAudited:
        audit = self.agent.audit(
            request.model_id, symbol=request.symbol, timeframe=request.timeframe, simulate=request.simulate, progress=job.progress
        )  # fmt: skip
        return ModelAudited(audit=audit)

    @handles
    def audit_strategy(self, request: AuditStrategy, job: Job) -> StrategyAudited:
        from evolve.agents.strategy import Strategy

        strategy = Strategy(request.strategy_code, request.strategy_name, request.parameters)
        bars, _ = self.agent.bars_for(request.symbol, request.timeframe, simulate=request.simulate)
        audit = self.agent.audit_code(strategy, _Sandboxed(strategy, bars, job), bars, progress=job.progress)
        return StrategyAudited(audit=audit)

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


class _Sandboxed:
    """A strategy's program, run by the safe executor: each call in a fresh process. bars: whose symbol and dates it is told."""

    def __init__(self, strategy: Strategy, bars: Bars, job: Job) -> None:
        self._strategy, self._bars, self._job = strategy, bars, job
        self._known: dict[str, JsonValue] = {"symbol": bars.symbol, "timeframe": bars.timeframe}

    def run(self, columns: dict[str, list[Any]]) -> BarsExecuted:
        """Bar by bar. Raises InvalidRequest for a program that does not get to the last bar."""
        done = self._job.ask(ExecuteBars(
            strategy_code=self._strategy.code, strategy_name=self._strategy.name, bars=columns,
            parameters=dict(self._strategy.parameters), market_data=self._known,
        ))  # fmt: skip
        _check_run(done.result, self._strategy.name, len(done.decisions), self._bars)
        return done

    def bar_by_bar(self, columns: dict[str, list[Any]]) -> Sequence[Any]:
        return self.run(columns).decisions

    def at_once(self, columns: dict[str, list[Any]]) -> Any:
        done = self._job.ask(ExecuteStrategy(
            strategy_code=self._strategy.code, strategy_name=self._strategy.name, parameters=dict(self._strategy.parameters),
            market_data={**columns, **self._known},
        ))  # fmt: skip
        _check_run(done.result, self._strategy.name, 0, self._bars)
        return done.result.return_value


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
