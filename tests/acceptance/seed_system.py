"""What does a user have? A home, the checkout's commands on PATH, and the processes they start."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seed_blocks import ROOT

from evolve.manager.manager import ServiceManager
from evolve.messaging import embedded
from evolve.settings import Settings
from homes import processes_of

SERVICES = ROOT / "services"
OURS = ("EVOLVE_", "REDIS_", "OPENAI_", "SAFE_EXECUTOR_", "LOG_LEVEL")
PATIENCE_S = 120.0  # a deadline, not a duration: on a quiet machine nothing here takes a tenth of it


@dataclass
class System:
    """A home of its own, and the processes in it. Commands run as a user types them, with the checkout's `python` on PATH."""

    home: Path
    environment: dict[str, str]
    launched: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings.load(home=self.home, log_dir=self.home / "logs")

    def shell(
        self,
        line: str,
        *,
        cwd: Path = SERVICES,
        timeout: float = PATIENCE_S,
        extra: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run one line of shell, as the specification shows it."""
        return subprocess.run(
            line,
            shell=True,
            cwd=cwd,
            env={**self.environment, **(extra or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def json(self, line: str, *, code: int = 0, cwd: Path = SERVICES, extra: Mapping[str, str] | None = None) -> Any:
        """Run a line that must exit with `code`, and read its standard output as JSON."""
        done = self.shell(line, cwd=cwd, extra=extra)
        assert done.returncode == code, f"{line} exited {done.returncode}: {done.stderr or done.stdout}"
        return json.loads(done.stdout)

    def python(self, code: str, *, timeout: float = PATIENCE_S, extra: Mapping[str, str] | None = None) -> str:
        """Standard output of a Python program run in the checkout; it must end well."""
        done = subprocess.run(
            [sys.executable, "-"],
            cwd=ROOT,
            env={**self.environment, **(extra or {})},
            input=code,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def launch(
        self, *words: str, cwd: Path = SERVICES, extra: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a program in the foreground of its own; ended with the home."""
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=cwd,
            env={**self.environment, **(extra or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.launched.append(process)
        return process

    def end(self) -> list[str]:
        """Stop everything; returns what was still there after what `evolve down` does, and what that had to kill."""
        if self.settings.run_dir.exists() or embedded.directory(self.home).exists():
            with ServiceManager(settings=self.settings) as manager:
                manager.down()
        left = processes_of(self.home)
        names = [" ".join(process.cmdline()) for process in left]
        for process in left:
            process.kill()
        for launched in self.launched:
            launched.communicate(timeout=10)
        logs = self.home / "logs"
        killed = [
            line for path in logs.glob("supervisor*.log") for line in path.read_text().splitlines() if "killed" in line
        ]
        shutil.rmtree(self.home, ignore_errors=True)
        return names + killed


def new_system() -> System:
    home = Path(tempfile.mkdtemp(prefix="evolve-"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environment |= {
        "EVOLVE_HOME": str(home),
        "EVOLVE_LOG_DIR": str(home / "logs"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
    return System(home, environment)


def eventually(condition: Callable[[], Any], *, within: float = PATIENCE_S, what: str = "it") -> Any:
    """The first true value of `condition`; other processes do the work, so there is no clock to advance."""
    end, pause = time.monotonic() + within, threading.Event()
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} did not happen within {within:g} s"
        pause.wait(0.05)
    return value
