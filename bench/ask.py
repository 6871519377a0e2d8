"""What does one question cost, from a cold start to the answer?

Prints CPU seconds and memory of the services before any job, then the wall time of the demo question (first and second
time) and of `evolve --help`, medians over several runs, each in a fresh home.

    python bench/ask.py [RUNS] [--write docs/performance.md]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from report.page import load, provenance, write_section

from evolve.client.client import ServiceClient
from evolve.settings import Settings
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


def pings_during_a_build(environment: dict[str, str]) -> dict[str, float]:
    """Milliseconds until `pong` while an lstm is being trained by the same service."""
    settings = Settings.load(home=environment["EVOLVE_HOME"])
    build = subprocess.Popen(
        [*EVOLVE, "build", "lstm", "MSFT"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    waits = []
    with ServiceClient(settings=settings) as client:
        client.ping_service("model_builder")
        while build.poll() is None:
            started = time.perf_counter()
            answer = client.ping_service("model_builder")
            if answer["status"] != "success":
                raise RuntimeError(f"no pong: {answer['error']}")
            waits.append(1000 * (time.perf_counter() - started))
            time.sleep(0.02)
    return {"ping during a build, p50 ms": statistics.median(waits), "ping during a build, worst ms": max(waits)}


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
        found["all services ready, wall s (server and supervisor included)"] = wall
        found["all services ready, CPU s"] = sum(sum(process.cpu_times()[:2]) for process in services)
        found["largest service, PSS MB"] = max(process.memory_full_info().pss for process in fronts) / 2**20
        found["all services and their fork parent, PSS MB"] = sum(p.memory_full_info().pss for p in services) / 2**20
        found |= pings_during_a_build(environment)
        found["first question, wall s"] = timed([*EVOLVE, "ask", QUESTION], environment)[0]
        found["same question again, wall s"] = timed([*EVOLVE, "ask", QUESTION], environment)[0]
    finally:
        subprocess.run([*EVOLVE, "down"], env=environment, check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(home, ignore_errors=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="What one question costs, from a cold start to the answer.")
    parser.add_argument("runs", nargs="?", type=int, default=3, help="how often (3)")
    parser.add_argument("--write", type=Path, help="the page whose section `ask` gets the table")
    options = parser.parse_args()
    before = load()
    measured = [one_run() for _ in range(options.runs)]
    lines = [
        f"{provenance()}, {code_version()}; load {before} before, {load()} after; {options.runs} runs, medians.",
        "",
        "| what | median | lowest | highest |",
        "|---|---|---|---|",
    ]
    for name in measured[0]:
        values = [run[name] for run in measured]
        lines.append(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    text = "\n".join(lines)
    print(text)
    if options.write:
        write_section(options.write, "ask", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
