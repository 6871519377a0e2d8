"""Run a program somebody pasted, and say what became of it: a value, an error, or why it was stopped.

    executor = SafeExecutor(timeout_seconds=5, memory_limit_mb=256)
    result = executor.execute_model(code, "my_model", {"prices": [100, 101, 102]})
    result.status, result.return_value

The program runs in a process of its own that the kernel has locked down (`limits`) before it read a byte of the job. This
side only ever sends JSON and reads bounded frames (`channel`, `result`); status, time and memory are its own measurements.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from evolve.audit_trail import AuditTrail, user_of_this_machine
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import InvalidRequest, Unavailable
from evolve.sandbox.bars import BarRun, StrategyEnded, StrategySession
from evolve.sandbox.journal import Journal
from evolve.sandbox.pool import Allowance, IsolationLevel, Pool
from evolve.sandbox.result import ExecutionResult, Json
from evolve.sandbox.run import Kind, Run, SelfTest
from evolve.settings import Settings

__all__ = ["BarRun", "ExecutionResult", "SafeExecutor", "StrategyEnded", "StrategySession"]


class SafeExecutor:
    """Runs untrusted Python. One instance serves many threads; processes start at the first run, or at `start()`.

    timeout_seconds: wall seconds a run may take. memory_limit_mb: MiB it may add to a warm interpreter.
    max_output_size: bytes of printed text (cut with a note) and of the return value (an error beyond).
    enable_sandbox=False runs programs with the rights of this process, limits apart: an operator's explicit choice, logged
    as a security event. log_executions=False keeps names and errors of runs out of the log, never security events.
    validate_code: the gate before the run; the wall does not need it. namespaces, landlock: for tests of the wall without.
    spare: children of each size that wait, locked down, for a job.
    """

    def __init__(
        self,
        timeout_seconds: float = 300,
        memory_limit_mb: int = 1024,
        max_output_size: int = 10_485_760,
        enable_sandbox: bool = True,
        log_executions: bool = True,
        *,
        validate_code: bool = True,
        namespaces: bool = True,
        landlock: bool = True,
        spare: int = 2,
        home: Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not 0 < timeout_seconds < math.inf or memory_limit_mb < 1 or max_output_size < 1 or spare < 1:
            raise InvalidRequest("timeout_seconds, memory_limit_mb, max_output_size and spare must be above zero")
        self.timeout_seconds = timeout_seconds
        self.memory_limit_mb = memory_limit_mb
        self.max_output_size = max_output_size
        self.enable_sandbox = enable_sandbox
        self.log_executions = log_executions
        self.validate_code = validate_code
        place = home or Settings.load().home
        self._journal = Journal(place / "sandbox", clock=clock, log_executions=log_executions)
        self._pool = Pool(sandbox=enable_sandbox, namespaces=namespaces, landlock=landlock, spare=spare)
        self._testing = threading.Lock()
        self._tested: SelfTest | None = None
        if not enable_sandbox:
            self._journal.security_event("sandbox_disabled", why="SafeExecutor(enable_sandbox=False)")
            AuditTrail(place, clock=clock).record("sandbox_disabled", who=user_of_this_machine())

    # --- one run ---

    def execute_model(
        self, code: str, name: str, input_data: Mapping[str, Any] | None = None, model_type: str = "custom"
    ) -> ExecutionResult:
        """Call the program's `main(input_data)`. model_type: what kind of model the caller says it is; changes nothing."""
        return self.execute(code, name, self.input_of("model", name, input_data, None))

    def execute_strategy(
        self,
        code: str,
        name: str,
        market_data: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> ExecutionResult:
        """Call it with {market_data, parameters, strategy_name}."""
        return self.execute(code, name, self.input_of("strategy", name, market_data, parameters), kind="strategy")

    def execute_indicator(
        self,
        code: str,
        name: str,
        price_data: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> ExecutionResult:
        """Call it with {price_data, parameters, indicator_name}."""
        return self.execute(code, name, self.input_of("indicator", name, price_data, parameters), kind="indicator")

    @staticmethod
    def input_of(
        kind: Kind, name: str, data: Mapping[str, Any] | None, parameters: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """What the entry point of a program of this kind gets."""
        if kind == "model":
            return dict(data or {})
        return {
            "market_data" if kind == "strategy" else "price_data": dict(data or {}),
            "parameters": dict(parameters or {}),
            f"{kind}_name": name,
        }

    def execute(
        self,
        code: str,
        name: str,
        input_data: Mapping[str, Any],
        *,
        kind: Kind = "model",
        timeout_seconds: float | None = None,
        memory_limit_mb: int | None = None,
        caller: int | None = None,
    ) -> ExecutionResult:
        """One run in a process of its own. Never raises for what the program does: that is the result's status.

        caller: a descriptor of a socket; when its other side hangs up, the run is ended.
        """
        run = self._run(code, name, kind, timeout_seconds, memory_limit_mb, caller)
        result = run.once(input_data)
        self._record(run, result)
        return result

    def execute_many(
        self,
        code: str,
        inputs: Sequence[Mapping[str, Any]],
        name: str = "batch",
        *,
        timeout_seconds: float | None = None,
        memory_limit_mb: int | None = None,
    ) -> list[ExecutionResult]:
        """The same program on many inputs, in one process: thousands of calls a second, one result per input.

        The program's globals live from one input to the next, and it could keep what it saw: never use this where an
        input must not know the others, as in a backtest (`run_bars`). An input that raises fails alone. Time and memory
        limits hold for the whole batch; when one ends the process, the inputs after it are not run and say so.
        """
        run = self._run(code, name, "model", timeout_seconds, memory_limit_mb)
        results = run.many(inputs)
        self._record(run, *results)
        return results

    # --- bar by bar ---

    def open_strategy(
        self,
        code: str,
        name: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        market_data: Mapping[str, Any] | None = None,
        timeout_seconds: float | None = None,
        memory_limit_mb: int | None = None,
        caller: int | None = None,
    ) -> StrategySession:
        """A strategy that decides bar by bar in one process: see StrategySession. market_data: what is the same at all bars."""
        run = self._run(code, name, "strategy", timeout_seconds, memory_limit_mb, caller)
        return StrategySession(run, self.input_of("strategy", name, market_data, parameters), self._record)

    def run_bars(
        self,
        code: str,
        name: str,
        bars: Iterable[Mapping[str, Any]],
        parameters: Mapping[str, Any] | None = None,
        *,
        market_data: Mapping[str, Any] | None = None,
        timeout_seconds: float | None = None,
        memory_limit_mb: int | None = None,
        caller: int | None = None,
    ) -> BarRun:
        """The strategy's decision at every bar. The next bar is taken from `bars` only after the last decision is here.

        bars: one mapping of column to value each; the program's `market_data` holds the list of all values so far per
        column. timeout_seconds bounds the program's time over all bars.
        """
        decisions: list[Json] = []
        session = self.open_strategy(
            code, name, parameters,
            market_data=market_data, timeout_seconds=timeout_seconds, memory_limit_mb=memory_limit_mb, caller=caller,
        )  # fmt: skip
        with session, contextlib.suppress(StrategyEnded):
            for bar in bars:
                decisions.append(session.decide(bar))  # noqa: PERF401 - what was decided before an end is kept
        return BarRun(tuple(decisions), session.result)

    # --- about it ---

    @property
    def isolation_level(self) -> IsolationLevel | Literal["refused"]:
        """What the wall is made of, by the self-test; `refused` where none can be built."""
        return self._self_test().level

    def start(self) -> None:
        """Load the libraries and test the wall now rather than at the first run. Raises Unavailable where there is none."""
        test = self._self_test()
        if test.failure:
            raise Unavailable(test.failure)
        self._pool.prepare("numpy", Allowance.of(self.timeout_seconds, self.memory_limit_mb))

    def wait_until_warm(self) -> None:
        """Return when pandas and scipy are loaded too and children of both sizes wait."""
        self.start()
        for size in ("numpy", "frames"):
            self._pool.prepare(size, Allowance.of(self.timeout_seconds, self.memory_limit_mb))

    def get_statistics(self) -> dict[str, Json]:
        """Counts, times and limits over all runs of this home, whichever process ran them."""
        return {
            **self._journal.statistics(),
            "timeout_seconds": self.timeout_seconds,
            "memory_limit_mb": self.memory_limit_mb,
            "max_output_size": self.max_output_size,
            "sandbox_enabled": self.enable_sandbox,
            "isolation_level": self.isolation_level,
        }

    def cleanup(self) -> None:
        """End waiting children and the processes that fork them, and remove files left by a crash: only our own.

        Log and statistics stay. The next run starts anew.
        """
        self._pool.close()
        self._journal.clean()

    def close(self) -> None:
        """End every process of this executor."""
        self._pool.close()

    def __enter__(self) -> SafeExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- inside ---

    def _run(
        self,
        code: str,
        name: str,
        kind: Kind,
        timeout_s: float | None,
        memory_mb: int | None,
        caller: int | None = None,
    ) -> Run:
        timeout_s = self.timeout_seconds if timeout_s is None else timeout_s
        memory_mb = self.memory_limit_mb if memory_mb is None else memory_mb
        if not 0 < timeout_s < math.inf or memory_mb < 1:
            raise InvalidRequest("timeout_seconds and memory_limit_mb must be above zero")
        return Run(
            self._pool,
            self._self_test,
            code,
            name,
            kind,
            timeout_s,
            memory_mb,
            self.max_output_size,
            gate=self.validate_code,
            pooled=(timeout_s, memory_mb) == (self.timeout_seconds, self.memory_limit_mb),
            caller=caller,
        )

    def _self_test(self) -> SelfTest:
        """Once per executor: let a locked-down child try what it must not be able to do."""
        with self._testing:
            if self._tested is None:
                self._tested = SelfTest.of(self._pool, Allowance.of(self.timeout_seconds, self.memory_limit_mb))
                if self._tested.failure:
                    self._journal.security_event("self_test_failed", why=self._tested.failure)
            return self._tested

    def _record(self, run: Run, *results: ExecutionResult) -> None:
        self._journal.record(results, kind=run.kind, name=run.name, code=run.code)
        for event in run.events:
            why = next((result.error for result in results if result.error), "")
            self._journal.security_event(event, name=run.name[:200], detail=why[:300])
        run.events.clear()
