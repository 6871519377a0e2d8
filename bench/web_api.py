"""What does HTTP add to a request over the bus, and what does the web server weigh?

One home with all services. The same message is asked in turn over the bus (`AsyncClient`) and over HTTP on a connection that is
kept (`http.client`), by one process: what else the machine does meets both alike, and the median of the paired differences is the
overhead. CPU is the web server's own, per request. Needs no browser; pages are measured by `bench/web.py`.

    python bench/web_api.py [REQUESTS] [--write docs/performance.md]
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from report.page import load, provenance, write_section

from evolve.client.core import AsyncClient
from evolve.contracts.quant_gpt import GetAvailableSymbols
from evolve.settings import Settings

WARM_UP = 50
ASKED_MS = 3.0  # what the overhead may be, at the median
HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Figures:
    """Milliseconds, and MB. ready_s: from the order to start it to its address."""

    bus_ms: list[float]
    http_ms: list[float]
    cpu_ms: float
    rss_mb: float
    own_mb: float
    ready_s: float

    @property
    def overhead_ms(self) -> float:
        return statistics.median(over - by for over, by in zip(self.http_ms, self.bus_ms, strict=True))


@contextmanager
def home() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="evb-")).resolve()
    environment = {
        "EVOLVE_HOME": str(place),
        "EVOLVE_LOG_DIR": str(place / "logs"),
        "EVOLVE_WEB_PORT": "0",
        "EVOLVE_WEB_RATE": "0",
    }
    os.environ.update(environment)
    try:
        yield place
    finally:
        subprocess.run([sys.executable, "-m", "evolve", "down"], capture_output=True, check=False)
        shutil.rmtree(place, ignore_errors=True)


def served() -> tuple[str, int, float]:
    """Everything on: the web server's address and process, and how long it took beside running services."""
    subprocess.run([sys.executable, "-m", "evolve", "up", "--no-web"], capture_output=True, check=True)
    from evolve.manager.manager import ServiceManager

    with ServiceManager() as manager:
        started = time.perf_counter()
        url = manager.serve_web()
        ready = time.perf_counter() - started
        return url, int(manager.get_manager_stats()["web"][0]["pid"]), ready


async def measured(requests: int) -> Figures:
    url, pid, ready = served()
    server = psutil.Process(pid)
    address = urlsplit(url)
    line = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=30)
    path = f"/api/v1/quant_gpt/{GetAvailableSymbols.wire_type}"

    def over_http() -> float:
        started = time.perf_counter()
        line.request("POST", path, b"{}", HEADERS)
        answer = line.getresponse()
        body = answer.read()
        took = time.perf_counter() - started
        if answer.status != 200 or "symbols" not in json.loads(body):
            raise RuntimeError(f"{answer.status} {body[:300]!r}")
        return 1000 * took

    async with AsyncClient(settings=Settings.load()) as client:

        async def over_bus() -> float:
            started = time.perf_counter()
            await client.ask(GetAvailableSymbols())
            return 1000 * (time.perf_counter() - started)

        for _ in range(WARM_UP):
            await over_bus()
            over_http()
        used = sum(server.cpu_times()[:2])
        pairs = [(await over_bus(), over_http()) for _ in range(requests)]
        cpu = sum(server.cpu_times()[:2]) - used
    memory = server.memory_full_info()
    by_bus, by_http = (list(each) for each in zip(*pairs, strict=True))
    return Figures(by_bus, by_http, 1000 * cpu / requests, memory.rss / 1e6, memory.uss / 1e6, ready)


def table(figures: Figures, before: str) -> str:
    def row(name: str, times: list[float]) -> str:
        tail = statistics.quantiles(times, n=20)[-1]
        return f"| {name} | {statistics.median(times):.2f} | {tail:.2f} |"

    met = "met" if figures.overhead_ms <= ASKED_MS else "not met"
    ratio = statistics.median(figures.http_ms) / statistics.median(figures.bus_ms)
    return "\n".join(
        [
            f"`{GetAvailableSymbols.wire_type}`, {len(figures.bus_ms):,} times each in turn, one at a time.",
            "",
            "| | p50 ms | p95 ms |",
            "|---|---|---|",
            row("over the bus", figures.bus_ms),
            row("over HTTP, connection kept", figures.http_ms),
            "",
            f"HTTP adds {figures.overhead_ms:.2f} ms at the median of the pairs ({ratio:.2f}×; asked: ≤ {ASKED_MS:g} ms, {met}) and "
            f"{figures.cpu_ms:.2f} ms of the web server's CPU. The server is ready {figures.ready_s:.1f} s after it is ordered and "
            f"weighs {figures.rss_mb:.0f} MB, {figures.own_mb:.0f} MB of them shared with nobody.",
            "",
            f"{provenance()}; load {before} before, {load()} after. `python bench/web_api.py`",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("requests", type=int, nargs="?", default=1_000)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    options = parser.parse_args()
    before = load()
    with home():
        text = table(asyncio.run(measured(options.requests)), before)
    print(text)
    if options.write:
        write_section(options.write, "web-api", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
