"""What came of a search elsewhere: the things found, whether that is all of them, and what must be said beside them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from evolve.clock import SYSTEM_CLOCK, Clock, iso
from evolve.errors import DeadlineExceeded, EvolveError, RateLimited, Unavailable
from evolve.market.sources.line import Line, untold
from evolve.market.sources.pace import Allowance
from evolve.settings import Settings

T = TypeVar("T")
ATTEMPTS = 3  # a person waits for the list; what three attempts within seconds do not get, the library answers
SECONDARY_WAIT_S = 60.0  # what GitHub asks for where it refuses without saying until when


@dataclass(frozen=True, slots=True)
class Sought(Generic[T]):
    """as_of: Unix seconds of the oldest answer used; total: how many there are in all, as the service says."""

    items: tuple[T, ...]
    total: int
    as_of: float
    note: str = ""


class Truce:
    """Until when a service asked to be left alone, kept in a file so that the next command obeys it, too."""

    def __init__(self, name: str, path: Path, clock: Clock) -> None:
        self._name = name
        self._path = path
        self._clock = clock

    def check(self) -> None:
        """Raises RateLimited while it holds."""
        try:
            until = float(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return
        left = until - self._clock.now()
        if 0 < left <= 86_400:  # further ahead than a day: written by a clock that ran fast
            raise RateLimited(
                f"{self._name} asked not to be asked before {iso(until)}", source=self._name, retry_after_s=left
            )

    def keep(self, error: RateLimited) -> None:
        """Remember what a refusal said. Raises Unavailable when the disk refuses."""
        seconds = error.details.get("retry_after_s")
        until = self._clock.now() + (SECONDARY_WAIT_S if seconds is None else float(seconds))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(f"{until:.3f}", encoding="ascii")
        except OSError as trouble:
            raise Unavailable(
                f"cannot note when {self._name} may be asked again in {self._path}: {trouble.strerror}; set EVOLVE_HOME to a directory you can write"
            ) from None


@dataclass(frozen=True, slots=True)
class Outside:
    """How the outside is reached: one line per service, made anew for each search, since its time limit begins with it."""

    settings: Settings
    clock: Clock = SYSTEM_CLOCK
    sleep: Callable[[float], None] = time.sleep

    def line(self, name: str, base: str, allowance: Allowance, *, tell: Callable[[str], None] = untold) -> Line:
        return Line(
            name, base, allowance, self.settings.answers, fresh_s=self.settings.data_fresh_s,
            limit_s=self.settings.research_limit_s, silence_s=min(10.0, self.settings.research_limit_s),
            attempts=ATTEMPTS, clock=self.clock, sleep=self.sleep, tell=tell,
        )  # fmt: skip

    def truce(self, name: str) -> Truce:
        return Truce(name, self.settings.answers / f"{name}.truce", self.clock)


def paged(
    ask: Callable[[int, int], tuple[list[T], int]],
    wanted: int,
    page_size: int,
    *,
    truce: Truce,
    most: int | None = None,
) -> tuple[list[T], int, str]:
    """Items page by page, the total as the service says, and a note where it stopped early.

    ask(start, size): the items from `start` on (it may give fewer than `size`, and none at the end) and the total. A page that
    fails ends the search with what there is; the first page's error is raised. most: the service gives no further items.
    """
    truce.check()
    found: list[T] = []
    total = 0
    while len(found) < wanted:
        try:
            items, total = ask(len(found), min(page_size, wanted - len(found)))
        except (Unavailable, DeadlineExceeded) as error:
            if isinstance(error, RateLimited):
                truce.keep(error)
            if not found:
                raise
            return found, total, f"only the first {len(found)} of {min(wanted, total):,}: {reason_of(error)}"
        found += items
        if not items and len(found) < min(wanted, total):
            return found, total, f"only {len(found)} of {total:,}: the service gave an empty page"
        if not items or len(found) >= min(total, most or total):
            break
    return found[:wanted], total, ""


def reason_of(error: EvolveError) -> str:
    """Why it was not answered, in the words of whoever searches."""
    if isinstance(error, DeadlineExceeded):
        return f"{error.details.get('source', 'it')} took longer than EVOLVE_RESEARCH_LIMIT_S allows"
    # The address asked is for whoever mends the service; it says nothing to whoever searches.
    return re.sub(r":? https?://\S+", "", error.message)
