"""One run, from the inside: lock the door, read the job, run the program, say what it gave.

The order is the point. Not a byte of the job is read before every right is gone; afterwards this process can compute and
write to its channel, and nothing else. What it says is only ever about the program it ran: the service measures time and
memory itself and believes no other field.
"""

from __future__ import annotations

import array
import ast
import builtins
import contextlib
import errno
import io
import os
import random
import socket
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import orjson

from evolve.sandbox import channel, limits, policy
from evolve.sandbox.market_data import MarketData
from evolve.sandbox.result import NotData, Notes, encode

MODULE = "user_code"  # what the program sees as __name__
FLUSH_BYTES, FLUSH_S = (
    32_768,
    0.05,
)  # printed text is sent this early, so that a run that times out shows what it printed
PROMPT_SENDS = 64  # and the first pieces at once
MAX_TRACE_LINES, MAX_MESSAGE_CHARACTERS = 8, 2_000
_OUT_OF_MEMORY = channel.frame(
    channel.FAILED, orjson.dumps({"kind": "memory", "error": "MemoryError: the memory limit was reached", "notes": []})
)

Mode = Literal["once", "many", "bars", "probe"]


@dataclass(frozen=True)
class Walls:
    """What the zygote prepared and each child puts on."""

    filter: limits.Filter
    ruleset: int | None
    become_nobody: bool
    namespaces: bool


def become(walls: Walls | None, handed: int, *, parent: int, address_space_bytes: int, cpu_s: int) -> NoReturn:
    """In the fork: lock down, read the job from `handed`, run it, end. Without `walls` only the limits hold."""
    try:
        lock_down(walls, handed, parent=parent, address_space_bytes=address_space_bytes, cpu_s=cpu_s)
        serve()
    except BaseException as error:  # noqa: BLE001 - the last frame of a process: nobody above could report it
        with contextlib.suppress(BaseException):
            report = {
                "kind": "system",
                "error": f"{type(error).__name__}: {error}"[:MAX_MESSAGE_CHARACTERS],
                "notes": [],
            }
            channel.write(limits.CHANNEL, channel.FAILED, orjson.dumps(report))
    finally:
        os._exit(0)


def lock_down(walls: Walls | None, handed: int, *, parent: int, address_space_bytes: int, cpu_s: int) -> None:
    """Give up every right for good, then say so. Raises OSError where one of them would not go."""
    os.setsid()
    _reseed()
    # Our own pidfd travels ahead: the service kills and measures by it, whatever PID namespace we are in.
    own = os.pidfd_open(os.getpid())
    with socket.socket(fileno=os.dup(handed)) as speaking:
        speaking.sendmsg([b"P"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [own]))])
    os.close(own)
    if walls is not None:
        limits.forbid_new_privileges()
        limits.give_up_rights(become_nobody=walls.become_nobody)
        limits.forbid_new_privileges()  # changing the user made the process dumpable by root's setting again
    limits.die_with_parent()
    if os.getppid() != parent:
        os._exit(0)
    if walls is not None and walls.ruleset is not None:
        limits.restrict_by_landlock(walls.ruleset)
    limits.keep_only(handed)
    limits.limit_resources(address_space_bytes=address_space_bytes, cpu_s=cpu_s, nothing_else=walls is not None)
    if walls is not None:
        walls.filter.apply()
    warm()
    made_of = {
        "pid": os.getpid(),
        "seccomp": walls is not None,
        "landlock": walls is not None and walls.ruleset is not None,
        "namespaces": walls is not None and walls.namespaces,
    }
    channel.write(limits.CHANNEL, channel.LOCKED, orjson.dumps(made_of))


def _reseed() -> None:
    """Each run draws its own random numbers: a fork would repeat the zygote's."""
    random.seed()
    sys.modules["numpy"].random.seed(int.from_bytes(os.urandom(4), "little"))


_WARM = """import numpy as np
def main(d):
    if len(d['x']) < 2:
        return None
    return {'a': np.mean(d['x'][-2:]) * 1.01, 'b': [0.5]}
"""


def warm() -> None:
    """Touch what every run touches, while nobody waits: each page shared with the zygote costs a fault when first written."""
    job = Job(_WARM, "<warm>", "once", True, (), 0, {"x": [1, 2, 3]})
    tree = policy.parse(job.code, job.filename)
    if isinstance(tree, ast.Module) and policy.check(tree) is None:
        encode(load(compile(tree, job.filename, "exec"), job)(job.input), Notes())
    del sys.modules[MODULE]


# --- the job ---


@dataclass(frozen=True)
class Job:
    """What to run. `input` is the entry point's argument; `inject` says which of its keys are globals as well."""

    code: str
    filename: str
    mode: Mode
    gate: bool
    inject: tuple[str, ...]
    max_output_bytes: int
    input: Any


def serve() -> None:
    """Do the one job, then stay until the service has measured this process and ends it."""
    arrived = channel.read(limits.CHANNEL)
    if arrived is not None:
        do(Job(**orjson.loads(arrived[1])))
        channel.read(limits.CHANNEL)


def do(job: Job) -> None:
    if job.mode == "probe":
        answer(probe(), Notes(), job)
        return
    code = approved(job)
    if code is None:
        return
    channel.write(limits.CHANNEL, channel.STARTED, b"")
    capture(job.max_output_bytes)
    entry = attempt(lambda: load(code, job), job)
    if entry is _FAILED:
        return
    if job.mode == "once":
        attempt(lambda: answer(entry(job.input), Notes(), job), job)
    elif job.mode == "many":
        answer(None, Notes(), job)  # the program is loaded
        while (arrived := channel.read(limits.CHANNEL)) is not None:
            value = orjson.loads(arrived[1])
            attempt(lambda value=value: answer(entry(value), Notes(), job), job)  # type: ignore[misc]
    else:
        answer(None, Notes(), job)
        run_bars(entry, job)


def approved(job: Job) -> types.CodeType | None:
    """The compiled program, or None after telling the service why the gate refuses it."""
    tree = policy.parse(job.code, job.filename)
    if isinstance(tree, ast.Module) and job.gate:
        tree = policy.check(tree) or tree
    if isinstance(tree, ast.Module):
        try:
            return compile(tree, job.filename, "exec", dont_inherit=True)
        except SyntaxError as error:
            tree = policy.Refusal("syntax", error.lineno or 0, f"not valid Python: {error.msg}")
        except ValueError as error:
            tree = policy.Refusal("syntax", 0, f"not valid Python: {error}")
        except (RecursionError, MemoryError):
            tree = policy.Refusal("size", 0, "the program is nested too deeply to be compiled")
    refusal = {"rule": tree.rule, "line": tree.line, "message": tree.message}
    channel.write(limits.CHANNEL, channel.REFUSED, orjson.dumps(refusal, option=orjson.OPT_NON_STR_KEYS))
    return None


class NoEntryPoint(Exception):
    """The program defines nothing to call."""


def load(code: types.CodeType, job: Job) -> Callable[[Any], Any]:
    """Run the program's top level. What it offers: main, run_model, execute, or the value of `result`."""
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module  # dataclasses and typing look their module up
    namespace = module.__dict__
    namespace["__builtins__"] = builtins.__dict__
    namespace["input_data"] = job.input
    for name in job.inject:
        namespace[name] = job.input[name]
    exec(code, namespace)
    for name in policy.ENTRY_POINTS:
        entry = namespace.get(name)
        if callable(entry):
            return entry  # type: ignore[no-any-return]
    if "result" in namespace and job.mode == "once":
        result = namespace["result"]
        return lambda _: result
    wanted = "main(input_data), run_model(input_data) or execute(input_data)"
    raise NoEntryPoint(
        f"the program defines neither {wanted}" + (" nor a global `result`" if job.mode == "once" else "")
    )


def run_bars(entry: Callable[[Any], Any], job: Job) -> None:
    """Decide on one bar at a time. The service sends a bar only after the decision on the one before has reached it.

    The program gets all bars so far as one list per column, its own copies: what it does to them is gone at the next bar.
    """
    fixed = dict(job.input)
    market = dict(fixed.pop("market_data", {}))
    columns: dict[str, list[Any]] = {}
    while (arrived := channel.read(limits.CHANNEL)) is not None:
        for name, cell in orjson.loads(arrived[1]).items():
            columns.setdefault(name, []).append(cell)
        data = MarketData(market, columns)
        attempt(lambda data=data: answer(entry({**fixed, "market_data": data}), Notes(), job), job)  # type: ignore[misc]


# --- what is said about it ---

_FAILED: Any = object()


def attempt(work: Callable[[], Any], job: Job) -> Any:
    """Run a step of the user's; whatever it raises is reported, never raised further. _FAILED then."""
    try:
        return work()
    except MemoryError as error:
        error.__traceback__ = None  # lets go of the frames, and with them of what filled the memory
        os.write(limits.CHANNEL, _OUT_OF_MEMORY)
    except BaseException as error:  # noqa: BLE001 - the program's own, of any kind: it is a result
        try:
            failed(error, job)
        except MemoryError:
            os.write(limits.CHANNEL, _OUT_OF_MEMORY)
    return _FAILED


class TooLarge(Exception):
    """The return value is longer than may be sent."""


def answer(value: Any, notes: Notes, job: Job) -> None:
    encoded = encode(value, notes)
    if len(encoded) > job.max_output_bytes:
        raise TooLarge(
            f"the return value has {len(encoded):,} bytes as JSON; at most {job.max_output_bytes:,} are allowed"
        )
    flush()
    channel.write(
        limits.CHANNEL, channel.RETURNED, b'{"value":' + encoded + b',"notes":' + orjson.dumps(notes.lines) + b"}"
    )


def failed(error: BaseException, job: Job) -> None:
    if isinstance(error, NotData | NoEntryPoint | TooLarge):
        kind, text = "error", str(error)
    elif isinstance(error, SystemExit):
        kind, text = "error", f"SystemExit: the program ended itself; return from main instead{own_lines(error, job)}"
    else:
        kind, text = "error", f"{type(error).__name__}: {message_of(error)}{hint(error)}{own_lines(error, job)}"
    flush()
    report = {
        "kind": kind,
        "error": text.encode("utf-8", "replace").decode()[: 4 * MAX_MESSAGE_CHARACTERS],
        "notes": [],
    }
    channel.write(limits.CHANNEL, channel.FAILED, orjson.dumps(report))


def message_of(error: BaseException) -> str:
    try:
        return str(error)[:MAX_MESSAGE_CHARACTERS]
    except Exception as second:  # noqa: BLE001 - the program's own __str__ may raise anything
        return f"(its message raised {type(second).__name__})"


def own_lines(error: BaseException, job: Job) -> str:
    """The lines of the program on the way to the error, innermost last: never ours, never a library's."""
    lines: list[str] = []
    source = job.code.splitlines()
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_filename == job.filename:
            text = source[step.tb_lineno - 1].strip() if 0 < step.tb_lineno <= len(source) else ""
            where = "" if code.co_name == "<module>" else f", in {code.co_name}"
            lines.append(f"\n  line {step.tb_lineno}{where}: {text[:200]}")
        step = step.tb_next
    if len(lines) > MAX_TRACE_LINES:
        half = MAX_TRACE_LINES // 2
        lines = [*lines[:half], f"\n  … {len(lines) - 2 * half} more lines …", *lines[-half:]]
    return "".join(lines)


def hint(error: BaseException) -> str:
    """What to do instead, where the wall is what was hit."""
    if isinstance(error, ModuleNotFoundError):
        top = (error.name or "").partition(".")[0]
        return f" ({policy.REASONS.get(top, 'not among the modules of the sandbox')})"
    if isinstance(error, OSError) and error.errno in (errno.EPERM, errno.EACCES, errno.EMFILE, errno.ENOSYS):
        return " (the sandbox has no files, network or processes: pass data in input_data and return what you compute)"
    if isinstance(error, RuntimeError) and "new thread" in message_of(error):
        return " (the sandbox has no threads)"
    return ""


class Captured(io.RawIOBase):
    """Where printed text goes: to the service, up to a cap, soon but not at every line."""

    def __init__(self, kind: bytes, max_bytes: int) -> None:
        self.kind = kind
        self.left = max_bytes + 1  # one byte too many tells the service that it was cut
        self.waiting: list[bytes] = []
        self.size = 0
        self.sent_at = 0.0
        self.sends = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        count = len(data)
        if self.left > 0:
            part = bytes(data[: self.left])
            self.left -= len(part)
            self.waiting.append(part)
            self.size += len(part)
            if self.sends < PROMPT_SENDS or self.size >= FLUSH_BYTES or time.monotonic() - self.sent_at > FLUSH_S:
                self.send()
        return count

    def send(self) -> None:
        if self.waiting:
            data, self.waiting, self.size = b"".join(self.waiting), [], 0
            for start in range(0, len(data), FLUSH_BYTES):
                channel.write(limits.CHANNEL, self.kind, data[start : start + FLUSH_BYTES])
            self.sends += 1
        self.sent_at = time.monotonic()


_streams: list[tuple[io.TextIOBase, Captured]] = []
_stdin = io.StringIO()


def prepare() -> None:
    """Make in the zygote what each child uses: the streams, which let nothing through until `capture` says how much."""
    for kind in (channel.OUTPUT, channel.WARNED):
        raw = Captured(kind, -1)
        stream = io.TextIOWrapper(raw, encoding="utf-8", errors="replace", write_through=True)  # type: ignore[type-var]
        _streams.append((stream, raw))


def capture(max_output_bytes: int) -> None:
    """Let `print` and warnings reach the service."""
    (printed, output), (complained, warned) = _streams
    output.left, warned.left = max_output_bytes + 1, 16_384 + 1
    sys.stdout = sys.__stdout__ = printed  # type: ignore[assignment, misc]
    sys.stderr = sys.__stderr__ = complained  # type: ignore[assignment, misc]
    sys.stdin = _stdin


def flush() -> None:
    for stream, raw in _streams:
        with contextlib.suppress(ValueError):  # the program closed it
            stream.flush()
        raw.send()


# --- the self-test ---


def probe() -> list[str]:
    """What this child still can do and must not; empty behind a wall that stands. Runs after the lock-down."""
    reached: list[str] = []
    for name, work in (
        ("open a file", lambda: os.open("/", os.O_RDONLY)),
        ("look at a file", lambda: os.stat("/")),
        ("list a directory", lambda: os.listdir("/")),
        ("create a file", lambda: os.open("/tmp/evolve-sandbox-probe", os.O_CREAT | os.O_WRONLY, 0o600)),
        ("open a TCP socket", lambda: socket.socket(socket.AF_INET)),
        ("open a Unix socket", lambda: socket.socket(socket.AF_UNIX)),
        ("make a pipe", os.pipe),
        ("fork", _fork),
        ("start a program", lambda: os.execv(sys.executable, [sys.executable, "-c", ""])),
        ("signal its parent", lambda: os.kill(os.getppid(), 0)),
        ("be root", _be_root),
        ("raise a limit", _raise_limit),
    ):
        try:
            work()
        except OSError:
            continue
        except ValueError:
            continue
        reached.append(name)
    return reached


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _be_root() -> None:
    os.setuid(0)


def _raise_limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
