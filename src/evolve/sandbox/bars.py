"""A strategy that decides bar by bar, and cannot have seen the bar after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from evolve.errors import InvalidRequest
from evolve.sandbox.conversation import Conversation
from evolve.sandbox.result import ExecutionResult, Json, Notes, encode
from evolve.sandbox.run import Run


@dataclass(frozen=True)
class BarRun:
    """What a strategy decided at each bar until it ended, and the run's result (its return_value is the last decision)."""

    decisions: tuple[Json, ...]
    result: ExecutionResult


class StrategyEnded(Exception):
    """The program failed or ran out of time at a bar; `result` says how."""

    def __init__(self, result: ExecutionResult) -> None:
        super().__init__(result.error)
        self.result = result


class StrategySession:
    """A strategy in its process. `decide(bar)` sends one bar and returns the decision; only then can the next be sent.

    So a decision at bar t was made by a process that had never been sent bar t+1, whatever its code does. The program may
    keep state between bars in its globals. Use as a context manager; `result` holds the run when it is over.
    """

    def __init__(self, run: Run, given: dict[str, Any], record: Callable[[Run, ExecutionResult], None]) -> None:
        self._run = run
        self._record = record
        self._result: ExecutionResult | None = None
        self._decision: Json = None
        self._talk = run.begin("bars", given)
        if isinstance(self._talk, ExecutionResult):
            self._ended(self._talk)

    @property
    def result(self) -> ExecutionResult:
        """How the run went; closes the session."""
        self.close()
        if self._result is None:
            raise InvalidRequest("the strategy session has no result")
        return self._result

    def decide(self, bar: Mapping[str, Any]) -> Json:
        """The strategy's decision after this bar. Raises StrategyEnded when the program failed, now or before."""
        if self._result is None and isinstance(self._talk, Conversation):
            notes = Notes()
            outcome = self._talk.ask(encode(dict(bar), notes, "bar"))
            if outcome.status == "success":
                self._decision = outcome.return_value
                return self._decision
            self._ended(outcome)
        if self._result is None:
            raise InvalidRequest("the strategy session is closed")
        raise StrategyEnded(self._result)

    def close(self) -> None:
        """End the process; the run counts as a success when no bar failed."""
        if self._result is None and isinstance(self._talk, Conversation):
            self._ended(self._talk.whole(self._decision), always=True)

    def __enter__(self) -> StrategySession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ended(self, outcome: ExecutionResult | None, *, always: bool = False) -> None:
        if outcome is not None and (always or outcome.status != "success"):
            self._result = outcome
            if isinstance(self._talk, Conversation):
                self._talk.close()
            self._record(self._run, outcome)
