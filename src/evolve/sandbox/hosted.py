"""The sandbox of a service, from the service's side: keep its process running, and ask it to run a program."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evolve.errors import Unavailable, error_for
from evolve.logs import logger, request_id
from evolve.sandbox.bars import BarRun
from evolve.sandbox.host import receive, send
from evolve.sandbox.result import ExecutionResult, Json
from evolve.sandbox.run import Kind
from evolve.security_events import add
from evolve.settings import Settings

START_S = 15.0  # a cold disk and two busy cores; it takes 0.2 s
STOP_S = 10.0
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.1, 30.0
STEADY_S = 60.0
_numbers = itertools.count()


class HostProcess:
    """Keeps a sandbox host running while a service's front does; `socket` is where it answers.

    The kernel ends a host when the *thread* that started it ends, so that thread lives as long as the front.
    """

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.socket = directory / f"sandbox-{os.getpid()}-{next(_numbers)}.sock"
        self._directory = directory
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="sandbox host", daemon=True)

    def start(self) -> None:
        """Start it; returns at once, and whoever asks waits until it answers."""
        remove_left_behind(self._directory)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        process = self._process
        if process is not None:
            process.terminate()
        self._thread.join(STOP_S)
        if process is not None and process.poll() is None:
            process.kill()
        self.socket.unlink(missing_ok=True)

    def _keep(self) -> None:
        pause = BACKOFF_FIRST_S
        while not self._stopping.is_set():
            began = time.monotonic()
            self._process = self._launch()
            if self._stopping.is_set():
                self._process.terminate()
            status = self._process.wait()
            if self._stopping.is_set():
                return
            logger(component="sandbox").error("the sandbox's process ended; starting it again", status=status)
            pause = BACKOFF_FIRST_S if time.monotonic() - began > STEADY_S else min(2 * pause, BACKOFF_MAX_S)
            self._stopping.wait(pause)

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = self._settings
        options = {
            "socket": str(self.socket),
            "owner": os.getpid(),
            "home": str(settings.home),
            "logs": str(settings.logs),
            "log_format": settings.log_format,
            "log_level": settings.log_level,
            "timeout_seconds": settings.safe_executor_timeout_s,
            "memory_limit_mb": settings.safe_executor_memory_mb,
        }
        # -P: nothing of the current directory is imported. A session of its own: a signal to the front's group is not for it.
        command = [sys.executable, "-P", "-m", "evolve.sandbox.host", json.dumps(options)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)


def remove_left_behind(directory: Path) -> None:
    """Remove the sockets of fronts that were killed."""
    for path in directory.glob("sandbox-*.sock"):
        owner = path.name.split("-")[1]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            path.unlink(missing_ok=True)


class HostedExecutor:
    """Asks a sandbox host. Hanging up, by dying too, ends the run that was asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def execute(
        self, kind: Kind, code: str, name: str, data: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> ExecutionResult:
        """One run. data: the model's input, the strategy's market data, the indicator's price data."""
        question = {
            "do": "execute",
            "kind": kind,
            "code": code,
            "name": name,
            "data": data,
            "parameters": parameters,
        }
        answer = self._ask(question)
        return _ended() if answer is None else _result(answer)

    def run_bars(
        self,
        code: str,
        name: str,
        bars: Mapping[str, Sequence[Any]],
        parameters: Mapping[str, Any],
        market_data: Mapping[str, Any],
    ) -> BarRun:
        """A strategy's decision at each bar, never sent a bar before the decision on the one before was kept."""
        question = {
            "do": "run_bars",
            "code": code,
            "name": name,
            "bars": bars,
            "parameters": parameters,
            "market_data": market_data,
        }
        answer = self._ask(question)
        if answer is None:
            return BarRun((), _ended())
        return BarRun(tuple(answer["decisions"]), _result(answer["result"]))

    def get_statistics(self) -> dict[str, Json]:
        return self._told({"do": "statistics"})

    def cleanup(self) -> None:
        self._told({"do": "cleanup"})

    def _told(self, question: dict[str, Any]) -> dict[str, Any]:
        answer = self._ask(question)
        if answer is None:
            raise Unavailable("the sandbox's process ended while it was asked; ask again")
        return answer

    def _ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """The answer, or None when the host ended without one. Raises its typed error, or Unavailable."""
        with self._connected() as connection:
            try:
                send(connection, {**question, "request_id": request_id()})
                frame = receive(connection)
            except OSError:
                return None
        if frame is None:
            return None
        add(frame.get("events") or {})
        if "error" in frame:
            raise error_for(frame["error"]["code"])(frame["error"]["message"])
        return dict(frame["answer"])

    def _connected(self) -> socket.socket:
        limit = time.monotonic() + START_S
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(str(self._path))
                return connection
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()  # it is starting, or starting again
                if time.monotonic() > limit:
                    raise Unavailable(
                        f"the sandbox's process does not answer within {START_S:g} s; see the log of safe_executor"
                    ) from None
                time.sleep(0.02)


def _result(fields: Mapping[str, Any]) -> ExecutionResult:
    return ExecutionResult(**{**fields, "logs": tuple(fields["logs"])})


def _ended() -> ExecutionResult:
    return ExecutionResult("system_error", error="the sandbox's process ended while it ran the program; run it again")
