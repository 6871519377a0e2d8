"""One program with its limits: take a child, hand the program over, and let it begin."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evolve.errors import Unavailable
from evolve.sandbox.child import Mode
from evolve.sandbox.conversation import SMALL_FRAME, Conversation
from evolve.sandbox.limits import unsupported
from evolve.sandbox.policy import MAX_SOURCE_BYTES, wanted_zygote
from evolve.sandbox.pool import Allowance, Child, IsolationLevel, Pool
from evolve.sandbox.result import ExecutionResult, NotData, Notes, encode
from evolve.security_events import SecurityEvent

Kind = Literal["model", "strategy", "indicator"]
INJECTED: dict[Kind, tuple[str, ...]] = {
    "model": (),
    "strategy": ("market_data", "parameters", "strategy_name"),
    "indicator": ("price_data", "parameters", "indicator_name"),
}


@dataclass(frozen=True)
class SelfTest:
    """What the wall is made of, tried out by a child behind it; `failure` says why nothing may run."""

    level: IsolationLevel | Literal["refused"]
    failure: str = ""

    @classmethod
    def of(cls, pool: Pool, allowance: Allowance) -> SelfTest:
        if (why := unsupported()) is not None:
            return cls("refused", why)
        try:
            child = pool.take("numpy", allowance, pooled=True)
        except Unavailable as error:
            return cls("refused", f"{error.message}; see docs/sandbox.md, Where no wall can be built")
        if child.isolation_level == "none":
            child.kill()
            return cls("none")
        talk = Conversation(child, time.monotonic() + 10.0, max_output_bytes=SMALL_FRAME, events=[])
        outcome = talk.send_job(
            job_of("", "<probe>", "probe", gate=False, inject=(), max_output_bytes=SMALL_FRAME), b"{}"
        )
        outcome = outcome or talk.outcome()
        talk.close()
        if outcome.status != "success" or outcome.return_value != []:
            reached = outcome.error or str(outcome.return_value)
            return cls(
                "refused",
                f"the sandbox's self-test failed ({reached}): this kernel does not enforce what it promised; run Evolve on another one",
            )
        return cls(child.isolation_level)


def job_of(
    code: str, filename: str, mode: str, *, gate: bool, inject: tuple[str, ...], max_output_bytes: int
) -> dict[str, Any]:
    return {
        "code": code,
        "filename": filename,
        "mode": mode,
        "gate": gate,
        "inject": inject,
        "max_output_bytes": max_output_bytes,
    }


@dataclass
class Run:
    """One program with its limits, and the security events its run gave rise to.

    pooled: its limits are the usual ones, so that children like it wait already. caller: see Conversation.
    """

    pool: Pool
    self_test: Callable[[], SelfTest]
    code: str
    name: str
    kind: Kind
    timeout_s: float
    memory_mb: int
    max_output_bytes: int
    gate: bool
    pooled: bool
    caller: int | None = None
    events: list[SecurityEvent] = field(default_factory=list)

    def once(self, input_data: Mapping[str, Any]) -> ExecutionResult:
        talk = self.begin("once", input_data)
        if isinstance(talk, ExecutionResult):
            return talk
        try:
            return talk.outcome()
        finally:
            talk.close()

    def many(self, inputs: Sequence[Mapping[str, Any]]) -> list[ExecutionResult]:
        if not inputs:
            return []
        talk = self.begin("many", {})
        if isinstance(talk, ExecutionResult):
            return [talk] * len(inputs)
        try:
            return talk.batch(inputs)
        finally:
            talk.close()

    def begin(self, mode: Mode, input_data: Mapping[str, Any]) -> Conversation | ExecutionResult:
        """Hand the program to a child and let it begin. An ExecutionResult when it did not come to that."""
        try:
            code = self.code.encode("utf-8")
        except UnicodeEncodeError:
            return ExecutionResult("validation_error", error="the program holds half a surrogate pair [rule: syntax]")
        if len(code) > MAX_SOURCE_BYTES:
            return ExecutionResult(
                "validation_error", error=f"the program is longer than {MAX_SOURCE_BYTES >> 10} KiB [rule: size]"
            )
        notes = Notes()
        try:
            data = encode(dict(input_data), notes, "input_data")
        except NotData as error:
            return ExecutionResult("validation_error", error=f"{error} [rule: input]")
        test = self.self_test()
        if test.failure:
            return ExecutionResult("system_error", error=test.failure)
        inject = INJECTED[self.kind] if mode != "many" else ()
        job = job_of(
            self.code, "<program>", mode, gate=self.gate, inject=inject, max_output_bytes=self.max_output_bytes
        )
        # Once more when the child was lost before the program ran: the zygotes died, and start anew.
        talk = self._handed_over(mode, job, data, notes)
        if isinstance(talk, Conversation) and talk.lost:
            talk = self._handed_over(mode, job, data, notes)
        return talk.failed if isinstance(talk, Conversation) and talk.failed is not None else talk

    def _handed_over(
        self, mode: Mode, job: dict[str, Any], data: bytes, notes: Notes
    ) -> Conversation | ExecutionResult:
        """Take a child, send it the job, and wait until the program may begin."""
        try:
            child = self._take()
        except Unavailable as error:
            return ExecutionResult("system_error", error=error.message)
        talk = Conversation(
            child,
            time.monotonic() + self.timeout_s,
            max_output_bytes=self.max_output_bytes,
            events=self.events,
            memory_mb=self.memory_mb,
            timeout_s=self.timeout_s,
            caller=self.caller,
        )
        talk.notes.lines += notes.lines
        talk.failed = talk.send_job(job, data) or (talk.started() if mode == "once" else talk.loaded())
        if talk.failed is not None:
            talk.close()
        return talk

    def _take(self) -> Child:
        allowance = Allowance.of(self.timeout_s, self.memory_mb)
        size = wanted_zygote(self.code)
        if size == "learning" and not self.pool.ready("learning"):
            size = "frames"  # not installed; the program's import error says so
        try:
            return self.pool.take(size, allowance, pooled=self.pooled)
        except Unavailable:
            # The zygotes may have died a moment ago, and with them the children that waited; they start anew once.
            self.pool.clear()
            return self.pool.take(size, allowance, pooled=self.pooled)
