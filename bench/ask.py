"""What does one question cost, from a cold start to the answer?

Prints CPU seconds and memory of the services before any job, then the wall time of the demo question (first and second
time) and of `evolve --help`, medians over several runs, each in a fresh home. Run: `python bench/ask.py [RUNS]`.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import psutil

from evolve.version import code_version

QUESTION = "Give me the best model for AAPL over 90 days"
EVOLVE = [sys.executable, "-m", "evolve"]


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """(wall seconds, CPU seconds) of a command and what it waited for."""
    before = os.times()
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - started, cpu


def processes_of(home: str) -> list[psutil.Process]:
    running = psutil.process_iter(["environ", "cmdline"])
    return [process for process in running if (process.info["environ"] or {}).get("EVOLVE_HOME") == home]


def one_run() -> dict[str, float]:
    home = tempfile.mkdtemp(prefix="evolve-bench-")
    environment = {**os.environ, "EVOLVE_HOME": home, "EVOLVE_LOG_DIR": f"{home}/logs"}
    for name in ("REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_DB"):
        environment.pop(name, None)
    found: dict[str, float] = {}
    try:
        found["help, CPU s"] = timed([*EVOLVE, "--help"], environment)[1]
        wall = timed([*EVOLVE, "up"], environment)[0]
        status = json.loads(
            subprocess.run([*EVOLVE, "status", "--json"], env=environment, capture_output=True, check=True).stdout
        )
        fronts = [psutil.Process(pid) for entry in status["services"].values() for pid in entry["pids"]]
        everyone = [process for process in processes_of(home) if process.pid not in {front.pid for front in fronts}]
        # What forked the fronts did their imports: its CPU and memory belong to them.
        shared = [process for process in everyone if "--connection" in process.cmdline()]
        services = fronts + shared
        found["four services ready, wall s (server and supervisor included)"] = wall
        found["four services ready, CPU s"] = sum(sum(process.cpu_times()[:2]) for process in services)
        found["largest service, PSS MB"] = max(process.memory_full_info().pss for process in fronts) / 2**20
        found["four services and their fork parent, PSS MB"] = sum(p.memory_full_info().pss for p in services) / 2**20
        found["first question, wall s"] = timed([*EVOLVE, "ask", QUESTION], environment)[0]
        found["same question again, wall s"] = timed([*EVOLVE, "ask", QUESTION], environment)[0]
    finally:
        subprocess.run([*EVOLVE, "down"], env=environment, check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(home, ignore_errors=True)
    return found


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    measured = [one_run() for _ in range(runs)]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {code_version()}, {runs} runs, medians"
    )
    print()
    print("| what | median | lowest | highest |")
    print("|---|---|---|---|")
    for name in measured[0]:
        values = [run[name] for run in measured]
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
