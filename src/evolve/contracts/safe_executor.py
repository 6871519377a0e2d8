"""What can the safe executor be asked? To run a program of a user's or a language model's behind a wall, and to say what became of it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from evolve.messaging.messages import Reply, Request
from evolve.settings import Settings

ReplyT = TypeVar("ReplyT", bound=Reply, covariant=True)
MAX_CODE = 1 << 20
MAX_BARS = 100_000
ANSWER_S = 10.0  # what an asker waits beyond the limit on a run: for its place in the queue, and for the answer's way

PROGRAM = "def main(input_data):\n    return {'prediction': 1}\n"
Code = Field(min_length=1, max_length=MAX_CODE, examples=[PROGRAM])
Name = Field(min_length=1, max_length=200, examples=["my first"])


class RunResult(BaseModel):
    """One run. output: what it printed; error: a sentence with the program's own lines; execution_time: s; memory_used: MiB, peak;
    logs: notes on what was cut, replaced or warned about. All but value, output and error are measured from outside."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    status: Literal["success", "timeout", "memory_limit", "execution_error", "validation_error", "system_error"]
    output: str = ""
    error: str | None = None
    execution_time: float = 0.0
    memory_used: float = 0.0
    return_value: JsonValue = None
    logs: tuple[str, ...] = ()


class _Run(Request[ReplyT], slot="heavy", records=True):
    """A request whose answer may take as long as the executor lets a program run."""

    @classmethod
    def usual_wait_s(cls, settings: Settings) -> float:
        return settings.safe_executor_timeout_s + ANSWER_S


class ModelExecuted(Reply):
    result: RunResult


class ExecuteModel(
    _Run[ModelExecuted],
    slot="heavy",
    records=True,
    client="execute_model_safely",
    positional=("model_code", "model_name", "input_data", "model_type"),
):
    """Run a program's `main(input_data)` in the sandbox.

    Whatever the program does is a result with a status; the reply is a success. model_type: what kind of model it is, for the log.
    """

    model_code: str = Code
    model_name: str = Name
    input_data: dict[str, JsonValue] = Field(default_factory=dict)
    model_type: str = Field(default="custom", max_length=64)


class StrategyExecuted(Reply):
    result: RunResult


class ExecuteStrategy(
    _Run[StrategyExecuted],
    slot="heavy",
    records=True,
    client="execute_strategy_safely",
    positional=("strategy_code", "strategy_name", "market_data", "parameters"),
):
    """Run a strategy's `main({market_data, parameters, strategy_name})` in the sandbox."""

    strategy_code: str = Code
    strategy_name: str = Name
    market_data: dict[str, JsonValue] = Field(default_factory=dict)
    parameters: dict[str, JsonValue] = Field(default_factory=dict)


class IndicatorExecuted(Reply):
    result: RunResult


class ExecuteIndicator(
    _Run[IndicatorExecuted],
    slot="heavy",
    records=True,
    client="execute_indicator_safely",
    positional=("indicator_code", "indicator_name", "price_data", "parameters"),
):
    """Run an indicator's `main({price_data, parameters, indicator_name})` in the sandbox."""

    indicator_code: str = Code
    indicator_name: str = Name
    price_data: dict[str, JsonValue] = Field(default_factory=dict)
    parameters: dict[str, JsonValue] = Field(default_factory=dict)


class BarsExecuted(Reply):
    """decisions: what the strategy returned at each bar until it ended; result.return_value is the last of them."""

    decisions: tuple[JsonValue, ...]
    result: RunResult


class ExecuteBars(
    _Run[BarsExecuted],
    slot="heavy",
    records=True,
    client="execute_strategy_over_bars",
    positional=("strategy_code", "strategy_name", "bars", "parameters"),
):
    """Let a strategy decide bar by bar: it is sent a bar only after its decision on the one before was kept.

    bars: one list per column, all of the same length, oldest first. At each bar the strategy gets all values so far per column in
    `market_data`, beside what `market_data` holds here, which is the same at all bars.
    """

    strategy_code: str = Code
    strategy_name: str = Name
    bars: dict[str, list[JsonValue]] = Field(min_length=1, examples=[{"close": [10.0, 11.0, 12.5]}])
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    market_data: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _columns_match(self) -> ExecuteBars:
        lengths = {len(cells) for cells in self.bars.values()}
        if len(lengths) > 1 or max(lengths) > MAX_BARS or 0 in lengths:
            raise ValueError(f"bars needs columns of one length between 1 and {MAX_BARS:,}")
        return self


class Statistics(Reply, wire="statistics"):
    """All runs of this home, whichever replica ran them. success_rate: 0 … 1; times in seconds; `statistics` repeats all of it."""

    total_executions: int
    successful_executions: int
    failed_executions: int
    success_rate: float
    total_execution_time: float
    average_execution_time: float
    p50_execution_time: float
    p99_execution_time: float
    peak_memory_mb: float
    by_status: dict[str, int]
    timeout_seconds: float
    memory_limit_mb: int
    max_output_size: int
    sandbox_enabled: bool
    isolation_level: str
    statistics: dict[str, Any]


class GetStatistics(Request[Statistics], client="get_safe_executor_statistics"):
    """Counts, times and limits of the safe executor, and what its wall is made of."""


class CleanupCompleted(Reply):
    """Log and statistics stay."""


class Cleanup(Request[CleanupCompleted], client="cleanup_safe_executor", effect="admin"):
    """End waiting processes and remove what a crash left; the next run starts anew."""
