"""The program that every way of running code is measured with: the moving-average model of the specification. And how."""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

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
INPUT = {"prices": [100, 101, 102, 103, 104, 105], "window": 3}
PREDICTION = 105.04  # (103 + 104 + 105) / 3 × 1.01

Run = Callable[[], Any]


def timed(run: Run, runs: int, *, callers: int = 2) -> dict[str, float]:
    """Milliseconds one after the other, with a breath in between; then runs per second without one, from several threads."""
    run()
    took = []
    for _ in range(runs):
        started = time.perf_counter()
        run()
        took.append(1000 * (time.perf_counter() - started))
        time.sleep(0.01)
    took.sort()
    started = time.perf_counter()
    threads = [threading.Thread(target=lambda: [run() for _ in range(runs // callers)]) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    a_second = callers * (runs // callers) / (time.perf_counter() - started)
    return {"p50 ms": statistics.median(took), "p99 ms": took[int(0.99 * len(took))], "runs/s": a_second}


def report(run: Callable[[], float]) -> None:
    """In a peer's own environment: check its answer, measure it as often as the command line says, print the figures."""
    predicted = run()
    if abs(predicted - PREDICTION) > 1e-9:
        sys.exit(f"wrong answer: {predicted}")
    before, runs = time.process_time(), int(sys.argv[1])
    for _ in range(runs):
        run()
    cpu = 1000 * (time.process_time() - before) / runs
    print(json.dumps({**timed(run, runs), "CPU ms": cpu}))
