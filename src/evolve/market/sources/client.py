"""How are services asked that are reached through somebody else's client? With the same patience, pace and memory as ours.

The client is called for one page at a time; what it raises is translated into our errors, and only troubles that pass by
themselves are met by asking again. Pages are kept on disk as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import BadAnswer, DeadlineExceeded, EvolveError, MissingExtra, RateLimited, Unavailable
from evolve.market.sources.answers import Answer, Answers
from evolve.market.sources.pace import Allowance, Pace

T = TypeVar("T")

MAX_ATTEMPTS = 5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


class Client:
    """One service behind a client library. The meaning of the arguments is that of `line.Line`."""

    def __init__(
        self,
        name: str,
        allowance: Allowance,
        directory: Path,
        translate: Callable[[Exception], EvolveError | None],
        *,
        fresh_s: float = 3600.0,
        limit_s: float = 300.0,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        tell: Callable[[str], None],
    ) -> None:
        """translate: our error for one of the client's, None for what is no trouble of the service but a bug."""
        self.name = name
        self.clock = clock
        self.limit_s = limit_s
        self._translate = translate
        self._fresh_s = fresh_s
        self._sleep = sleep
        self._jitter = jitter
        self._tell = tell
        self._answers = Answers(directory / name)
        self._pace = Pace(allowance, directory / f"{name}.pace")
        self._ends = clock.monotonic() + limit_s
        self._oldest: float | None = None

    @property
    def as_of(self) -> float:
        """Unix seconds of the oldest page that was used; now, before the first."""
        return self.clock.now() if self._oldest is None else self._oldest

    @property
    def left_s(self) -> float:
        """Seconds that are left of the limit. Raises DeadlineExceeded when none are."""
        left = self._ends - self.clock.monotonic()
        if left <= 0:
            raise DeadlineExceeded(
                f"{self.name} took longer than {self.limit_s:g} s in all; ask for a shorter span, or set EVOLVE_DATA_LIMIT_S",
                source=self.name,
            )
        return left

    def ask(self, question: str, call: Callable[[], Any]) -> Any:
        """What `call` returns (JSON values), from disk while it is fresh. question: what it answers, in words without keys."""
        kept = self._answers.find(question)
        if kept is not None and self.clock.now() - kept.fetched_at < self._fresh_s:
            self._oldest = min(kept.fetched_at, self.as_of)
            return json.loads(kept.body)
        found = self.patiently(call)
        now = self.clock.now()
        self._answers.keep(Answer(question, 200, "application/json", "", now, json.dumps(found).encode()))
        self._oldest = min(now, self.as_of)
        return found

    def patiently(self, call: Callable[[], T]) -> T:
        """What `call` returns, asked again where that can help. Raises our errors."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            self._wait(self._pace.book(self.clock.now(), self.left_s), f"{self.name} allows no faster requests")
            try:
                return call()
            except EvolveError:
                raise
            except Exception as error:
                trouble = self._translate(error)
                if trouble is None:
                    raise
            passing = type(trouble) in (Unavailable, RateLimited)
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (attempt - 1)) * (0.5 + 0.5 * self._jitter())
            if not passing or attempt == MAX_ATTEMPTS or self.clock.monotonic() + pause >= self._ends:
                raise trouble from None
            self._wait(pause, trouble.message)
        raise AssertionError("unreachable")

    def _wait(self, seconds: float, reason: str) -> None:
        if seconds <= 0:
            return
        if seconds > self.left_s:
            raise RateLimited(f"{reason}; try again in {seconds:.0f} s", source=self.name, retry_after_s=seconds)
        if seconds >= LONGEST_PAUSE_S / 30:
            self._tell(f"waiting {seconds:.0f} s: {reason}")
        self._sleep(seconds)


def missing(package: str) -> MissingExtra:
    """The error that names the command which installs `package` into this very environment."""
    return MissingExtra(
        f"the source {package} needs the package {package}: {sys.executable} -m pip install {package}", package=package
    )


def strange(source: str, what: str) -> BadAnswer:
    return BadAnswer(f"{source} answered something other than bars ({what}); try again later", source=source)
