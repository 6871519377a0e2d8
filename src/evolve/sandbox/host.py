"""The sandbox as a process beside a service: it owns the executor, and runs programs for those who connect to its socket.

A service's front answers `ping` within milliseconds and must not parse what strangers wrote; its job processes are killed to
cancel a request and replaced after a while, and would take warm zygotes with them. So the executor lives here, for as long as
the front does. One connection is one question; who hangs up before the answer ends the run.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import orjson

from evolve import logs
from evolve.errors import EvolveError, Malformed, Unavailable
from evolve.sandbox import limits
from evolve.sandbox.executor import SafeExecutor
from evolve.sandbox.result import ExecutionResult
from evolve.security_events import taken
from evolve.settings import LogLevel

LENGTH = struct.Struct("!I")
MAX_FRAME = 256 << 20  # of our own processes; what strangers send was bounded before
MAX_ELEMENTS = 450_000  # of a return value; a message may hold 500,000
BACKLOG = 128
NICE = 10  # programs may use every core, and the fronts still answer
# Warm libraries spare a program a second or two, and cost 150 MB: kept from the first program until nobody has asked for so long.
IDLE_S = 600.0


# --- frames, both sides ---


def send(connection: socket.socket, value: Mapping[str, Any]) -> None:
    payload = orjson.dumps(value)
    connection.sendall(LENGTH.pack(len(payload)))
    connection.sendall(payload)


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """The next frame; None when the other side hung up."""
    head = _exactly(connection, LENGTH.size)
    if head is None:
        return None
    length = LENGTH.unpack(head)[0]
    if length > MAX_FRAME:
        raise Malformed(f"a frame of {length:,} bytes; at most {MAX_FRAME:,} are allowed")
    body = _exactly(connection, length)
    return None if body is None else dict(orjson.loads(body))


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    parts: list[bytes] = []
    while count:
        part = connection.recv(min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


# --- answering ---

Answer = Callable[[SafeExecutor, dict[str, Any], int], dict[str, Any]]


def _execute(executor: SafeExecutor, asked: dict[str, Any], caller: int) -> dict[str, Any]:
    given = executor.input_of(asked["kind"], asked["name"], asked["data"], asked["parameters"])
    result = executor.execute(asked["code"], asked["name"], given, kind=asked["kind"], caller=caller)
    return _passable(result).to_dict()


def _passable(result: ExecutionResult) -> ExecutionResult:
    """A result that a message can hold: what the bus would refuse at the end is the program's error, and says its size."""
    payload = orjson.dumps(result.return_value)
    elements = payload.count(b",") + payload.count(b"[") + payload.count(b"{")
    if elements <= MAX_ELEMENTS:
        return result
    error = f"the return value has {elements:,} elements; at most {MAX_ELEMENTS:,} travel over the bus: return less, or as text"
    return replace(result, status="execution_error", error=error, return_value=None)


def _run_bars(executor: SafeExecutor, asked: dict[str, Any], caller: int) -> dict[str, Any]:
    run = executor.run_bars(
        asked["code"],
        asked["name"],
        _rows(asked["bars"]),
        asked["parameters"],
        market_data=asked["market_data"],
        caller=caller,
    )
    return {"decisions": run.decisions, "result": run.result.to_dict()}


def _rows(columns: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(columns, cells, strict=True))


def _statistics(executor: SafeExecutor, _asked: dict[str, Any], _caller: int) -> dict[str, Any]:
    return executor.get_statistics()


def _cleanup(executor: SafeExecutor, _asked: dict[str, Any], _caller: int) -> dict[str, Any]:
    executor.cleanup()
    return {}


ANSWERS: dict[str, Answer] = {
    "execute": _execute,
    "run_bars": _run_bars,
    "statistics": _statistics,
    "cleanup": _cleanup,
}


def _serve(executor: SafeExecutor, connection: socket.socket) -> None:
    with connection:
        try:
            asked = receive(connection)
            if asked is None:
                return
            with logs.about(asked.get("request_id")):
                try:
                    answer = {"answer": ANSWERS[asked["do"]](executor, asked, connection.fileno())}
                except EvolveError as error:
                    answer = {"error": {"code": error.code, "message": error.message}}
            # Whoever asks has a way to the figures of its service; this process has none.
            send(connection, {**answer, "events": taken()})
        except OSError:
            pass  # who asked is gone
        except Exception:  # noqa: BLE001 - the last frame of a thread: the asker reads the end of the connection, the log says why
            logs.logger(component="sandbox").exception("the sandbox failed to answer")


def _warm(executor: SafeExecutor) -> None:
    """Have children waiting before the first program comes."""
    try:
        executor.wait_until_warm()
    except Unavailable as error:
        logs.logger(component="sandbox").error("no program can run", error=error.message)
    else:
        logs.logger(component="sandbox").info("warm", isolation_level=executor.isolation_level)


def serve(path: Path, executor: SafeExecutor) -> NoReturn:
    """Answer on a Unix socket at `path` until SIGTERM."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
        listener.settimeout(IDLE_S)
        warm = False
        while True:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                if warm and not any(thread.name == "run" for thread in threading.enumerate()):
                    executor.cleanup()
                    warm = False
                continue
            connection.settimeout(None)
            if not warm:
                # Beside the first program, which takes what is ready: the next ones find all sizes waiting.
                threading.Thread(target=_warm, args=(executor,), name="warming", daemon=True).start()
                warm = True
            threading.Thread(target=_serve, args=(executor, connection), name="run", daemon=True).start()


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(options: dict[str, Any]) -> int:
    """options: {socket, owner, home, logs, log_level, log_format, timeout_seconds, memory_limit_mb}."""
    limits.die_with_parent()
    if os.getppid() != options["owner"]:
        return 1  # it ended while this process started
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which tells us when it has drained
    os.nice(NICE)
    level: LogLevel = options["log_level"]
    logs.configure("safe_executor", directory=Path(options["logs"]), level=level, form=options["log_format"])
    executor = SafeExecutor(options["timeout_seconds"], options["memory_limit_mb"], home=Path(options["home"]))
    path = Path(options["socket"])
    try:
        serve(path, executor)
    finally:
        path.unlink(missing_ok=True)
        executor.close()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
