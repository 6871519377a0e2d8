"""What does a run behind the wall cost, beside the ways of running code that a user would pick?

The moving-average model of the specification, side by side in one go: this sandbox (numpy; pandas with scipy; and over the bus),
a subprocess, multiprocessing with spawn, bubblewrap, RestrictedPython and smolagents' local executor. Besides, every figure that the sandbox
promises: calls through execute_many, bars through run_bars, how late a kill comes, how exact the memory limit is, CPU until
the first answer.

    python bench/sandbox.py [RUNS] [--write docs/performance.md]

RestrictedPython and smolagents are installed once into environments of their own under .bench/; bubblewrap is used where `bwrap` is
on PATH. On a busy machine trust ratios and CPU time.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import structlog
from bus import NotRun, python_of
from peers.moving_average import INPUT, MODEL, PREDICTION, Run, timed
from report.page import load, provenance, write_section

from evolve.client.client import ServiceClient
from evolve.manager.manager import ServiceManager
from evolve.sandbox.executor import SafeExecutor
from evolve.settings import Settings

PEERS = Path(__file__).with_name("peers")
FRAMES_MODEL = "import pandas as pd\nimport scipy.stats\n" + MODEL
CROSS = """
def main(input_data):
    close = input_data['market_data']['close']
    return 1 if len(close) >= 20 and sum(close[-5:]) / 5 > sum(close[-20:]) / 20 else 0
"""
IN_A_SUBPROCESS = (
    MODEL + "\nimport json, sys\nprint(json.dumps({k: float(v) for k, v in main(json.loads(sys.argv[1])).items()}))\n"
)
BATCH, BARS, KILLS = 10_000, 5_000, 20
COLD_STARTS = 3
LIMIT_MIB = 128
# What the sandbox promises on two quiet cores.
PROMISED = {
    "numpy p50": "≤ 4 ms",
    "numpy p99": "≤ 20 ms",
    "numpy": "≥ 200 runs/s",
    "frames": "≥ 100 runs/s",
    "service": "≥ 100 runs/s",
    "many": "≥ 5,000 calls/s",
    "bars": "0.5 s",
    "kill": "≤ 50 ms",
    "memory": "± 2 MiB",
    "first": "≤ 1.5 s CPU",
}


def by_subprocess() -> None:
    subprocess.run([sys.executable, "-c", IN_A_SUBPROCESS, json.dumps(INPUT)], check=True, stdout=subprocess.DEVNULL)


def by_bubblewrap() -> None:
    wall = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--die-with-parent"]
    command = [*wall, sys.executable, "-c", IN_A_SUBPROCESS, json.dumps(INPUT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _spawned(code: str, given: dict[str, Any], answers: Any) -> None:
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    answers.put({name: float(value) for name, value in namespace["main"](given).items()})


def by_spawn() -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_spawned, args=(MODEL, INPUT, answers))
    process.start()
    answers.get(timeout=60)
    process.join()


def by_peer(name: str, runs: int) -> dict[str, float]:
    """Figures of a peer, measured by itself in its own environment. Raises NotRun."""
    command = [str(python_of(name)), str(PEERS / f"run_{name}.py"), str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise NotRun(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}")
    return dict(json.loads(done.stdout))


def family_cpu_s() -> float:
    """CPU seconds of this process and of all it started, the ended ones too."""
    me = psutil.Process()
    everyone = [me, *me.children(recursive=True)]
    total = 0.0
    for process in everyone:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def with_cpu(run: Run, runs: int, *, callers: int = 2) -> dict[str, float]:
    figures = timed(run, runs, callers=callers)
    before = family_cpu_s()
    for _ in range(runs):
        run()
    time.sleep(0.2)  # the last child is being reaped
    figures["CPU ms"] = 1000 * (family_cpu_s() - before) / runs
    return figures


@contextmanager
def service(home: Path) -> Iterator[ServiceClient]:
    """The safe executor's service, alone, on a server of its own."""
    settings = Settings.load(home=home / "evolve", log_dir=home / "logs", log_level="WARNING")
    os.environ |= {"EVOLVE_HOME": str(settings.home), "EVOLVE_LOG_DIR": str(settings.logs), "LOG_LEVEL": "WARNING"}
    with ServiceManager(settings=settings) as manager:
        try:
            manager.start_service("safe_executor")
            with ServiceClient(settings=settings) as client:
                yield client
        finally:
            manager.down()


def over_the_bus(home: Path, runs: int) -> dict[str, float]:
    with service(home) as client:

        def run() -> None:
            reply = client.execute_model_safely(MODEL, "m", INPUT)
            if abs(reply["result"]["return_value"]["prediction"] - PREDICTION) > 1e-9:
                raise RuntimeError(f"wrong answer: {reply}")

        for _ in range(50):
            run()
        return timed(run, runs, callers=4)


def first_answer(home: Path) -> tuple[float, float]:
    """(wall, CPU) seconds from nothing to the first numpy answer, background loading excluded by ending it at once."""
    code = (
        "import sys; from pathlib import Path; from evolve.sandbox.executor import SafeExecutor\n"
        f"e = SafeExecutor(home=Path({str(home)!r})); r = e.execute({MODEL!r}, 'm', {INPUT!r}); assert r.status == 'success', r; e.close()"
    )
    before, started = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - started, cpu


def kill_delays(executor: SafeExecutor) -> list[float]:
    """Milliseconds after its deadline that an endless program's caller has the answer."""
    delays = []
    for _ in range(KILLS):
        result = executor.execute("def main(d):\n    while True: pass", "loop", {}, timeout_seconds=0.2)
        delays.append(1000 * (result.execution_time - 0.2))
    return sorted(delays)


def memory_error_mib(executor: SafeExecutor, limit: int) -> int:
    """The largest single block a program gets, minus the limit, in MiB."""
    low, high = 1, 2 * limit
    while low < high:
        middle = (low + high + 1) // 2
        code = "def main(d): return len(bytearray(d['n'] << 20))"
        fits = executor.execute(code, "memory", {"n": middle}, memory_limit_mb=limit).status == "success"
        low, high = (middle, high) if fits else (low, middle - 1)
    return low - limit


def main() -> int:
    parser = argparse.ArgumentParser(description="What a run behind the wall costs, beside other ways of running code.")
    parser.add_argument("runs", nargs="?", type=int, default=300, help="runs of each (300)")
    parser.add_argument("--write", type=Path, help="the page whose section `sandbox` gets the tables")
    options = parser.parse_args()
    runs = max(20, options.runs)
    few = max(10, runs // 15)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    before = load()
    home = Path(tempfile.mkdtemp(prefix="ev-bench-"))
    rows: dict[str, dict[str, float]] = {}
    left_out: list[str] = []
    try:
        cold = [first_answer(home / "cold") for _ in range(COLD_STARTS)]
        with SafeExecutor(timeout_seconds=10, memory_limit_mb=256, home=home / "library") as executor:
            executor.wait_until_warm()
            rows["evolve sandbox, numpy"] = with_cpu(lambda: checked(executor, MODEL), runs)
            rows["evolve sandbox, pandas + scipy"] = with_cpu(lambda: checked(executor, FRAMES_MODEL), runs)
            started = time.perf_counter()
            batch = executor.execute_many(MODEL, [INPUT] * BATCH)
            calls = len(batch) / (time.perf_counter() - started)
            bars_s = bar_by_bar(executor)
            delays = kill_delays(executor)
            error_mib = memory_error_mib(executor, LIMIT_MIB)
            level = executor.isolation_level
        rows["evolve safe_executor service over the bus, numpy (4 callers)"] = over_the_bus(home, runs)
        rows["subprocess, numpy (no wall)"] = with_cpu(by_subprocess, few)
        rows["multiprocessing spawn, numpy (no wall)"] = with_cpu(by_spawn, few)
        if shutil.which("bwrap"):
            rows["bubblewrap + subprocess, numpy (no seccomp)"] = timed(
                by_bubblewrap, few
            )  # its CPU is reaped out of sight
        else:
            left_out.append("bubblewrap (no `bwrap` on PATH)")
        for name, title in (
            ("restrictedpython", "RestrictedPython, in process (no limits)"),
            ("smolagents", "smolagents' local executor, in process (no limits)"),
        ):
            try:
                rows[title] = by_peer(name, few if name == "smolagents" else runs)
            except NotRun as why:
                left_out.append(f"{name} ({why})")
    finally:
        shutil.rmtree(home, ignore_errors=True)
    numpy, frames = rows["evolve sandbox, numpy"], rows["evolve sandbox, pandas + scipy"]
    bus = rows["evolve safe_executor service over the bus, numpy (4 callers)"]
    lines = [
        f"{provenance()}; load {before} before, {load()} after; {level}; {runs} runs ({few} of what takes longer than 20 ms).",
        *([f"Left out: {', '.join(left_out)}."] if left_out else []),
        "",
        "| run of the moving-average model | p50 ms | p99 ms | runs/s, two callers | CPU ms a run |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        cpu = f"{row['CPU ms']:.1f}" if "CPU ms" in row else "–"
        lines.append(f"| {name} | {row['p50 ms']:.1f} | {row['p99 ms']:.1f} | {row['runs/s']:.0f} | {cpu} |")
    wall_s, cpu_s = statistics.median(wall for wall, _ in cold), statistics.median(cpu for _, cpu in cold)
    lines += [
        "",
        "| promise | asked | measured |",
        "|---|---|---|",
        f"| numpy, p50 | {PROMISED['numpy p50']} | {numpy['p50 ms']:.1f} ms |",
        f"| numpy, p99 | {PROMISED['numpy p99']} | {numpy['p99 ms']:.1f} ms |",
        f"| numpy, two callers | {PROMISED['numpy']} | {numpy['runs/s']:.0f} runs/s |",
        f"| pandas and scipy, two callers | {PROMISED['frames']} | {frames['runs/s']:.0f} runs/s |",
        f"| over the bus, four callers | {PROMISED['service']} | {bus['runs/s']:.0f} runs/s |",
        f"| execute_many, {BATCH:,} inputs | {PROMISED['many']} | {calls:,.0f} calls/s |",
        f"| run_bars, {BARS:,} bars of five columns | {PROMISED['bars']} | {bars_s:.2f} s |",
        f"| answer after the deadline, worst of {KILLS} | {PROMISED['kill']} | {delays[-1]:.1f} ms (p50 {statistics.median(delays):.1f}) |",
        f"| largest block beyond a limit of {LIMIT_MIB} MiB | {PROMISED['memory']} | {error_mib:+d} MiB |",
        f"| from nothing to the first numpy answer, median of {COLD_STARTS} | {PROMISED['first']} | {cpu_s:.2f} s CPU ({wall_s:.2f} s wall) |",
    ]
    text = "\n".join(lines)
    print(text)
    if options.write:
        write_section(options.write, "sandbox", text)
    return 0


def checked(executor: SafeExecutor, code: str) -> None:
    result = executor.execute_model(code, "m", INPUT)
    if result.status != "success" or abs(result.return_value["prediction"] - PREDICTION) > 1e-9:  # type: ignore[index,call-overload,operator]
        raise RuntimeError(f"wrong answer: {result}")


def bar_by_bar(executor: SafeExecutor) -> float:
    """Seconds for a strategy to decide on BARS bars, one after the other."""
    bars = (
        {"open": float(n), "high": n + 1.0, "low": n - 1.0, "close": n % 37 + 0.5, "volume": 1.0} for n in range(BARS)
    )
    started = time.perf_counter()
    decisions = executor.run_bars(CROSS, "cross", bars).decisions
    if len(decisions) != BARS:
        raise RuntimeError(f"{len(decisions)} decisions on {BARS} bars")
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
