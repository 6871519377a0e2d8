"""What can the performance critic be asked? How good a model is out of sample, net of costs, and which of several is best."""

from __future__ import annotations

from pydantic import Field, JsonValue

from evolve.cards import AuditCard, ComparisonCard, EvaluationCard
from evolve.contracts.safe_executor import MAX_CODE, RunResult
from evolve.market.types import Period, Symbol, Timeframe
from evolve.messaging.messages import Reply, Request

ModelId = str
STRATEGY = "def main(input_data):\n    return 'BUY'\n"
DEFAULT_METRICS = ("sharpe", "drawdown", "win_rate")


class ModelEvaluated(Reply):
    """`evaluation.metrics` holds the metrics asked for, and the ones every trust card needs."""

    evaluation: EvaluationCard


class EvaluateModel(
    Request[ModelEvaluated],
    slot="heavy",
    records=True,
    waits=600.0,
    positional=("model_id", "symbol", "timeframe", "period"),
):
    """Score one model walk-forward with costs on a symbol's bars.

    symbol, timeframe: null means the model's own. period: the stretch shown and scored; evidence uses all history.
    refit: walk the recipe forward again instead of using the forecasts stored when the model was built. cross_validated: also refit
    for every choice of tested stretches (combinatorial purged cross-validation), which takes three times as long as a build.
    """

    model_id: ModelId = Field(min_length=1, max_length=128, examples=["ridge-AAPL-1d-32458ae9"])
    symbol: Symbol | None = "BTCUSDT"
    timeframe: Timeframe | None = "1h"
    period: Period = "30d"
    metrics: tuple[str, ...] = DEFAULT_METRICS
    simulate: bool = False
    refit: bool = False
    cross_validated: bool = False


class ModelsCompared(Reply):
    """`comparison.winner` is null unless a model earned it; `comparison.reason` says why either way."""

    comparison: ComparisonCard


class CompareModels(
    Request[ModelsCompared],
    slot="heavy",
    records=True,
    waits=600.0,
    positional=("model_ids", "symbol", "timeframe", "period"),
):
    """Rank models and baselines on the same bars and costs; name a winner only if it beats chance and buy-and-hold.

    refit: walk every recipe forward again instead of using stored forecasts. ledger_position: count trials as the ledger
    stood then (0: now); trials: count this many (0: as the ledger says). All three are for reproducing an answer.
    """

    model_ids: tuple[ModelId, ...] = Field(
        min_length=2, max_length=64, examples=[["ridge-AAPL-1d-32458ae9", "lstm-AAPL-1d-5d41402a"]]
    )
    symbol: Symbol | None = "BTCUSDT"
    timeframe: Timeframe | None = "1h"
    period: Period = "30d"
    simulate: bool = False
    refit: bool = False
    ledger_position: int = Field(default=0, ge=0)
    trials: int = Field(default=0, ge=0)


class EvaluationHistory(Reply):
    history: tuple[EvaluationCard, ...]
    model_id: str


class GetEvaluationHistory(Request[EvaluationHistory], positional=("model_id", "limit")):
    """Past evaluations of a model, newest first."""

    model_id: ModelId = Field(min_length=1, max_length=128, examples=["ridge-AAPL-1d-32458ae9"])
    limit: int = Field(default=10, ge=1, le=1000)


class BestModels(Reply):
    """Latest evaluation of each model, best first by `metric`. Ranked is not proven: see each one's verdict."""

    models: tuple[EvaluationCard, ...]
    symbol: str
    timeframe: str
    metric: str


class GetBestModels(Request[BestModels], positional=("symbol", "timeframe", "limit", "metric")):
    """The best evaluated models of a symbol."""

    symbol: Symbol = "BTCUSDT"
    timeframe: Timeframe = "1h"
    limit: int = Field(default=5, ge=1, le=1000)
    metric: str = "overall_score"


class ModelAudited(Reply):
    """`audit.passed` is false when a forecast changed with bars that came after it; `audit.reason` names the bar."""

    audit: AuditCard


class AuditModel(Request[ModelAudited], slot="heavy", records=True, waits=600.0, positional=("model_id",)):
    """Does a model look ahead? Its forecasts must not change by the future. symbol, timeframe: null means its own."""

    model_id: ModelId = Field(min_length=1, max_length=128, examples=["ridge-AAPL-1d-32458ae9"])
    symbol: Symbol | None = None
    timeframe: Timeframe | None = None
    simulate: bool = False


class StrategyAudited(Reply):
    """`audit.passed` is false when a decision changed with bars that came after it, or from one run to the next."""

    audit: AuditCard


class AuditStrategy(
    Request[StrategyAudited],
    slot="heavy",
    records=True,
    waits=600.0,
    positional=("strategy_code", "strategy_name", "symbol", "timeframe"),
):
    """Does a program look ahead? It is run in the sandbox, handed all bars at once or one after the other, as it is written."""

    strategy_code: str = Field(min_length=1, max_length=MAX_CODE, examples=[STRATEGY])
    strategy_name: str = Field(min_length=1, max_length=64, examples=["always long"])
    symbol: Symbol = "BTCUSDT"
    timeframe: Timeframe | None = "1h"
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    simulate: bool = False


class StrategyBacktested(Reply):
    """comparison: the strategy among the baselines, with a verdict; run: what became of its program in the sandbox."""

    comparison: ComparisonCard
    run: RunResult


class BacktestStrategy(
    Request[StrategyBacktested],
    slot="heavy",
    records=True,
    waits=600.0,
    positional=("strategy_code", "strategy_name", "symbol", "timeframe", "period"),
):
    """Score a strategy given as code: bar by bar in the sandbox, net of costs, beside the baselines, counted as a trial.

    It is run twice; what decides differently the second time wins nothing. Its `main(input_data)` decides at each close; docs/sandbox.md says what it gets and may return. long_only: SELL means out of
    the market, and negative positions count as 0. volatility_target: a year, to which its positions are scaled; null leaves them.
    second_symbol: then the position is one in the pair, long `symbol` and short this one by half of the account each.
    """

    strategy_code: str = Field(min_length=1, max_length=MAX_CODE, examples=[STRATEGY])
    strategy_name: str = Field(min_length=1, max_length=64, examples=["always long"])
    symbol: Symbol = "BTCUSDT"
    timeframe: Timeframe | None = "1h"
    period: Period = "90d"
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    long_only: bool = False
    volatility_target: float | None = Field(default=None, gt=0, le=10)
    second_symbol: Symbol | None = None
    simulate: bool = False
