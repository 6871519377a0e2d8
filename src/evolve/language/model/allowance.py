"""How much may a language model cost? Seconds, tokens and money, for one question and for one day (UTC) of this home."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from evolve.clock import Clock, iso
from evolve.errors import RateLimited, Unavailable
from evolve.language.model.endpoint import Completion, Message

BYTES_PER_TOKEN = 3  # of the tokenizers in use 3 to 4 for English, so that a server that counts nothing is not cheaper


@dataclass(frozen=True, slots=True)
class Limits:
    """usd_…: 0 means no limit. usd_per_million_…: what the server charges; prices change, so none is built in."""

    seconds_per_question: float
    tokens_per_question: int
    tokens_per_day: int
    usd_per_question: float = 0.0
    usd_per_day: float = 0.0
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0


@dataclass(frozen=True, slots=True)
class Spent:
    tokens: int = 0
    usd: float = 0.0
    calls: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.tokens + other.tokens, self.usd + other.usd, self.calls + other.calls)


TOKENS_OF_A_PICTURE = (
    1_500  # of four tiles of 512 pixels, as most servers count; what a server says it counted is what is paid
)


@dataclass
class Allowance:
    """The budget of one question, beside what all questions of the day have spent in `directory`."""

    limits: Limits
    directory: Path
    clock: Clock
    spent: Spent = field(default_factory=Spent)
    started: float = 0.0

    def __post_init__(self) -> None:
        self.started = self.clock.monotonic()

    @property
    def seconds_left(self) -> float:
        return self.limits.seconds_per_question - (self.clock.monotonic() - self.started)

    def check(self, messages: Sequence[Message], max_tokens: int) -> None:
        """Raises RateLimited naming the limit that one more call could pass."""
        limits = self.limits
        prompt = _prompt_tokens(messages)
        more = Spent(prompt + max_tokens, self._usd(prompt, max_tokens), 1)
        question, day = self.spent + more, self._today() + more
        over = (
            (self.seconds_left <= 0, f"{limits.seconds_per_question:g} s a question", "SECONDS_PER_QUESTION"),
            (question.tokens > limits.tokens_per_question, f"{limits.tokens_per_question:,} tokens a question", "TOKENS_PER_QUESTION"),
            (day.tokens > limits.tokens_per_day, f"{limits.tokens_per_day:,} tokens a day", "TOKENS_PER_DAY"),
            (0 < limits.usd_per_question < question.usd, f"{limits.usd_per_question:g} USD a question", "USD_PER_QUESTION"),
            (0 < limits.usd_per_day < day.usd, f"{limits.usd_per_day:g} USD a day", "USD_PER_DAY"),
        )  # fmt: skip
        for passed, limit, name in over:
            if passed:
                raise RateLimited(f"the language model's budget of {limit} is used up (EVOLVE_LLM_{name})", budget=True)

    def pay(self, messages: Sequence[Message], completion: Completion) -> None:
        """Write down what a call cost. Raises Unavailable when it cannot be written: then nothing more is spent."""
        into = completion.prompt_tokens
        out = completion.completion_tokens
        prompt = into if into is not None and into >= 0 else _prompt_tokens(messages)
        said = out if out is not None and out >= 0 else tokens_of(completion.text)
        cost = Spent(prompt + said, self._usd(prompt, said), 1)
        self.spent += cost
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(self._ledger, "a+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # several processes of one home ask at once
                file.seek(0)
                total = _read(file.read()) + cost
                file.seek(0)
                file.truncate()
                file.write(json.dumps(asdict(total)))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Unavailable(
                f"cannot write {self._ledger}: {error.strerror}; nothing is asked that cannot be counted"
            ) from None

    @property
    def _ledger(self) -> Path:
        return self.directory / f"spent-{iso(self.clock.now())[:10]}.json"

    def _today(self) -> Spent:
        try:
            return _read(self._ledger.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Spent()
        except OSError as error:
            raise Unavailable(f"cannot read {self._ledger}: {error.strerror}") from None

    def _usd(self, into: int, out: int) -> float:
        return (into * self.limits.usd_per_million_in + out * self.limits.usd_per_million_out) / 1e6


def _prompt_tokens(messages: Sequence[Message]) -> int:
    pictures = sum(message.image is not None for message in messages)
    return tokens_of("".join(message.text for message in messages)) + pictures * TOKENS_OF_A_PICTURE


def tokens_of(text: str) -> int:
    """About how many tokens a text has, rather too many than too few."""
    return len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN + 1


def _read(text: str) -> Spent:
    if not text.strip():
        return Spent()
    try:
        row = json.loads(text)
        return Spent(int(row["tokens"]), float(row["usd"]), int(row["calls"]))
    except (ValueError, KeyError, TypeError):
        raise Unavailable(
            "the ledger of what the language model cost today is damaged; remove it to begin anew"
        ) from None
