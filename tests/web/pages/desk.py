"""A trader's desk: services and pages of one home with a small symbol in it, and a browser that tells what it saw."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from evolve.web import bundle
from homes import environment_of, fresh_home

PATIENCE_MS = 60_000  # two shared cores
SEED = 20_261_122
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUESTION = "Should I use ridge or xgboost for TINY over 90 days?"
ANSWER = re.compile("/answers/[0-9a-f]{12}")
SETTLED = (
    "!!document.documentElement.dataset.ready && "
    "[...document.querySelectorAll('[data-series],[data-curves]')].every(place => place.dataset.drawn) && "
    "![...document.querySelectorAll('[hx-trigger=load]')].some(place => place.querySelector(':scope > a'))"
)


@dataclass
class Seen:
    """What a browser complained of, and what it asked of others than the server. expected: parts of complaints that a test provokes."""

    base: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda asked: self._note(asked.url))

    def _note(self, address: str) -> None:
        if not address.startswith((self.base, "data:", "blob:")):
            self.elsewhere.append(address)


@dataclass(frozen=True)
class Desk:
    """visit: a page of a browser that keeps nothing of others."""

    running: Running
    browser: Browser

    @property
    def home(self) -> Path:
        return self.running.home

    @property
    def url(self) -> str:
        """Of the pages, without a slash at the end."""
        return self.running.url

    @contextmanager
    def visit(self, **options: Any) -> Iterator[tuple[Page, Seen]]:
        """A page; at the end nothing may have been complained of, and nobody else asked."""
        context: BrowserContext = self.browser.new_context(base_url=self.url, **options)
        context.set_default_timeout(PATIENCE_MS)
        page, seen = context.new_page(), Seen(self.url)
        seen.watch(page)
        try:
            yield page, seen
            assert seen.complaints == []
            assert seen.elsewhere == []
        finally:
            context.close()


def settle(page: Page) -> None:
    """Until scripts are in place, charts drawn and pieces loaded. Asked from outside: the page's policy lets nobody evaluate text in it."""
    limit = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(SETTLED):
        assert time.monotonic() < limit, f"{page.url} never settled: {page.evaluate('document.body.innerText')[:500]}"
        page.wait_for_timeout(20)


def axe_findings(page: Page) -> list[str]:
    """Serious and critical findings of axe-core, as `rule: element`."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def chromium() -> str:
    """The browser of this system; skips naming the package where there is none."""
    for name in CHROMIUM:
        if found := shutil.which(name):
            return found
    pytest.skip("needs a browser: apt-get install chromium")


def walk(count: int) -> str:
    """A random walk of daily bars as CSV."""
    draw = np.random.default_rng(SEED)
    close = 100 * np.exp(np.cumsum(draw.normal(0.0004, 0.012, count)))
    day, rows = date(2012, 1, 2), ["date,open,high,low,close,volume"]
    for number, price in enumerate(close):
        while day.weekday() > 4:
            day += timedelta(days=1)
        opened = float(close[number - 1]) if number else 100.0
        rows.append(
            f"{day},{opened:.4f},{1.004 * max(opened, price):.4f},{0.996 * min(opened, price):.4f},{price:.4f},{100_000 + number}"
        )
        day += timedelta(days=1)
    return "\n".join(rows) + "\n"


@dataclass
class Running:
    """Services and pages of a home. answered: the address of the answer that tests share, once it was asked."""

    home: Path
    url: str = ""
    answered: str = ""

    def run(self, *arguments: str) -> str:
        """`evolve …` in this home."""
        done = subprocess.run(
            [sys.executable, "-m", "evolve", *arguments],
            env=environment_of(self.home, EVOLVE_WEB_PORT="0"), capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def running_pages() -> Iterator[Running]:
    if not bundle.is_current():
        bundle.build()
    with fresh_home() as home:
        home.mkdir(mode=0o700)
        csv = home / "TINY.csv"
        csv.write_text(walk(420), encoding="utf-8")
        running = Running(home)
        running.run("data", "import", str(csv), "--symbol", "TINY")
        try:
            running.run("up")
            (served,) = json.loads(running.run("status", "--json"))["web"]
            running.url = served["url"].rstrip("/")
            yield running
        finally:
            running.run("down")


@contextmanager
def at_the_desk(running: Running) -> Iterator[Desk]:
    """A browser beside it, for one module: while Playwright's loop runs in a thread, no other test has one of its own there."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"]) as browser,
    ):
        yield Desk(running, browser)
