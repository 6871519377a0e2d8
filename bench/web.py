"""What do pages cost: to load, to keep up with the services, and to hold open?

One home with all services, one answered question about a bundled stock, one headless Chromium. *Interactive*: from the start of the
navigation until scripts are in place and charts are drawn, by the browser's own clock; *first* with an empty cache, *second* with a full
one. *On screen*: from publishing a message on a service's channel until the frame after its row stands in the page. *Open pages*: server
CPU while so many read the feed and look at the services as their pages do. Beside them the same chart and table by NiceGUI, in an
environment of its own under `.bench/`; where it cannot be installed or run, the table says so.

    python bench/web.py [RUNS] [--write docs/performance.md]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from playwright.sync_api import Browser, Page, sync_playwright
from report.page import ROOT, load, provenance, write_section

from evolve.client.core import AsyncClient
from evolve.messaging.bus import output_channel
from evolve.settings import Settings
from evolve.web import bundle

PEERS = Path(__file__).resolve().parent / "peers"
QUESTION = "Should I use ridge or xgboost for AAPL over 90 days?"
MESSAGES, PAUSE_S = 200, 0.05
OPEN, WATCHED_S = 50, 10.0
LOOKS_PER_S = OPEN / 5  # each page of the services looks every five seconds
PATIENCE_S = 60.0
# The row of a message is met by an observer; the frame after it is when a person can see it.
OBSERVE = """() => {
  window.seen = [];
  const list = document.querySelector("[data-feed]");
  new MutationObserver((changes) => {
    const rows = changes.flatMap((change) => [...change.addedNodes]);
    requestAnimationFrame(() => {
      const now = performance.timeOrigin + performance.now();
      for (const row of rows) {
        const sent = row.textContent.match(/sent at ([0-9.]+)/);
        if (sent) window.seen.push(now - Number(sent[1]));
      }
    });
  }).observe(list, { childList: true });
}"""
INTERACTIVE = """() => {
  const at = (name) => performance.getEntriesByName(name).at(-1)?.startTime;
  const chart = document.querySelector("[data-series], [data-curves]");
  const ready = at("evolve:ready"), drawn = at("evolve:drawn");
  return ready === undefined || (chart && drawn === undefined) ? null : Math.max(ready, drawn ?? 0);
}"""
SENT = "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')).reduce((sum, each) => sum + each.transferSize, 0)"


@dataclass(frozen=True)
class System:
    home: Path
    url: str
    answer: str
    server_pid: int


@contextmanager
def system() -> Iterator[System]:
    """Services, pages and one answer, in a home that is gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="evb-")).resolve()
    environment = {**os.environ, "EVOLVE_HOME": str(home), "EVOLVE_LOG_DIR": str(home / "logs"), "EVOLVE_WEB_PORT": "0"}

    def evolve(*arguments: str) -> str:
        command = [sys.executable, "-m", "evolve", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=600).stdout

    try:
        evolve("up")
        (served,) = json.loads(evolve("status", "--json"))["web"]
        card = json.loads(evolve("ask", QUESTION, "--json"))
        answer = card.get("answer", card)["answer_id"]
        yield System(home, served["url"].rstrip("/"), f"/answers/{answer}", served["pid"])
    finally:
        subprocess.run([sys.executable, "-m", "evolve", "down"], env=environment, capture_output=True, check=False)
        shutil.rmtree(home, ignore_errors=True)


# --- loading ---


def interactive_s(page: Page, go: Callable[[], object], ready: str = INTERACTIVE) -> float:
    go()
    limit = time.monotonic() + PATIENCE_S
    while (found := page.evaluate(ready)) is None:
        if time.monotonic() > limit:
            raise TimeoutError(f"{page.url} was not interactive within {PATIENCE_S:g} s")
        page.wait_for_timeout(10)
    return float(found) / 1000


def loads(browser: Browser, address: str, ready: str = INTERACTIVE) -> dict[str, float]:
    """First and second load of a page in a browser that knows nothing, s; kB of the first."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    first = interactive_s(page, lambda: page.goto(address), ready)
    size = float(page.evaluate(SENT)) / 1000
    page.goto("about:blank")
    second = interactive_s(page, lambda: page.goto(address), ready)
    context.close()
    return {"first": first, "second": second, "kb": size}


# --- keeping up ---


def on_screen_ms(browser: Browser, at: System) -> list[float]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{at.url}/feed")
    page.locator("[data-live=on]").wait_for()
    page.evaluate(OBSERVE)
    publisher = threading.Thread(target=lambda: asyncio.run(_publish(at.home)))
    publisher.start()
    limit = time.monotonic() + MESSAGES * PAUSE_S + PATIENCE_S
    while page.evaluate("window.seen.length") < MESSAGES and time.monotonic() < limit:
        page.wait_for_timeout(100)
    publisher.join()
    seen = [float(each) for each in page.evaluate("window.seen")]
    context.close()
    if len(seen) < MESSAGES:
        raise RuntimeError(f"only {len(seen)} of {MESSAGES} messages came on the screen")
    return seen


async def _publish(home: Path) -> None:
    async with AsyncClient(settings=Settings.load(home=home)) as client:
        for number in range(MESSAGES):
            now = time.time()
            step = {"stage": "bench", "done": number, "total": MESSAGES, "message": f"sent at {now * 1000:.3f}"}
            message = {
                "type": "progress",
                "service": "quant_gpt",
                "request_id": "bench",
                "status": "success",
                "timestamp": now,
                "data": step,
            }
            await client.bus.publish(output_channel("quant_gpt"), json.dumps(message).encode())
            await asyncio.sleep(PAUSE_S)


def open_pages_cpu(at: System) -> float:
    """Share of one core that the web server needs for OPEN readers of the feed while 20 messages a second come, and their looks."""
    split = urlsplit(at.url)
    server, stop = psutil.Process(at.server_pid), threading.Event()

    def connect() -> http.client.HTTPConnection:
        return http.client.HTTPConnection(split.hostname or "", split.port, timeout=PATIENCE_S)

    def read(stream: http.client.HTTPResponse) -> None:
        # The connection is closed under its reader at the end.
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while not stop.is_set() and stream.readline():
                pass

    def look() -> None:
        connection = connect()
        while not stop.is_set():
            connection.request("GET", "/services", headers={"HX-Request": "true", "Accept": "text/html"})
            connection.getresponse().read()
            stop.wait(1 / LOOKS_PER_S)

    with ExitStack() as streams:
        for _ in range(OPEN):
            connection = connect()
            streams.callback(connection.close)
            connection.request("GET", "/api/v1/events")
            threading.Thread(target=read, args=(connection.getresponse(),), daemon=True).start()
        threading.Thread(target=look, daemon=True).start()
        publisher = threading.Thread(target=lambda: asyncio.run(_publish(at.home)))
        publisher.start()
        before, began = server.cpu_times(), time.monotonic()
        time.sleep(WATCHED_S)
        after, ended = server.cpu_times(), time.monotonic()
        publisher.join()
        stop.set()
    return (after.user + after.system - before.user - before.system) / (ended - began)


# --- the peer ---


@contextmanager
def nicegui(at: System) -> Iterator[str]:
    """The same candles and table, by NiceGUI and plotly. Yields the address."""
    place = ROOT / ".bench" / "nicegui"
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, capture_output=True)
        needs = ["install", "-q", "-r", str(PEERS / "web_nicegui.txt")]
        subprocess.run([str(python), "-m", "pip", *needs], check=True, capture_output=True, timeout=600)
    with tempfile.TemporaryDirectory() as scratch:
        given = Path(scratch) / "given.json"
        connection = http.client.HTTPConnection(
            urlsplit(at.url).hostname or "", urlsplit(at.url).port, timeout=PATIENCE_S
        )
        connection.request("GET", f"{at.answer}/series.json", headers={"Accept": "application/json"})
        series = json.loads(connection.getresponse().read())
        connection.request("GET", f"{at.answer}.json")
        card = json.loads(connection.getresponse().read())
        given.write_text(json.dumps({"series": series, "rows": card["rows"]}), encoding="utf-8")
        with subprocess.Popen(
            [str(python), str(PEERS / "web_nicegui.py"), str(given)], stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                if process.stdout is None or not (line := process.stdout.readline()).startswith("http"):
                    raise RuntimeError("it did not start")
                yield line.strip()
            finally:
                process.terminate()


# plotly draws its candles as paths; the table is there before the chart.
PEER_READY = "() => document.querySelector('.js-plotly-plot .boxlayer path, .js-plotly-plot .ohlclayer path') ? performance.now() : null"


def main() -> int:
    parser = argparse.ArgumentParser(description="what pages cost")
    parser.add_argument("runs", nargs="?", type=int, default=5)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--without-peer", action="store_true")
    options = parser.parse_args()
    if not bundle.is_current():
        bundle.build()
    before, rows = load(), []
    with system() as at, sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if found is None:
            raise SystemExit("bench/web.py needs a browser: apt-get install chromium")
        with playwright.chromium.launch(executable_path=found, args=["--no-sandbox"]) as browser:
            loads(
                browser, at.url + at.answer
            )  # what services do once, for the first reader of an answer, is not a page's cost
            for name, address in (("ask page", "/"), ("answer with its charts", at.answer)):
                runs = [loads(browser, at.url + address) for _ in range(options.runs)]
                rows += [
                    (f"{name}: interactive, first load, s", "1.2", statistics.median(run["first"] for run in runs)),
                    (f"{name}: interactive, second load, s", "0.6", statistics.median(run["second"] for run in runs)),
                    (f"{name}: first load, kB", "", statistics.median(run["kb"] for run in runs)),
                ]
            if not options.without_peer:
                try:
                    with nicegui(at) as address:
                        loads(browser, address, PEER_READY)
                        runs = [loads(browser, address, PEER_READY) for _ in range(options.runs)]
                    rows += [
                        (
                            "the same chart and table by NiceGUI: first load, s",
                            "",
                            statistics.median(run["first"] for run in runs),
                        ),
                        (
                            "the same chart and table by NiceGUI: second load, s",
                            "",
                            statistics.median(run["second"] for run in runs),
                        ),
                        (
                            "the same chart and table by NiceGUI: first load, kB",
                            "",
                            statistics.median(run["kb"] for run in runs),
                        ),
                    ]
                except (subprocess.SubprocessError, OSError, RuntimeError, TimeoutError) as error:
                    rows.append((f"NiceGUI did not run: {str(error)[:120]}", "", None))
            seen = sorted(on_screen_ms(browser, at))
            rows += [
                ("a message on screen, p50 ms", "", statistics.median(seen)),
                ("a message on screen, p95 ms", "30", seen[int(0.95 * len(seen)) - 1]),
            ]
            rows.append(
                (f"{OPEN} open pages, 20 messages a second: server, % of a core", "25", 100 * open_pages_cpu(at))
            )
            rows.append(("web server, PSS MB", "", psutil.Process(at.server_pid).memory_full_info().pss / 1e6))
    lines = [
        f"{provenance()}; load {before} before, {load()} after; medians of {options.runs} loads.", "",
        "| what | asked | measured |", "|---|---|---|",
        *(f"| {what} | {'≤ ' + asked if asked else ''} | {'–' if value is None else f'{value:.2f}'} |" for what, asked, value in rows),
    ]  # fmt: skip
    text = "\n".join(lines)
    print(text)
    if options.write:
        write_section(options.write, "web-pages", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
