"""What is said between this side and one child: the job, its answers, what we measure, and how it ends.

Nothing the child says is believed beyond its form: every frame has its own largest length (`channel`), values are parsed within
bounds (`result`), and status, time and memory are measured here.
"""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from evolve.sandbox import channel
from evolve.sandbox.child import FLUSH_BYTES, FLUSH_S, PROMPT_SENDS
from evolve.sandbox.pool import Child
from evolve.sandbox.result import ExecutionResult, Json, NotData, Notes, NotStrict, Status, encode, read_value
from evolve.security_events import SecurityEvent

SMALL_FRAME = 65_536  # what a child may say about itself; values and printed text have caps of their own
WARNED_BYTES = 16_384
SOON_S = 150e-6  # of one core, at most, for each bar
IN_FLIGHT = 32  # inputs of a batch on their way at once: enough to keep both sides busy
# Pieces of text that a child may send: what `child.Captured` makes, twice over.
FREE_TEXTS, TEXTS_PER_S, BYTES_PER_TEXT = 4 * PROMPT_SENDS, 4 / FLUSH_S, FLUSH_BYTES / 2
SIGSYS, SIGXCPU, SIGKILL = 31, 24, 9
CRASHES = {4: "illegal instruction", 6: "abort", 7: "bus error", 8: "arithmetic fault", 11: "segmentation fault"}


class _Deadline(Exception):
    pass


class _HungUp(Exception):
    pass


class _Withdrawn(Exception):
    """Who asked for the run is gone."""


class _Forged(Exception):
    """The child broke the form of the channel: what it says from here on is not believed."""


class _TooLong(Exception):
    def __init__(self, size: int) -> None:
        self.size = size


@dataclass
class Conversation:
    """The conversation with one child: sends its job, reads what it gives, measures, and ends it.

    caller: a descriptor; when its other side hangs up, nobody wants the answer any more and the child is ended.
    """

    child: Child
    deadline: float
    max_output_bytes: int
    events: list[SecurityEvent]
    memory_mb: int = 0
    timeout_s: float = 0.0
    caller: int | None = None
    failed: ExecutionResult | None = None  # why it ended before it began
    lost: bool = False  # the child was ended from outside before the program began
    notes: Notes = field(default_factory=Notes)
    _buffer: bytearray = field(default_factory=bytearray)
    _printed: bytearray = field(default_factory=bytearray)
    _warned: bytearray = field(default_factory=bytearray)
    _began: float = field(default_factory=time.monotonic)
    _opened: float = field(default_factory=time.monotonic)
    _texts: int = 0
    _text_bytes: int = 0
    _answers: int = 0
    _running: bool = False  # the gate let it pass: from here on the program's own code may write to the channel
    _spent: float = 0.0
    _measured: bool = True  # whether each answer is worth two looks at the child's memory
    _poll: select.poll = field(default_factory=select.poll)

    def __post_init__(self) -> None:
        self._poll.register(self.child.connection, select.POLLIN)
        if self.caller is not None:
            self._poll.register(self.caller, select.POLLRDHUP)

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
        result = self._send(channel.NEXT, payload)
        if result is None:
            self._soon()
            result = self.outcome()
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
        except _Withdrawn:
            return self._end("system_error", "the run was withdrawn before it was done")
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
            if not _is_refusal(refusal):
                raise _Forged("a refusal of another form")
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
                self._answers += 1
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
        self._answers += 1
        if value["kind"] == "memory":
            return self.result("memory_limit", error=f"the program needs more than its {self.memory_mb} MiB of memory")
        if value["kind"] == "system" and not self._running:
            return self._end("system_error", f"the sandbox could not run the program: {value['error']}")
        return self.result("execution_error", error=value["error"])

    def _take_text(self, held: bytearray, payload: bytes, most: int) -> None:
        # The child stops one byte past its cap by itself; one that does not is writing by hand.
        if len(held) > most:
            raise _Forged("more text than the cap allows")
        held += payload
        self._texts += 1
        self._text_bytes += len(payload)
        # Nor does it send text by the byte: ten million frames of one byte would keep a core of ours busy for a minute and a half.
        usual = FREE_TEXTS + TEXTS_PER_S * (time.monotonic() - self._opened) + self._text_bytes / BYTES_PER_TEXT
        if self._texts > usual + 2 * self._answers:
            raise _Forged("text in more pieces than the sandbox makes of it")

    def _next(self) -> tuple[bytes, bytes]:
        """The next frame. Raises _Deadline, _HungUp, _Withdrawn, _TooLong, _Forged."""
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

    def _soon(self) -> None:
        """Take an answer that comes at once without going to sleep: being woken takes longer than most decisions on a bar."""
        end = time.monotonic() + SOON_S
        while time.monotonic() < end:
            try:
                self._buffer += self.child.connection.recv(4096)
            except BlockingIOError:
                continue
            except ConnectionError:
                pass  # it hung up; who waits for it says so
            return

    def _fill(self, count: int) -> bytes:
        buffer = self._buffer
        while len(buffer) < count:
            left = self.deadline - time.monotonic()
            ready = self._poll.poll(math.ceil(left * 1000)) if left > 0 else []
            if not ready:
                raise _Deadline
            if any(descriptor == self.caller for descriptor, _ in ready):
                raise _Withdrawn
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


def _is_refusal(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"rule", "line", "message"}
        and isinstance(value["rule"], str)
        and isinstance(value["message"], str)
        and isinstance(value["line"], int)
    )


def _are_notes(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 20
        and all(isinstance(note, str) and len(note) <= 500 for note in value)
    )
