"""What does a run behind the wall cost, beside the ways without one?

The seed's moving-average model, side by side in one go: this sandbox (numpy, and pandas with scipy), a subprocess, and
multiprocessing with spawn, and RestrictedPython, smolagents and bubblewrap where they are installed. Besides: calls through
execute_many, 5,000 bars through run_bars, how late a kill comes, how exact the memory limit is, CPU until the first answer.

Run: `python bench/sandbox.py [RUNS]`. On a busy machine trust the ratios and the CPU columns.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import structlog

from evolve.sandbox.executor import SafeExecutor

MODEL = """
import numpy as np

def main(input_data):
    prices = input_data.get('prices', [100, 101, 102, 103, 104])
    window = input_data.get('window', 3)
    if len(prices) < window:
        return {"error": "Not enough data"}
    ma = np.mean(prices[-window:])
    prediction = ma * 1.01
    return {"prediction": prediction, "moving_average": ma, "confidence": 0.7}
"""
FRAMES_MODEL = "import pandas as pd\nimport scipy.stats\n" + MODEL
INPUT = {"prices": [100, 101, 102, 103, 104, 105], "window": 3}
CROSS = """
def main(input_data):
    close = input_data['market_data']['close']
    return 1 if len(close) >= 20 and sum(close[-5:]) / 5 > sum(close[-20:]) / 20 else 0
"""
IN_A_SUBPROCESS = (
    MODEL + "\nimport json, sys\nprint(json.dumps({k: float(v) for k, v in main(json.loads(sys.argv[1])).items()}))\n"
)

Run = Callable[[], Any]


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


def timed(run: Run, runs: int) -> dict[str, float]:
    """Milliseconds one after the other, with a breath in between; then runs per second without one, from two threads."""
    run()
    took = []
    for _ in range(runs):
        started = time.perf_counter()
        run()
        took.append(1000 * (time.perf_counter() - started))
        time.sleep(0.01)
    took.sort()
    started = time.perf_counter()
    threads = [threading.Thread(target=lambda: [run() for _ in range(runs // 2)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    a_second = 2 * (runs // 2) / (time.perf_counter() - started)
    return {"p50 ms": statistics.median(took), "p99 ms": took[int(0.99 * len(took))], "runs/s": a_second}


def cpu_of(processes: list[psutil.Process]) -> float:
    """CPU seconds of living processes and of those they have waited for."""
    total = 0.0
    for process in processes:
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def with_cpu(run: Run, runs: int) -> dict[str, float]:
    figures = timed(run, runs)
    (loader,) = psutil.Process().children()
    family = [loader, *loader.children()]
    before, mine = cpu_of(family), time.process_time()
    for _ in range(runs):
        run()
    time.sleep(0.2)  # the last child is being reaped
    figures["CPU ms"] = 1000 * (cpu_of(family) - before + time.process_time() - mine) / runs
    return figures


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
    for _ in range(10):
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


def main(runs: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    home = Path(tempfile.mkdtemp(prefix="ev-bench-"))
    rows: dict[str, dict[str, float]] = {}
    try:
        cold_wall, cold_cpu = first_answer(home)
        with SafeExecutor(timeout_seconds=10, memory_limit_mb=256, home=home) as executor:
            executor.wait_until_warm()
            rows["evolve sandbox, numpy"] = with_cpu(lambda: executor.execute_model(MODEL, "m", INPUT), runs)
            frames = with_cpu(lambda: executor.execute_model(FRAMES_MODEL, "m", INPUT), runs)
            rows["evolve sandbox, pandas + scipy"] = frames
            few = max(10, runs // 20)
            rows["subprocess, numpy (no wall)"] = timed(by_subprocess, few)
            rows["multiprocessing spawn, numpy (no wall)"] = timed(by_spawn, few)
            if shutil.which("bwrap"):
                rows["bubblewrap + subprocess, numpy (no seccomp)"] = timed(by_bubblewrap, few)
            if importlib.util.find_spec("RestrictedPython"):
                rows["RestrictedPython, in process (no limits)"] = timed(_restricted(), runs)
            if importlib.util.find_spec("smolagents"):
                rows["smolagents local executor, in process (no limits)"] = timed(_smolagents(), few)
            started = time.perf_counter()
            batch = executor.execute_many(MODEL, [INPUT] * 10_000)
            calls = len(batch) / (time.perf_counter() - started)
            started = time.perf_counter()
            bars = (
                {"open": float(n), "high": n + 1.0, "low": n - 1.0, "close": n % 37 + 0.5, "volume": 1.0}
                for n in range(5_000)
            )
            decisions = executor.run_bars(CROSS, "cross", bars).decisions
            bars_s = time.perf_counter() - started
            delays = kill_delays(executor)
            error_mib = memory_error_mib(executor, 128)
            level = executor.isolation_level
    finally:
        shutil.rmtree(home, ignore_errors=True)
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}; {level}; {runs} runs"
    )
    print(
        "| run of the seed's moving-average model | p50 ms | p99 ms | runs/s, two callers | CPU ms a run |\n|---|---|---|---|---|"
    )
    for name, row in rows.items():
        cpu = f"{row['CPU ms']:.1f}" if "CPU ms" in row else "–"
        print(f"| {name} | {row['p50 ms']:.1f} | {row['p99 ms']:.1f} | {row['runs/s']:.0f} | {cpu} |")
    print("\n| measure | value |\n|---|---|")
    print(f"| first numpy answer from nothing | {cold_wall:.2f} s wall, {cold_cpu:.2f} s CPU |")
    print(f"| execute_many | {calls:,.0f} calls/s |")
    print(f"| run_bars, {len(decisions):,} bars of five columns | {bars_s:.2f} s |")
    print(f"| answer after the deadline | p50 {statistics.median(delays):.1f} ms, worst {delays[-1]:.1f} ms |")
    print(f"| largest block, beyond a limit of 128 MiB | {error_mib:+d} MiB |")


def _restricted() -> Run:
    from RestrictedPython import compile_restricted, safe_globals

    code = MODEL.replace("import numpy as np\n", "")

    def run() -> None:
        import numpy as np

        namespace: dict[str, Any] = {**safe_globals, "np": np, "_getitem_": lambda o, k: o[k], "_getattr_": getattr}
        exec(compile_restricted(code, "<model>", "exec"), namespace)
        namespace["main"](INPUT)

    return run


def _smolagents() -> Run:
    from smolagents.local_python_executor import LocalPythonExecutor

    def run() -> None:
        executor = LocalPythonExecutor(["numpy"])
        executor.send_tools({})
        executor(f"{MODEL}\nmain({INPUT!r})")

    return run


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
