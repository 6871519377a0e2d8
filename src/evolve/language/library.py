"""Which passage answers this? Retrieval over our own texts: documentation, and whatever a caller adds (registry, history).

BM25 over folded, lightly stemmed words, with headings counted more. Nothing is written here, only quoted with its source; a question
whose words the best passage does not hold has no answer.

Source: Robertson & Zaragoza (2009), The Probabilistic Relevance Framework: BM25 and Beyond.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evolve.language.reading import FUNCTION_WORDS
from evolve.language.text import fold
from evolve.settings import checkout

K1, B = 1.2, 0.75  # the usual values; they are not tuned on our questions
HEADING_WEIGHT = 3  # a word in a heading says what the passage is about
ENOUGH = 0.6  # share of the question's weight that a passage must hold to answer it; below, it only shares a word
PASSAGE_CHARACTERS = 900
QUOTE_CHARACTERS = 420

# Words of asking, not of what is asked about.
_ASKING = frozenset(
    """explain define definition describe mean meaning means stand stands difference between happen called tool system
    evolve exactly please understand learn question questions
    explica significa definicion diferencia erklare bedeutet definition unterschied explique signifie veut dire quoi c
    什 么 意 思 解 释""".split()
)
_WORD = re.compile(r"[a-z][a-z0-9²_]*(?:-[a-z]+)*|\d+[a-z]+|[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class Passage:
    """One quotable stretch. source: where it stands, as a reader can open it; heading: what it is about."""

    source: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """covered: share of the question's weight, by rarity of its words, that the passage holds."""

    passage: Passage
    score: float
    covered: float


class Library:
    def __init__(self, passages: Iterable[Passage]) -> None:
        self._passages = tuple(passages)
        self._counts = [_counts(passage) for passage in self._passages]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean = sum(self._lengths) / len(self._lengths) if self._lengths else 1.0
        self._holding = Counter(word for counts in self._counts for word in counts)

    def search(self, question: str, *, limit: int = 3) -> list[Found]:
        """The passages that answer the question best, those that hold too little of it left out."""
        wanted = terms_of(question)
        weights = {word: self._rarity(word) for word in wanted}
        total = sum(weights.values())
        if not total:
            return []
        found = []
        for passage, counts, length in zip(self._passages, self._counts, self._lengths, strict=True):
            held = [word for word in wanted if counts[word]]
            covered = sum(weights[word] for word in held) / total
            if covered >= ENOUGH:
                score = sum(weights[word] * self._strength(counts[word], length) for word in held)
                # "Sharpe ratio" asks for that entry, not for one whose heading holds more words.
                exact = set(terms_of(passage.heading)) == set(wanted)
                found.append(Found(passage, 2 * score if exact else score, covered))
        return sorted(found, key=lambda each: -each.score)[:limit]

    def nearest(self, question: str, *, limit: int = 3) -> list[str]:
        """Headings that share a word with the question, for who got no answer."""
        wanted = terms_of(question)
        scored = [
            (sum(self._rarity(word) for word in wanted if counts[word]), passage.heading)
            for passage, counts in zip(self._passages, self._counts, strict=True)
        ]
        best = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])
        return list(dict.fromkeys(heading for _, heading in best))[:limit]

    def _rarity(self, word: str) -> float:
        holding = self._holding[word]
        return math.log(1 + (len(self._passages) - holding + 0.5) / (holding + 0.5))

    def _strength(self, count: int, length: int) -> float:
        return count * (K1 + 1) / (count + K1 * (1 - B + B * length / self._mean))


def terms_of(text: str) -> tuple[str, ...]:
    """The words that carry what a text is about, stemmed, once each, in order."""
    words = _WORD.findall(fold(text))
    bare = [word for word in words if word not in FUNCTION_WORDS and word not in _ASKING]
    # A question of nothing but everyday words ("who are you", "what can you do") is about those.
    return tuple(dict.fromkeys(_stem(word) for word in (bare or words)))


def quote(passage: Passage) -> str:
    """The beginning of the passage, whole sentences, and where it stands."""
    text = " ".join(passage.text.split())
    if len(text) > QUOTE_CHARACTERS:
        end = max(text.rfind(". ", 0, QUOTE_CHARACTERS), text.rfind("; ", 0, QUOTE_CHARACTERS))
        text = text[: end + 1] if end > 80 else f"{text[:QUOTE_CHARACTERS].rsplit(' ', 1)[0]} …"
    return f"“{text}” ({passage.source})"


def _counts(passage: Passage) -> Counter[str]:
    heading = [_stem(word) for word in _WORD.findall(fold(passage.heading))]
    return Counter([*(heading * HEADING_WEIGHT), *(_stem(word) for word in _WORD.findall(fold(passage.text)))])


_ENDINGS = ("ations", "ation", "ingly", "ings", "ing", "edly", "ies", "ied", "es", "ed", "ly", "s")


def _stem(word: str) -> str:
    """Plural and tense cut off; crude, but the same for question and passage."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


# --- our own documentation ---


def documents() -> Path | None:
    """Where the documentation lies: in the checkout, or in the package beside the code."""
    root: Path | None = checkout()
    packed = Path(__file__).resolve().parents[1] / "documents"
    places: tuple[Path, ...] = (*((root / "docs",) if root else ()), packed)
    return next((place for place in places if place.is_dir()), None)


@cache
def documentation() -> tuple[Passage, ...]:
    """Every passage of the documentation; empty where an installation has none."""
    place = documents()
    if place is None:
        return ()
    # What was promised, and what was measured on one machine, explains nothing to who asks what a word means.
    paths = [path for path in sorted(place.glob("*.md")) if path.name not in ("specification.md", "performance.md")]
    return tuple(passage for path in paths for passage in passages_of(path.read_text("utf-8"), f"docs/{path.name}"))


def passages_of(markdown: str, source: str) -> list[Passage]:
    """The paragraphs of a page under their headings; tables and code stay with the words before them."""
    title = heading = source
    found: list[Passage] = []
    held: list[str] = []

    def close() -> None:
        text = "\n".join(held).strip()
        if text:
            where = source if heading == title else f"{source}, “{heading}”"
            found.extend(Passage(where, heading, part) for part in _parts(text))
        held.clear()

    fenced = False
    for line in markdown.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            close()
            heading = line.lstrip("# ").strip()
            title = heading if line.startswith("# ") else title
        else:
            held.append(line)
    close()
    return found


def _parts(text: str) -> Sequence[str]:
    """Paragraphs joined up to about `PASSAGE_CHARACTERS`."""
    parts: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        if parts and len(parts[-1]) + len(paragraph) < PASSAGE_CHARACTERS:
            parts[-1] = f"{parts[-1]}\n\n{paragraph}"
        else:
            parts.append(paragraph)
    return parts
