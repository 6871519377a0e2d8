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
import select
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import orjson

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import InvalidRequest, Unavailable
from evolve.sandbox import channel
from evolve.sandbox.child import Mode
from evolve.sandbox.journal import Journal
from evolve.sandbox.policy import MAX_SOURCE_BYTES, wanted_zygote
from evolve.sandbox.pool import Allowance, Child, IsolationLevel, Pool
from evolve.sandbox.result import ExecutionResult, Json, NotData, Notes, NotStrict, Status, encode, read_value
from evolve.settings import Settings

Kind = Literal["model", "strategy", "indicator"]
SMALL_FRAME = 65_536  # what a child may say about itself; values and printed text have caps of their own
WARNED_BYTES = 16_384
IN_FLIGHT = 32  # inputs of a batch on their way at once: enough to keep both sides busy
INJECTED: dict[Kind, tuple[str, ...]] = {
    "model": (),
    "strategy": ("market_data", "parameters", "strategy_name"),
    "indicator": ("price_data", "parameters", "indicator_name"),
}
SIGSYS, SIGXCPU, SIGKILL = 31, 24, 9
CRASHES = {4: "illegal instruction", 6: "abort", 7: "bus error", 8: "arithmetic fault", 11: "segmentation fault"}


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
        self._journal = Journal((home or Settings.load().home) / "sandbox", clock=clock, log_executions=log_executions)
        self._pool = Pool(sandbox=enable_sandbox, namespaces=namespaces, landlock=landlock, spare=spare)
        self._testing = threading.Lock()
        self._tested: _SelfTest | None = None
        if not enable_sandbox:
            self._journal.security_event("sandbox_disabled", why="SafeExecutor(enable_sandbox=False)")

    # --- one run ---

    def execute_model(
        self, code: str, name: str, input_data: Mapping[str, Any] | None = None, model_type: str = "custom"
    ) -> ExecutionResult:
        """Call the program's `main(input_data)`."""
        return self.execute(code, name, dict(input_data or {}))

    def execute_strategy(
        self,
        code: str,
        name: str,
        market_data: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> ExecutionResult:
        """Call it with {market_data, parameters, strategy_name}."""
        return self.execute(code, name, _strategy_input(name, market_data, parameters), kind="strategy")

    def execute_indicator(
        self,
        code: str,
        name: str,
        price_data: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> ExecutionResult:
        """Call it with {price_data, parameters, indicator_name}."""
        given = {"price_data": dict(price_data or {}), "parameters": dict(parameters or {}), "indicator_name": name}
        return self.execute(code, name, given, kind="indicator")

    def execute(
        self,
        code: str,
        name: str,
        input_data: Mapping[str, Any],
        *,
        kind: Kind = "model",
        timeout_seconds: float | None = None,
        memory_limit_mb: int | None = None,
    ) -> ExecutionResult:
        """One run in a process of its own. Never raises for what the program does: that is the result's status."""
        run = self._run(code, name, kind, timeout_seconds, memory_limit_mb)
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
    ) -> StrategySession:
        """A strategy that decides bar by bar in one process: see StrategySession. market_data: what is the same at all bars."""
        run = self._run(code, name, "strategy", timeout_seconds, memory_limit_mb)
        return StrategySession(self, run, _strategy_input(name, market_data, parameters))

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
    ) -> BarRun:
        """The strategy's decision at every bar. The next bar is taken from `bars` only after the last decision is here.

        bars: one mapping of column to value each; the program's `market_data` holds the list of all values so far per
        column. timeout_seconds bounds the program's time over all bars.
        """
        decisions: list[Json] = []
        options = {"market_data": market_data, "timeout_seconds": timeout_seconds, "memory_limit_mb": memory_limit_mb}
        session = self.open_strategy(code, name, parameters, **options)  # type: ignore[arg-type]
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
        self._pool.prepare("numpy", self._allowance(self.timeout_seconds, self.memory_limit_mb))

    def wait_until_warm(self) -> None:
        """Return when pandas and scipy are loaded too and children of both sizes wait."""
        self.start()
        for size in ("numpy", "frames"):
            self._pool.prepare(size, self._allowance(self.timeout_seconds, self.memory_limit_mb))

    def get_statistics(self) -> dict[str, Json]:
        """Counts, times and limits over all runs of this home, whichever process ran them."""
        tally = self._journal.tally()
        total = tally.by_status.total()
        successful = tally.by_status["success"]
        return {
            "total_executions": total,
            "successful_executions": successful,
            "failed_executions": total - successful,
            "success_rate": successful / total if total else 0.0,
            "total_execution_time": tally.seconds,
            "average_execution_time": tally.seconds / total if total else 0.0,
            "p50_execution_time": tally.percentile(0.50),
            "p99_execution_time": tally.percentile(0.99),
            "peak_memory_mb": tally.peak_mib,
            "by_status": dict(tally.by_status),
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

    def _allowance(self, timeout_s: float, memory_mb: int) -> Allowance:
        # Two seconds more than the wall clock: the kernel's own end to a run whose service is stuck.
        return Allowance(memory_mb << 20, math.ceil(timeout_s) + 2)

    def _run(self, code: str, name: str, kind: Kind, timeout_s: float | None, memory_mb: int | None) -> _Run:
        timeout_s = self.timeout_seconds if timeout_s is None else timeout_s
        memory_mb = self.memory_limit_mb if memory_mb is None else memory_mb
        if not 0 < timeout_s < math.inf or memory_mb < 1:
            raise InvalidRequest("timeout_seconds and memory_limit_mb must be above zero")
        return _Run(self, code, name, kind, timeout_s, memory_mb)

    def _self_test(self) -> _SelfTest:
        """Once per executor: let a locked-down child try what it must not be able to do."""
        with self._testing:
            if self._tested is None:
                self._tested = _SelfTest.of(self._pool, self._allowance(self.timeout_seconds, self.memory_limit_mb))
                if self._tested.failure:
                    self._journal.security_event("self_test_failed", why=self._tested.failure)
            return self._tested

    def _record(self, run: _Run, *results: ExecutionResult) -> None:
        self._journal.record(results, kind=run.kind, name=run.name, code=run.code)
        for event in run.events:
            why = next((result.error for result in results if result.error), "")
            self._journal.security_event(event, name=run.name[:200], detail=why[:300])
        run.events.clear()


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

    def __init__(self, executor: SafeExecutor, run: _Run, given: dict[str, Any]) -> None:
        self._executor = executor
        self._run = run
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
        if self._result is None and isinstance(self._talk, _Talk):
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
        if self._result is None and isinstance(self._talk, _Talk):
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
            if isinstance(self._talk, _Talk):
                self._talk.close()
            self._executor._record(self._run, outcome)


def _strategy_input(
    name: str, market_data: Mapping[str, Any] | None, parameters: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {"market_data": dict(market_data or {}), "parameters": dict(parameters or {}), "strategy_name": name}


# --- one child, one job ---


@dataclass(frozen=True)
class _SelfTest:
    level: IsolationLevel | Literal["refused"]
    failure: str = ""

    @classmethod
    def of(cls, pool: Pool, allowance: Allowance) -> _SelfTest:
        from evolve.sandbox.limits import unsupported

        if (why := unsupported()) is not None:
            return cls("refused", why)
        try:
            child = pool.take("numpy", allowance, pooled=True)
        except Unavailable as error:
            return cls("refused", f"{error.message}; see docs/sandbox.md, Where no wall can be built")
        if child.isolation_level == "none":
            child.kill()
            return cls("none")
        talk = _Talk(child, time.monotonic() + 10.0, max_output_bytes=SMALL_FRAME, events=[])
        outcome = talk.send_job(
            _job("", "<probe>", "probe", gate=False, inject=(), max_output_bytes=SMALL_FRAME), b"{}"
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


def _job(
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
class _Run:
    """One program with its limits, and the security events its run gave rise to."""

    executor: SafeExecutor
    code: str
    name: str
    kind: Kind
    timeout_s: float
    memory_mb: int
    events: list[str] = field(default_factory=list)

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

    def begin(self, mode: Mode, input_data: Mapping[str, Any]) -> _Talk | ExecutionResult:
        """Hand the program to a child and let it begin. An ExecutionResult when it did not come to that."""
        executor = self.executor
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
        test = executor._self_test()
        if test.failure:
            return ExecutionResult("system_error", error=test.failure)
        inject = INJECTED[self.kind] if mode != "many" else ()
        job = _job(
            self.code,
            "<program>",
            mode,
            gate=executor.validate_code,
            inject=inject,
            max_output_bytes=executor.max_output_size,
        )
        # Once more when the child was lost before the program ran: the zygotes died, and start anew.
        talk = self._handed_over(mode, job, data, notes)
        if isinstance(talk, _Talk) and talk.lost:
            talk = self._handed_over(mode, job, data, notes)
        return talk.failed if isinstance(talk, _Talk) and talk.failed is not None else talk

    def _handed_over(self, mode: Mode, job: dict[str, Any], data: bytes, notes: Notes) -> _Talk | ExecutionResult:
        """Take a child, send it the job, and wait until the program may begin."""
        executor = self.executor
        try:
            child = self._take()
        except Unavailable as error:
            return ExecutionResult("system_error", error=error.message)
        talk = _Talk(
            child,
            time.monotonic() + self.timeout_s,
            max_output_bytes=executor.max_output_size,
            events=self.events,
            memory_mb=self.memory_mb,
            timeout_s=self.timeout_s,
        )
        talk.notes.lines += notes.lines
        talk.failed = talk.send_job(job, data) or (talk.started() if mode == "once" else talk.loaded())
        if talk.failed is not None:
            talk.close()
        return talk

    def _take(self) -> Child:
        executor = self.executor
        pool = executor._pool
        allowance = executor._allowance(self.timeout_s, self.memory_mb)
        usual = (self.timeout_s, self.memory_mb) == (executor.timeout_seconds, executor.memory_limit_mb)
        size = wanted_zygote(self.code)
        if size == "learning" and not pool.ready("learning"):
            size = "frames"  # not installed; the program's import error says so
        try:
            return pool.take(size, allowance, pooled=usual)
        except Unavailable:
            # The zygotes may have died a moment ago, and with them the children that waited; they start anew once.
            pool.clear()
            return pool.take(size, allowance, pooled=usual)


class _Deadline(Exception):
    pass


class _HungUp(Exception):
    pass


class _Forged(Exception):
    """The child broke the form of the channel: what it says from here on is not believed."""


class _TooLong(Exception):
    def __init__(self, size: int) -> None:
        self.size = size


@dataclass
class _Talk:
    """The conversation with one child: sends its job, reads what it gives, measures, and ends it."""

    child: Child
    deadline: float
    max_output_bytes: int
    events: list[str]
    memory_mb: int = 0
    timeout_s: float = 0.0
    failed: ExecutionResult | None = None  # why it ended before it began
    lost: bool = False  # the child was ended from outside before the program began
    notes: Notes = field(default_factory=Notes)
    _buffer: bytearray = field(default_factory=bytearray)
    _printed: bytearray = field(default_factory=bytearray)
    _warned: bytearray = field(default_factory=bytearray)
    _began: float = field(default_factory=time.monotonic)
    _running: bool = False  # the gate let it pass: from here on the program's own code may write to the channel
    _spent: float = 0.0
    _measured: bool = True  # whether each answer is worth two looks at the child's memory
    _poll: select.poll = field(default_factory=select.poll)

    def __post_init__(self) -> None:
        self._poll.register(self.child.connection, select.POLLIN)

    # --- sending ---

    def send_job(self, job: dict[str, Any], data: bytes) -> ExecutionResult | None:
        self._began = time.monotonic()
        payload = orjson.dumps(job)[:-1] + b',"input":' + data + b"}"
        return self._send(channel.JOB, payload)

    def _send(self, kind: bytes, payload: bytes) -> ExecutionResult | None:
        connection = self.child.connection
        data = channel.frame(kind, payload)
        try:
            sent = connection.send(data)
            if sent == len(data):
                return None
        except BlockingIOError:
            sent = 0
        except OSError:
            return None  # it hung up; reading says how it ended
        try:
            connection.settimeout(max(0.001, self.deadline - time.monotonic()))
            connection.sendall(memoryview(data)[sent:])
        except TimeoutError:
            return self._timed_out()
        except OSError:
            return None  # it hung up; reading says how it ended
        finally:
            connection.setblocking(False)
        return None

    def ask(self, payload: bytes) -> ExecutionResult:
        """Send the next bar and wait for the decision. Only time spent waiting counts against the limit."""
        began = self._began = time.monotonic()
        self.deadline = began + self.timeout_s - self._spent
        result = self._send(channel.NEXT, payload) or self.outcome()
        self._spent += time.monotonic() - began
        return result

    def batch(self, inputs: Sequence[Mapping[str, Any]]) -> list[ExecutionResult]:
        """Send inputs while reading results, a few in flight."""
        results: list[ExecutionResult] = []
        waiting: list[tuple[float, ExecutionResult | None]] = []
        position, answered_at = 0, 0.0
        while len(results) < len(inputs):
            while position < len(inputs) and len(waiting) < IN_FLIGHT:
                try:
                    data = encode(dict(inputs[position]), Notes(), "input_data")
                except NotData as error:
                    refused = ExecutionResult("validation_error", error=f"{error} [rule: input]")
                    waiting.append((time.monotonic(), refused))
                    position += 1
                    continue
                if len(data) > SMALL_FRAME and waiting:
                    break  # a large input goes alone: both sides writing at once would lock each other
                waiting.append((time.monotonic(), None))
                position += 1
                if (failed := self._send(channel.NEXT, data)) is not None:
                    return [*results, failed, *self._not_run(len(inputs) - len(results) - 1)]
                if len(data) > SMALL_FRAME:
                    break
            sent_at, refused_before = waiting.pop(0)
            if refused_before is not None:
                results.append(refused_before)
                continue
            self._began = max(sent_at, answered_at)  # the one before may have kept it waiting
            results.append(self.outcome())
            answered_at = time.monotonic()
            self._printed.clear()
            self._warned.clear()
            self.notes = Notes()
            if self.child.killed:
                return [*results, *self._not_run(len(inputs) - len(results))]
        peak = self.child.peak_mib()
        return [replace(result, memory_used=peak) for result in results]

    def _not_run(self, count: int) -> list[ExecutionResult]:
        return [ExecutionResult("execution_error", error="not run: an input before it ended the process")] * count

    # --- reading ---

    def started(self) -> ExecutionResult | None:
        """Wait until the gate has let the program pass; otherwise the result that says why not."""
        return self._answered(self._until_started)

    def loaded(self) -> ExecutionResult | None:
        """Wait until the program's top level has run and it waits for its first input; otherwise why it does not."""
        self._measured = False
        began = time.monotonic()
        failed = self.started() or self.outcome()
        self._spent += time.monotonic() - began
        return None if failed.status == "success" else failed

    def outcome(self) -> ExecutionResult:
        """Wait for the program's value or failure."""
        result = self._answered(self._until_answer)
        if result is None:
            raise AssertionError("a run ends with a value or a failure")
        return result

    def _answered(self, wait: Callable[[], ExecutionResult | None]) -> ExecutionResult | None:
        try:
            return wait()
        except _Deadline:
            return self._timed_out()
        except _HungUp:
            return self._died()
        except _TooLong as error:
            return self._end(
                "execution_error",
                f"the return value has {error.size:,} bytes as JSON; at most {self.max_output_bytes:,} are allowed",
            )
        except (_Forged, NotStrict) as error:
            self.events.append("channel_forged")
            del self._printed[SMALL_FRAME:]  # written by hand: enough to see what it was
            return self._end("execution_error", f"the program wrote to the sandbox's own channel: {error}")

    def _until_started(self) -> ExecutionResult | None:
        kind, payload = self._next()
        if kind == channel.STARTED and not payload:
            self._running = True
            return None
        if kind == channel.REFUSED:
            refusal = read_value(payload)
            where = f"line {refusal['line']}: " if refusal["line"] else ""
            if refusal["rule"] not in ("syntax", "size"):
                self.events.append("program_refused")
            return self._end("validation_error", f"{where}{refusal['message']} [rule: {refusal['rule']}]")
        return self._failed(kind, payload)

    def _until_answer(self) -> ExecutionResult:
        while True:
            kind, payload = self._next()
            if kind == channel.OUTPUT:
                self._take_text(self._printed, payload, self.max_output_bytes)
            elif kind == channel.WARNED:
                self._take_text(self._warned, payload, WARNED_BYTES)
            elif kind == channel.RETURNED:
                value = read_value(payload)
                if not isinstance(value, dict) or set(value) != {"value", "notes"} or not _are_notes(value["notes"]):
                    raise _Forged("a result of another form")
                for note in value["notes"]:
                    self.notes.add(note)
                return self.result("success", value=value["value"])
            else:
                return self._failed(kind, payload)

    def _failed(self, kind: bytes, payload: bytes) -> ExecutionResult:
        if kind != channel.FAILED:
            raise _Forged("a message out of place")
        value = read_value(payload)
        if (
            not isinstance(value, dict)
            or set(value) != {"kind", "error", "notes"}
            or not isinstance(value["error"], str)
            or value["kind"] not in ("error", "memory", "system")
            or not _are_notes(value["notes"])
        ):
            raise _Forged("a failure of another form")
        if value["kind"] == "memory":
            return self.result("memory_limit", error=f"the program needs more than its {self.memory_mb} MiB of memory")
        if value["kind"] == "system" and not self._running:
            return self._end("system_error", f"the sandbox could not run the program: {value['error']}")
        return self.result("execution_error", error=value["error"])

    @staticmethod
    def _take_text(held: bytearray, payload: bytes, most: int) -> None:
        # The child stops one byte past its cap by itself; one that does not is writing by hand.
        if len(held) > most:
            raise _Forged("more text than the cap allows")
        held += payload

    def _next(self) -> tuple[bytes, bytes]:
        """The next frame. Raises _Deadline, _HungUp, _TooLong, _Forged."""
        head = self._fill(channel.HEADER.size)
        kind, length = channel.HEADER.unpack(head)
        if kind == channel.RETURNED:
            if length > self.max_output_bytes + SMALL_FRAME:
                raise _TooLong(length)
        elif kind not in _KINDS or length > SMALL_FRAME:
            raise _Forged("a frame of no known kind or length")
        frame = self._fill(channel.HEADER.size + length)
        payload = bytes(frame[channel.HEADER.size :])
        del self._buffer[: channel.HEADER.size + length]
        return kind, payload

    def _fill(self, count: int) -> bytes:
        buffer = self._buffer
        while len(buffer) < count:
            left = self.deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(math.ceil(left * 1000)):
                raise _Deadline
            try:
                data = self.child.connection.recv(min(262_144, max(4096, count - len(buffer))))
            except BlockingIOError:
                continue
            except ConnectionError:
                data = b""
            if not data:
                raise _HungUp
            buffer += data
        return bytes(buffer[:count])

    # --- concluding ---

    def whole(self, value: Json) -> ExecutionResult:
        """The result of a conversation of many answers: the time spent waiting for them, the peak of them all."""
        self._measured = True
        return replace(self.result("success", value=value), execution_time=round(self._spent, 6))

    def result(
        self, status: Status, *, error: str | None = None, value: Json = None, memory_mib: float | None = None
    ) -> ExecutionResult:
        """The result as of now, measured by us."""
        seconds = time.monotonic() - self._began
        if memory_mib is None:
            memory_mib = self.child.peak_mib() if self._measured or status != "success" else 0.0
        logs = list(self.notes.lines)
        if len(self._printed) > self.max_output_bytes:
            logs.append(f"output was cut after {self.max_output_bytes:,} bytes")
        if self._warned:
            logs += [
                "stderr: " + line for line in self._warned[:WARNED_BYTES].decode("utf-8", "replace").splitlines()[:100]
            ]
        output = self._printed[: self.max_output_bytes].decode("utf-8", "replace")
        return ExecutionResult(status, output, error, round(seconds, 6), memory_mib, value, tuple(logs))

    def _end(self, status: Status, error: str) -> ExecutionResult:
        result = self.result(status, error=error)
        self.child.kill()
        return result

    def _timed_out(self) -> ExecutionResult:
        limit = self.timeout_s
        return self._end("timeout", f"the program did not finish within {limit:g} s")

    def _died(self) -> ExecutionResult:
        """The channel closed without an answer: say how the process ended."""
        notice = self.child.ended()
        if notice is None:
            return self._end("execution_error", "the program closed the channel it answers on")
        status, added = notice.status, self.child.added_mib(notice.peak_kib)
        self.child.kill()
        if notice.lost or (not self._running and status == -SIGKILL):
            self.lost = not self._running
            return self.result(
                "system_error", error="the sandbox's processes were ended from outside; run it again", memory_mib=added
            )
        if not self._running:
            return self.result(
                "validation_error", error="the program is nested too deeply to be read [rule: size]", memory_mib=added
            )
        if status == -SIGSYS:
            self.events.append("forbidden_system_call")
            return self.result(
                "execution_error",
                error="the kernel ended the program: it made a forbidden system call",
                memory_mib=added,
            )
        if status == -SIGXCPU or (status == -SIGKILL and time.monotonic() - self._began > 0.9 * self.timeout_s):
            return self.result(
                "timeout", error=f"the program did not finish within {self.timeout_s:g} s", memory_mib=added
            )
        if added > 0.9 * self.memory_mb or status == -SIGKILL:
            return self.result(
                "memory_limit",
                error=f"the program needs more than its {self.memory_mb} MiB of memory",
                memory_mib=added,
            )
        if status < 0:
            what = CRASHES.get(-status, f"signal {-status}")
            error = f"the program crashed its process ({what}): recursion without end, or an error in native code"
            return self.result("execution_error", error=error, memory_mib=added)
        return self.result("execution_error", error="the program ended its process without an answer", memory_mib=added)

    def close(self) -> None:
        self.child.kill()


_KINDS = frozenset((channel.STARTED, channel.REFUSED, channel.OUTPUT, channel.WARNED, channel.FAILED))


def _are_notes(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 20
        and all(isinstance(note, str) and len(note) <= 500 for note in value)
    )
