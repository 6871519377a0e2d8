"""How long do three replicas each of three services take from nothing to serving, and one more replica of what runs?

    python bench/replicas.py --write docs/performance.md

From nothing: no server, no supervisor, no home. The time is that of the command a user types, its own start included; it ends when each replica
answers. CPU is that of all processes of the home until then, and the command's.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from report.page import ROOT, load, provenance, write_section

SERVICES = ("model_builder", "research", "multimodal")
EVOLVE = Path(sys.executable).with_name("evolve")


@dataclass(frozen=True)
class Took:
    """Seconds, and what the fronts, the supervisor and its fork parent hold in memory, shared pages by share (PSS)."""

    wall: float
    cpu: float
    pss_mb: float = 0.0


def processes(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if process.environ().get("EVOLVE_HOME") == str(home) or any(str(home) in w for w in process.cmdline()):
                found.append(process)
    return found


def cpu(home: Path) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes(home))


def run(home: Path, *words: str) -> Took:
    """One command; what was spent on it, its own process and those it left running."""
    environment = {**os.environ, "EVOLVE_HOME": str(home), "EVOLVE_LOG_DIR": str(home / "logs"), "OMP_NUM_THREADS": "1"}
    before, own = cpu(home), resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run([str(EVOLVE), *words], env=environment, check=True, capture_output=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
    left = cpu(home) - before
    return Took(wall, left + command, sum(process.memory_full_info().pss for process in processes(home)) / 2**20)


def once() -> tuple[Took, Took, Took]:
    """Nine replicas from nothing, a tenth, and back to nine."""
    folder = Path(tempfile.mkdtemp(prefix="ev-rep-"))
    home = folder / "h"
    try:
        nine = run(home, "scale", *(f"{name}=3" for name in SERVICES))
        return nine, run(home, "scale", f"{SERVICES[0]}=4"), run(home, "scale", f"{SERVICES[0]}=3")
    finally:
        run(home, "down")
        shutil.rmtree(folder, ignore_errors=True)


def table(rounds: list[tuple[Took, Took, Took]], before: str) -> str:
    lines = [
        f"{provenance()}; load {before} before, {load()} after; {len(rounds)} rounds, medians (lowest to highest).",
        "",
        "| what | wall s | CPU s | memory of all, PSS MB |",
        "|---|---|---|---|",
    ]
    for name, took in zip(
        ("3 services × 3 replicas, from nothing", "one more replica", "one less"),
        zip(*rounds, strict=True),
        strict=True,
    ):
        walls, cpus = [each.wall for each in took], [each.cpu for each in took]
        memory = statistics.median(each.pss_mb for each in took)
        lines.append(f"| {name} | {spread(walls)} | {spread(cpus)} | {memory:.0f} |")  # fmt: skip
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="How long nine replicas take to serve.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="the page whose section `replicas` gets the table")
    options = parser.parse_args()
    before = load()
    text = table([once() for _ in range(options.rounds)], before)
    print(text)
    if options.write:
        write_section(ROOT / options.write, "replicas", text)


if __name__ == "__main__":
    main()
