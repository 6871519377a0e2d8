"""How does a question reach a service, and what can go wrong on the way? One line for all services that speak HTTP.

Every request is paced, repeated with growing pauses where that can help, bounded in time and size, and its answer kept on disk.
What cannot be helped becomes a typed error:

| what happened                                     | error       |
|---------------------------------------------------|-------------|
| too many requests, or the day's allowance used up | RateLimited |
| no key, or one that the service refuses           | Forbidden   |
| the service has no such symbol                    | UnknownSymbol |
| it answers with something else: HTML, half a page | BadAnswer   |
| fewer bars than the calendar says                 | Truncated   |
| it does not answer, or breaks down                | Unavailable |
| all of it took too long                           | DeadlineExceeded |

Keys travel only in what is sent: the URL that errors, answers and provenance show never had them, and whatever a service says
is searched for them before it is repeated.
"""

from __future__ import annotations

import email.utils
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import BadAnswer, DeadlineExceeded, EvolveError, Forbidden, RateLimited, TooLarge, Unavailable
from evolve.market.sources.answers import Answer, Answers
from evolve.market.sources.pace import Allowance, Pace

# httpx writes whole URLs to its log at INFO, and one service takes its key in the URL.
logging.getLogger("httpx").setLevel(logging.WARNING)

T = TypeVar("T")
Read = Callable[[Answer], T]

MAX_ATTEMPTS = (
    6  # with pauses of 0.5 … 16 s that is half a minute: longer than a service restarts, shorter than a user waits
)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
SILENCE_S = 30.0  # without one byte; slow services think for ten seconds over a long span
MAX_ANSWER_BYTES = 256 << 20  # fifty thousand bars as JSON are 6 MB
PASSING = frozenset((408, 425, 500, 502, 503, 504))  # states of a service that pass by themselves
AGENT = "evolve-trading (market data client)"
WORTH_TELLING_S = 2.0
QUOTED = 200  # characters of what a service said


@dataclass(frozen=True, slots=True)
class Question:
    """One GET. path: begins with `/`, or a whole URL of the same service. secrets: names and values never shown (query or headers)."""

    path: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    secret_parameters: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, str] = field(default_factory=dict)


def untold(reason: str) -> None:
    """For whoever does not want to hear why we wait."""


class Line:
    """A line to one service.

    base: scheme, host and port. directory: where answers and the pace are kept. fresh_s: an answer younger than this is not
    asked for again; an older one is confirmed by its ETag where it has one. limit_s: for everything asked over this line, from
    its making on. attempts: at one question. tell: hears why we wait. sleep, jitter (returns 0 … 1): replaced in tests.
    """

    def __init__(
        self,
        name: str,
        base: str,
        allowance: Allowance,
        directory: Path,
        *,
        fresh_s: float = 3600.0,
        limit_s: float = 300.0,
        silence_s: float = SILENCE_S,
        attempts: int = MAX_ATTEMPTS,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        tell: Callable[[str], None] = untold,
    ) -> None:
        self.name = name
        self.base = base.rstrip("/")
        self.fresh_s = fresh_s
        self.limit_s = limit_s
        self.silence_s = silence_s
        self.attempts = attempts
        self.clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._tell = tell
        self._oldest: float | None = None
        self._answers = Answers(directory / name)
        self._pace = Pace(allowance, directory / f"{name}.pace")
        self._ends = clock.monotonic() + limit_s

    def ask(self, question: Question, read: Read[T]) -> T:
        """What `read` makes of the answer.

        read: gets answers of any status below 500 but 429, raises a typed error for what it cannot accept; only an answer with
        status 200 that it accepts is kept. Raises what the table above says.
        """
        shown = self.shown(question)
        kept = self._answers.find(shown)
        if kept is not None and self.clock.now() - kept.fetched_at < self.fresh_s:
            try:
                found = read(kept)
            except EvolveError:
                kept = None  # accepted once, refused now (another version of us): ask again
            else:
                self._note(kept)
                return found
        answer = self._asked(question, shown, kept)
        found = read(answer)
        if answer.status == 200:
            self._answers.keep(answer)
        self._note(answer)
        return found

    @property
    def as_of(self) -> float:
        """Unix seconds of the oldest answer that was used: what was said later, nobody asked. Now, before the first."""
        return self.clock.now() if self._oldest is None else self._oldest

    def _note(self, answer: Answer) -> None:
        self._oldest = min(answer.fetched_at, self.as_of)

    def shown(self, question: Question) -> str:
        """The URL as it may be shown, and by which the answer is kept."""
        query = urlencode(sorted(question.parameters.items()))
        where = question.path if question.path.startswith("http") else self.base + question.path
        return where + (("&" if "?" in where else "?") + query if query else "")

    def clean(self, text: str, question: Question) -> str:
        """What a service said, in one line, shortened, without the keys it may have repeated."""
        for secret in (*question.secret_parameters.values(), *question.secret_headers.values()):
            for part in (secret, *secret.split()):
                if len(part) > 3:
                    text = text.replace(part, "***")
        line = " ".join(text.split())
        return line if len(line) <= QUOTED else line[:QUOTED] + " …"

    def said(self, answer: Answer, question: Question) -> str:
        """What the body of a refusal says, cleaned; what it looks like where it is no sentence."""
        if not answer.body.strip() or answer.body.lstrip().startswith(b"<"):
            return looks_like(answer)
        return self.clean(answer.body.decode("utf-8", "replace"), question)

    # ── One question, several attempts ───────────────────────────────────────────────────────────────────────────────

    def _asked(self, question: Question, shown: str, kept: Answer | None) -> Answer:
        for attempt in range(1, self.attempts + 1):
            self._wait(self._pace.book(self.clock.now(), self._left()), f"{self.name} allows no faster requests")
            try:
                answer, headers = self._sent(question, shown, kept)
            except httpx.HTTPError as error:
                trouble: EvolveError = Unavailable(f"{self.name} does not answer ({_cause(error)}): {shown}")
                pause = self._pause(attempt)
            else:
                if answer.status == 304 and kept is not None:
                    return replace(kept, fetched_at=answer.fetched_at)
                if not too_many(answer.status, headers) and answer.status not in PASSING:
                    return answer
                pause, trouble = self._told_to_wait(question, answer, headers, attempt)
            if attempt == self.attempts:
                raise trouble
            if self.clock.monotonic() + pause >= self._ends:
                raise trouble  # the pause it asks for is longer than we may wait: its reason, not "too slow", is the news
            self._wait(pause, trouble.message)
        raise AssertionError("unreachable")

    def _told_to_wait(
        self, question: Question, answer: Answer, headers: httpx.Headers, attempt: int
    ) -> tuple[float, EvolveError]:
        asked = wait_asked(headers, self.clock.now())
        # What it asks for is a minimum; a little more keeps those who were refused together from returning together.
        pause = self._pause(attempt) if asked is None else asked + self._jitter() * FIRST_PAUSE_S
        said = self.said(answer, question)
        if too_many(answer.status, headers):
            when = "later" if asked is None else f"in {asked:.0f} s"
            return pause, RateLimited(
                f"{self.name} refuses more requests for now ({said}); try again {when}, or ask for less at a time",
                source=self.name,
                retry_after_s=asked,
            )
        return pause, Unavailable(f"{self.name} is in trouble (status {answer.status}: {said}); try again later")

    def _pause(self, attempt: int) -> float:
        """Twice as long each time, half of it by chance, so that many who failed together do not come back together."""
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (attempt - 1))
        return longest * (0.5 + 0.5 * self._jitter())

    def _wait(self, seconds: float, reason: str) -> None:
        if seconds <= 0:
            return
        left = self._ends - self.clock.monotonic()
        if seconds > left:
            raise self._too_long(reason)
        if seconds >= WORTH_TELLING_S:
            self._tell(f"waiting {seconds:.0f} s: {reason}")
        self._sleep(seconds)

    def _sent(self, question: Question, shown: str, kept: Answer | None) -> tuple[Answer, httpx.Headers]:
        headers = {
            "User-Agent": AGENT,
            "Accept": "application/json, text/csv;q=0.9, */*;q=0.1",
            **question.secret_headers,
        }
        if kept is not None and kept.etag:
            headers["If-None-Match"] = kept.etag
        # Redirects are refused: they would carry the keys to another host.
        with (
            httpx.Client(timeout=min(self.silence_s, self._left()), follow_redirects=False) as client,
            client.stream("GET", shown, params=self._secrets(question, shown), headers=headers) as response,
        ):
            body = bytearray()
            for part in response.iter_bytes():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise TooLarge(
                        f"{self.name} sends more than {MAX_ANSWER_BYTES >> 20} MB for {shown}; ask for a shorter span"
                    )
                self._left()  # a service that drips one byte a second never falls silent
            answer = Answer(
                url=shown,
                status=response.status_code,
                content_type=response.headers.get("content-type", "").split(";")[0].strip().lower(),
                etag=response.headers.get("etag", ""),
                fetched_at=self.clock.now(),
                body=bytes(body),
            )
            return answer, response.headers

    def _secrets(self, question: Question, shown: str) -> httpx.QueryParams | None:
        # `params` replaces a URL's own query in httpx: hand over both.
        if not question.secret_parameters:
            return None
        return httpx.URL(shown).params.merge(dict(question.secret_parameters))

    def _left(self) -> float:
        left = self._ends - self.clock.monotonic()
        if left <= 0:
            raise self._too_long("it answers too slowly")
        return left

    def _too_long(self, reason: str) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{self.name} took longer than {self.limit_s:g} s in all ({reason}); ask for a shorter span, or set EVOLVE_DATA_LIMIT_S",
            source=self.name,
        )


def too_many(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a refusal is about pace: 429, or a 403 that says until when, as some services mean by it."""
    return status == 429 or (
        status == 403 and ("retry-after" in headers or headers.get("x-ratelimit-remaining", "").strip() == "0")
    )


def wait_asked(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a service asks us to wait: Retry-After (seconds or a date), else X-RateLimit-Reset (Unix seconds); or None."""
    retry = headers.get("retry-after", "").strip()
    if retry.isdecimal():
        return float(retry)
    if retry:
        try:
            when = email.utils.parsedate_to_datetime(retry)
        except ValueError:
            return None
        return max(0.0, when.replace(tzinfo=when.tzinfo or UTC).timestamp() - now)
    reset = headers.get("x-ratelimit-reset", "").strip()
    if headers.get("x-ratelimit-remaining", "0").strip() != "0":
        return None  # some tell the end of the window with every answer; it matters once the allowance is used up
    return max(0.0, float(reset) - now) if reset.isdecimal() else None


def json_of(answer: Answer, source: str) -> Any:
    """The JSON in an answer. Raises BadAnswer for HTML and anything else that is none, saying what it looks like."""
    try:
        return json.loads(answer.body)
    except ValueError:
        raise BadAnswer(
            f"{source} answered {looks_like(answer)} where JSON was expected: {answer.url}", source=source
        ) from None


def looks_like(answer: Answer) -> str:
    """What an answer that cannot be read seems to be, in words."""
    start = answer.body[:512].lstrip().lower()
    if not start:
        return f"nothing (status {answer.status})"
    if start.startswith((b"<!doctype html", b"<html")) or answer.content_type == "text/html":
        return f"an HTML page (status {answer.status}; a login, a block or a notice of maintenance)"
    return f"{len(answer.body)} bytes of {answer.content_type or 'unknown type'} (status {answer.status})"


def refused(source: str, variable: str, said: str) -> Forbidden:
    """The service does not accept the key; `said`: cleaned words of its own."""
    return Forbidden(f"{source} refuses the key in {variable} ({said or 'no reason given'}); check it", source=source)


def no_key(source: str, variable: str, where: str) -> Forbidden:
    return Forbidden(f"{source} needs a key: get one at {where} and set {variable}", source=source)


def _cause(error: httpx.HTTPError) -> str:
    """Why a connection failed, without the URL that some of httpx's own sentences hold."""
    causes: dict[type[Exception], str] = {
        httpx.ConnectError: "no connection",
        httpx.ConnectTimeout: "no connection in time",
        httpx.ReadTimeout: "silence",
        httpx.RemoteProtocolError: "it hung up in the middle of the answer",
    }
    return causes.get(type(error), type(error).__name__)
