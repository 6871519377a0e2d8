"""The safe executor: runs programs of users and language models behind a wall made by the kernel."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from evolve.contracts.safe_executor import (
    BarsExecuted,
    Cleanup,
    CleanupCompleted,
    ExecuteBars,
    ExecuteIndicator,
    ExecuteModel,
    ExecuteStrategy,
    GetStatistics,
    IndicatorExecuted,
    ModelExecuted,
    RunResult,
    Statistics,
    StrategyExecuted,
)
from evolve.errors import Unavailable
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, handles
from evolve.messaging.sockets import make_private, private_socket
from evolve.services.base import BaseService
from evolve.settings import Settings

if TYPE_CHECKING:
    from evolve.sandbox.result import ExecutionResult

SOCKET = "sandbox.sock"


class SafeExecutorService(BaseService):
    """timeout_seconds, memory_limit_mb: limits of each run; default SAFE_EXECUTOR_TIMEOUT (300) and SAFE_EXECUTOR_MEMORY_LIMIT (1024)."""

    name = "safe_executor"
    preload = ("evolve.memory.decisions", "evolve.sandbox.hosted")

    def __init__(
        self,
        redis_host: str = "localhost",
        redis_port: int = 6379,
        redis_db: int = 0,
        timeout_seconds: float | None = None,
        memory_limit_mb: int | None = None,
        *,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(redis_host, redis_port, redis_db, settings=settings)
        given = {"safe_executor_timeout_s": timeout_seconds, "safe_executor_memory_mb": memory_limit_mb}
        self.settings = self.settings.with_arguments(**given)

    @classmethod
    @contextlib.contextmanager
    def beside(cls, settings: Settings) -> Iterator[Settings]:
        """The sandbox's own process; jobs find it by `sandbox_socket`."""
        from evolve.sandbox.hosted import HostProcess

        directory = private_socket(settings.home / "run", SOCKET).parent
        make_private(directory)
        host = HostProcess(directory, settings)
        host.start()
        try:
            yield settings.with_arguments(sandbox_socket=host.socket)
        finally:
            host.stop()

    def setup(self) -> None:
        from evolve.sandbox.hosted import HostedExecutor

        if self.settings.sandbox_socket is None:
            raise Unavailable("this replica has no sandbox: start the service with its launcher, `start()` or `run()`")
        self.executor = HostedExecutor(self.settings.sandbox_socket)

    @handles
    def execute_model(self, request: ExecuteModel, job: Job) -> ModelExecuted:
        result = self.executor.execute("model", request.model_code, request.model_name, request.input_data, {})
        return ModelExecuted(result=_run_result(result))

    @handles
    def execute_strategy(self, request: ExecuteStrategy, job: Job) -> StrategyExecuted:
        result = self.executor.execute(
            "strategy", request.strategy_code, request.strategy_name, request.market_data, request.parameters
        )
        return StrategyExecuted(result=_run_result(result))

    @handles
    def execute_indicator(self, request: ExecuteIndicator, job: Job) -> IndicatorExecuted:
        result = self.executor.execute(
            "indicator", request.indicator_code, request.indicator_name, request.price_data, request.parameters
        )
        return IndicatorExecuted(result=_run_result(result))

    @handles
    def execute_bars(self, request: ExecuteBars, job: Job) -> BarsExecuted:
        run = self.executor.run_bars(
            request.strategy_code, request.strategy_name, request.bars, request.parameters, request.market_data
        )
        return BarsExecuted(decisions=run.decisions, result=_run_result(run.result))

    @handles
    def get_statistics(self, request: GetStatistics, job: Job) -> Statistics:
        found: dict[str, Any] = self.executor.get_statistics()
        return Statistics(**found, statistics=found)

    @handles
    def cleanup(self, request: Cleanup, job: Job) -> CleanupCompleted:
        self.executor.cleanup()
        return CleanupCompleted()

    @classmethod
    def verdict_of(cls, data: Mapping[str, Any]) -> str:
        """The status of a run: how often programs are refused, time out or run out of memory."""
        result = data.get("result")
        return str(result["status"]) if isinstance(result, dict) else ""

    def inputs_of(self, request: Request[Any]) -> dict[str, Any]:
        """The program by its hash and head, the data by its hash: the decision log is read by people, and kept."""
        fields = request.model_dump(mode="json")
        return {name: _in_brief(value) for name, value in fields.items()}

    def outcome_of(self, reply: Reply) -> dict[str, Any]:
        if isinstance(reply, ModelExecuted | StrategyExecuted | IndicatorExecuted | BarsExecuted):
            kept = reply.result.model_dump(mode="json", include={"status", "error", "execution_time", "memory_used"})
            return {**kept, "return_value": _in_brief(reply.result.model_dump()["return_value"])}
        return super().outcome_of(reply)


BRIEF = 1_000  # characters: the whole of most programs that people paste


def _in_brief(value: Any) -> Any:
    from evolve.memory.canonical import canonical_json

    text = value if isinstance(value, str) else canonical_json(value)
    if len(text) <= BRIEF:
        return value
    return {
        "sha256": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
        "characters": len(text),
        "begins": text[:BRIEF],
    }


def _run_result(result: ExecutionResult) -> RunResult:
    return RunResult(**result.to_dict())
