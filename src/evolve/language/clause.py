"""What does one clause of a query hold? The questions that the rules of intent ask of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from evolve.language.frame import Intent
from evolve.language.lexicon import Mark
from evolve.language.reading import Reading

REFUSED = frozenset({"INJECT", "DESTROY", "TRANSFER", "ORDER", "ILLEGAL"})


@dataclass(frozen=True, slots=True)
class Trigger:
    at: int
    intent: Intent
    reason: str
    strength: int  # 3 strong: competes by position; 2 middling; 1 weak


class Clause:
    """One clause and the questions that the rules ask of it."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.words = reading.words

    # -- vocabulary of the rules ---------------------------------------------------------------------------------------

    def at(self, *concepts: str) -> int | None:
        """Where the first of the concepts stands, None if none does."""
        wanted = set(concepts)
        for mark in self.reading.marks:
            if mark.concepts & wanted:
                return mark.start
        return None

    def marks(self, *concepts: str) -> Iterator[Mark]:
        wanted = set(concepts)
        return (mark for mark in self.reading.marks if mark.concepts & wanted)

    def has(self, *concepts: str) -> bool:
        return not self.reading.concepts.isdisjoint(concepts)

    def soon(self, start: int, within: int, *concepts: str) -> bool:
        """Whether one of the concepts begins in the next tokens."""
        return any(start <= mark.start < start + within for mark in self.marks(*concepts))

    def model_soon(self, start: int, within: int) -> bool:
        return self.soon(start, within, "MODEL") or any(
            start <= model.start < start + within for model in self.reading.named_models
        )

    @cached_property
    def has_symbol(self) -> bool:
        return bool(self.reading.symbols)

    @cached_property
    def has_family(self) -> bool:
        return bool(self.reading.models)

    @cached_property
    def has_id(self) -> bool:
        return any(model.identifier for model in self.reading.models)

    @cached_property
    def has_model(self) -> bool:
        return self.has("MODEL") or self.has_family

    @cached_property
    def definite_model(self) -> bool:
        """A particular existing model: an identifier, "my lstm", "the AAPL model"."""
        if self.has_id:
            return True
        ends = {*(m.start for m in self.marks("MODEL")), *(m.start for m in self.reading.models)}
        for end in ends:
            for back in range(max(0, end - 4), end):
                if self.words[back] in (
                    "my",
                    "our",
                    "the",
                    "that",
                    "this",
                    "mi",
                    "el",
                    "mein",
                    "das",
                    "unser",
                    "mon",
                    "le",
                ) or (self.words[back] == "我" or (self.words[back] == "s" and self.reading.tokens[back].is_clitic)):
                    return True
        return False

    @cached_property
    def is_question(self) -> bool:
        return self.has("SHOULD", "WHICH", "WHATIS", "HOWDO", "WHY") or "?" in self.words

    # -- refusals ------------------------------------------------------------------------------------------------------

    @cached_property
    def is_refused(self) -> bool:
        """Orders, transfers, destruction, crime, and instructions to the system."""
        if self.has("INJECT", "ILLEGAL"):
            return True
        if self.has("TRANSFER") and not (self.words and self.has("DEFINE")):
            return not self.has("BUILD", "EVAL", "PLOT", "TUNE")
        if self.has("DESTROY"):
            return True
        if self.has("ORDER") and not (self.has("DEFINE") and not self.has_symbol):
            return True
        return self._is_order()

    def _is_order(self) -> bool:
        """An imperative with a quantity: "buy 10 shares of AAPL", "sell $500 of bitcoin"."""
        act = self.at("BUY", "SELL", "SHORT", "LONG")
        if act is None or self.has("SHOULD", "WHICH", "WHATIS", "DEFINE", "EVAL", "WHY", "SIGNAL"):
            return False
        mark = next(mark for mark in self.marks("BUY", "SELL", "SHORT", "LONG"))
        polite = {"please", "pls", "now", "just", "go", "ahead", "and", "can", "could", "you", "hey", "evolve", "ok", "por", "favor",
                  "bitte", "kannst", "du", "s", "il", "vous", "plait", "请", "帮", "我", "i", "want", "to", "would", "like"}  # fmt: skip
        if any(
            word not in polite and self.reading.tokens[at].kind != "mark" for at, word in enumerate(self.words[:act])
        ):
            return False
        if "for" in self.words[mark.end :] and self.words[-2:-1] == ("for",) and self.words[-1] in ("me", "us"):
            return True
        for at in range(mark.end, min(mark.end + 3, len(self.words))):
            token = self.reading.tokens[at]
            if token.kind != "number" and self.words[at] not in (
                "half",
                "hundred",
                "ten",
                "five",
                "twenty",
                "fifty",
                "thousand",
            ):
                continue
            timed = any(period.start <= at < period.end for period in self.reading.time.periods) or any(
                frame.start <= at < frame.end for frame in self.reading.time.timeframes
            )
            named = any(mention.start <= at < mention.end for mention in self.reading.mentions)
            if not timed and not named:
                return True
        return False

    @cached_property
    def is_out_of_scope(self) -> bool:
        if not self.has("OOS"):
            return False
        if self.has("RETRAIN", "TUNE", "EVAL") and self.has_model:
            return False
        if self.has("BUILD", "RECOMMEND", "PLOT", "BUY", "SELL", "LONG", "SHORT", "SIGNAL", "WHY") and self.has_symbol:
            oos = self.at("OOS")
            return oos is not None and oos <= 1
        return True
