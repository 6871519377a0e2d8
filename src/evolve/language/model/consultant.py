"""What does a language model say to this, in the shape that was asked for? One value that passed every check, or a typed error.

An endpoint is probed once: servers answer 200 and ignore a schema, so only a reply that has the canary's shape tells in which way it
can be asked (json_schema → tool_choice="required" → json_object → plain prompt). Whatever the way, pydantic reads the reply, the
caller checks it, one repair is asked for, and then it is an error and the caller's offline answer stands.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from evolve.clock import Clock
from evolve.errors import EvolveError, Forbidden, InvalidRequest, Malformed, RateLimited, TimedOut, Unavailable
from evolve.files import write_whole
from evolve.language.model.allowance import Allowance, Limits
from evolve.language.model.breaker import Breaker
from evolve.language.model.endpoint import LADDER, Completion, Endpoint, Message, Rung, Schema
from evolve.language.model.exchanges import Exchanges, key_of

GREET_S = 1.5  # who is not there says so at once; the offline answer is promised within 3 s
CALL_S = 15.0
MAX_TOKENS = 1_200  # of a reply: a commentary has 300, and a model that thinks aloud needs room for it
RETRIES = 2
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 5.0  # a server that asks for more is not waited for
PROBED_FOR_S = 86_400.0  # servers are updated

Shape = TypeVar("Shape", bound=BaseModel)
Checks = Callable[[Shape], Sequence[str]]


class Strict(BaseModel):
    """A shape without room for anything else."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


class Canary(Strict):
    """What no server says unless it keeps to a schema: the words asked for do not name these fields."""

    wading_bird: Literal["heron", "stork", "crane"]
    is_bird: bool


CANARY = (
    Message("system", "You answer in JSON, in the shape that you are given."),
    Message("user", "Name a bird with long legs that stands in water."),
)


@dataclass(frozen=True, slots=True)
class Said(Generic[Shape]):
    """What the model said. replayed: it was said before, and nobody was asked now."""

    value: Shape
    replayed: bool


class Consultant:
    """An endpoint with everything that makes it bearable: budget, breaker, retries, record. One per question."""

    def __init__(
        self, endpoint: Endpoint, limits: Limits, directory: Path, *, clock: Clock, replay: bool = False, secret: str | None = None,
        wait: Callable[[float], None] = time.sleep, max_tokens: int = MAX_TOKENS,
    ) -> None:  # fmt: skip
        self._endpoint = endpoint
        self._directory = directory
        self._clock = clock
        self._replay = replay
        self._secret = secret
        self._wait = wait
        self._max_tokens = max_tokens
        self._exchanges = Exchanges(directory, clock)
        self._breaker = Breaker(directory, endpoint.identity, clock)
        self._rung: Rung | None = None
        self.allowance = Allowance(limits, directory, clock)

    @property
    def name(self) -> str:
        return self._endpoint.name

    def ask(
        self, messages: Sequence[Message], shape: type[Shape], *, sample: int = 0, checks: Checks[Shape] | None = None
    ) -> Said[Shape]:
        """The model's value, valid by `shape` and without any fault that `checks` names.

        sample: which of several replies to the same words. Raises Forbidden, RateLimited, TimedOut, Unavailable or Malformed; in
        replay also Unavailable for what was never asked before.
        """
        schema = _schema(shape)
        asked = [replace(message, text=self._without_secret(message.text)) for message in messages]
        try:
            completion, key, replayed = self._said(asked, schema, sample)
            value, faults = _read(completion.text, shape, checks)
            if value is None:
                self._keep(key, asked, completion, replayed, accepted=False)
                asked = [*asked, Message("assistant", completion.text[:4_000]), _repair(faults)]
                completion, key, again = self._said(asked, schema, sample)
                replayed = replayed and again
                value, faults = _read(completion.text, shape, checks)
            self._keep(key, asked, completion, replayed, accepted=value is not None)
            if value is None:
                raise Malformed(f"what {self.name} said could not be used, also when asked again: {faults[0]}")
        except ValidationError as error:  # pragma: no cover - _read keeps them
            raise Malformed(f"what {self.name} said has another shape: {error.error_count()} errors") from None
        return Said(value, replayed)

    def _said(self, asked: Sequence[Message], schema: Schema, sample: int) -> tuple[Completion, str, bool]:
        key = key_of(self._endpoint.model, asked, schema, sample)
        found = self._exchanges.find(key)
        if found is not None and (found.accepted or self._replay):
            return found.completion, key, True
        if self._replay:
            raise Unavailable("this was never asked of the language model, so there is nothing to replay")
        return self._complete(asked, schema, self._way()), key, False

    def _keep(
        self, key: str, asked: Sequence[Message], completion: Completion, replayed: bool, *, accepted: bool
    ) -> None:
        if not replayed:
            self._exchanges.keep(key, asked, self.name, completion, accepted=accepted)

    def _complete(self, asked: Sequence[Message], schema: Schema, rung: Rung) -> Completion:
        """One reply, with retries for what may pass. Every failure is counted by the breaker."""
        if rung in ("json_object", "prompt"):
            # The schema goes behind what never changes, so that servers find the longest known prefix in their cache.
            told = f"Answer with one JSON object and nothing else, valid by this JSON schema:\n{json.dumps(dict(schema.body))}"
            asked = [*asked[:-1], replace(asked[-1], text=f"{asked[-1].text}\n\n{told}")]
        for attempt in range(RETRIES + 1):
            self.allowance.check(asked, self._max_tokens)
            self._breaker.check()
            seconds = min(CALL_S, self.allowance.seconds_left)
            try:
                completion = self._endpoint.complete(
                    asked, schema, rung=rung, max_tokens=self._max_tokens, seconds=seconds
                )
            except (RateLimited, Unavailable) as error:
                pause = _pause(error, attempt)
                if attempt == RETRIES or pause is None or pause >= self.allowance.seconds_left:
                    self._breaker.failed(error)
                    raise
                self._wait(pause)
            except (Forbidden, TimedOut) as error:
                self._breaker.failed(error)
                raise
            else:
                self._breaker.succeeded()
                self.allowance.pay(asked, completion)
                return completion
        raise AssertionError("the last attempt returns or raises")

    # --- in which way it can be asked ---

    def _way(self) -> Rung:
        """The strictest way that the endpoint obeys; found out once a day, then remembered."""
        if self._rung is None:
            self._breaker.check()
            self._rung = self._remembered() or self._probe()
        return self._rung

    def _probe(self) -> Rung:
        try:
            self._endpoint.greet(seconds=GREET_S)
        except EvolveError as error:
            self._breaker.failed(error, at_once=True)
            raise
        schema = _schema(Canary)
        last: EvolveError | None = None
        for rung in LADDER:
            try:
                said = self._complete(CANARY, schema, rung)
            except (InvalidRequest, Malformed) as error:
                last = error
                continue
            if _read(said.text, Canary, None)[0] is not None:
                self._remember(rung)
                return rung
        none = Malformed(
            last.message if last else f"{self.name} keeps to no shape in any of {len(LADDER)} ways of asking"
        )
        self._breaker.failed(none, at_once=True)
        raise none

    def _remembered(self) -> Rung | None:
        try:
            row = json.loads(self._probed.read_text(encoding="utf-8"))
            return (
                row["rung"] if row["rung"] in LADDER and self._clock.now() - float(row["at"]) < PROBED_FOR_S else None
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _remember(self, rung: Rung) -> None:
        with contextlib.suppress(OSError):  # then the next question probes again
            self._probed.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._probed, json.dumps({"rung": rung, "at": self._clock.now()}).encode())

    @property
    def _probed(self) -> Path:
        return self._directory / f"way-{self._endpoint.identity}.json"

    def _without_secret(self, text: str) -> str:
        return text.replace(self._secret, "[redacted]") if self._secret else text


def _schema(shape: type[BaseModel]) -> Schema:
    return Schema(shape.__name__.lower(), shape.model_json_schema())


def _repair(faults: Sequence[str]) -> Message:
    listed = "\n".join(f"- {fault}" for fault in faults[:8])
    return Message(
        "user", f"That cannot be used:\n{listed}\nAnswer once more, whole and in the same shape, without these faults."
    )


def _read(text: str, shape: type[Shape], checks: Checks[Shape] | None) -> tuple[Shape | None, Sequence[str]]:
    """The first object in the text that has the shape and passes the checks, else what is wrong with the last one tried."""
    faults: Sequence[str] = ["it holds no JSON object"]
    for found in objects_in(text):
        try:
            value = shape.model_validate(found)
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, each['loc'])) or 'the object'}: {each['msg']}" for each in error.errors()[:5]
            ]
            continue
        faults = checks(value) if checks is not None else ()
        if not faults:
            return value, ()
    return None, faults


MOST_OBJECTS = 20  # a text with more is no answer
LONGEST_TEXT = 40_000


def objects_in(text: str) -> list[dict[str, object]]:
    """The JSON objects of a reply, outermost ones only: behind a model's thinking, inside fences, after an echoed schema."""
    text = text[:LONGEST_TEXT]
    _, thought, said = text.rpartition("</think>")
    text = said if thought else text
    decoder = json.JSONDecoder()
    found: list[dict[str, object]] = []
    at = text.find("{")
    for _ in range(MOST_OBJECTS):
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            end = at + 1
        except RecursionError:
            break
        else:
            found.append(value)
        at = text.find("{", end)
    return found


def _pause(error: EvolveError, attempt: int) -> float | None:
    """How long to wait before the next attempt; None where waiting is not worth it."""
    if error.details.get("budget") or error.details.get("resting"):
        return None
    after = error.details.get("after")
    wanted = float(after) if isinstance(after, int | float) else FIRST_WAIT_S * 2**attempt
    return wanted if wanted <= LONGEST_WAIT_S else None
