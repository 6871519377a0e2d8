"""Which words of the query mean something to us, and what?

The lexicon is a table of phrases in several languages, each with the concepts it stands for: "go long" is LONG, "mejor" is BEST,
"short-term" is MASK (a word of ours with another meaning). The longest phrase at a place wins and takes its words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pkgutil import get_data
from typing import Generic, TypeVar

from evolve.errors import Internal
from evolve.language.text import Token, tokenize

T = TypeVar("T")
_IDEOGRAPHS = re.compile(r"[\u4e00-\u9fff]+")


def table(name: str) -> Iterator[tuple[str, list[str]]]:
    """The rows of a data file: first column, and the phrases of the second."""
    # pkgutil rather than importlib.resources: the same bytes for a tenth of the import time.
    content = get_data("evolve.language", f"data/{name}")
    if content is None:
        raise Internal(f"the package lacks its data file {name}; install evolve again")
    for line in content.decode("utf-8").splitlines():
        if line and not line.startswith("#"):
            key, _, phrases = line.partition("\t")
            yield key, [phrase for phrase in phrases.split("|") if phrase]


def words_of(phrase: str) -> tuple[str, ...]:
    """The folded words of a phrase of a data file, as the tokenizer would cut them; `*` stays."""
    words: list[str] = []
    for part in phrase.split():
        if part.isalnum() and part.isascii() and not part[0].isdecimal():
            words.append(part)
        elif _IDEOGRAPHS.fullmatch(part):
            words.extend(part)
        elif "*" in part:
            words.append(part)
        else:
            words.extend(token.folded for token in tokenize(part))
    return tuple(words)


class PhraseIndex(Generic[T]):
    """Phrases by their first word; each may carry several values."""

    def __init__(self) -> None:
        self._exact: dict[str, list[tuple[tuple[str, ...], T]]] = {}
        self._stems: dict[str, list[tuple[tuple[str, ...], T]]] = {}
        self._stem_lengths: tuple[int, ...] = ()

    def add(self, words: tuple[str, ...], value: T) -> None:
        first = words[0]
        if first.endswith("*"):
            self._stems.setdefault(first[:-1], []).append((words, value))
            if len(first) - 1 not in self._stem_lengths:
                self._stem_lengths = (*self._stem_lengths, len(first) - 1)
        else:
            self._exact.setdefault(first, []).append((words, value))

    def words(self) -> set[str]:
        """All words of all phrases, without their `*`."""
        words = {word for rows in self._exact.values() for phrase, _ in rows for word in phrase}
        words.update(word for rows in self._stems.values() for phrase, _ in rows for word in phrase)
        return {word.rstrip("*") for word in words}

    def knows(self, word: str) -> bool:
        return word in self._exact or any(word[:length] in self._stems for length in self._stem_lengths)

    def longest(self, words: Sequence[str], at: int) -> tuple[int, list[T]]:
        """Length of the longest phrase that starts at `at`, and the values of all phrases of that length; 0 if none."""
        word = words[at]
        length = 0
        values: list[T] = []
        candidates = self._exact.get(word, ())
        stems = [row for size in self._stem_lengths if len(word) >= size for row in self._stems.get(word[:size], ())]
        for phrase, value in (*candidates, *stems):
            size = len(phrase)
            if size < length or at + size > len(words):
                continue
            if all(_fits(part, words[at + 1 + offset]) for offset, part in enumerate(phrase[1:])):
                if size > length:
                    length, values = size, []
                values.append(value)
        return length, values


def _fits(part: str, word: str) -> bool:
    if part.endswith("*"):
        return word.startswith(part[:-1])
    return part == word


@dataclass(frozen=True, slots=True)
class Mark:
    """What the tokens from `start` up to `end` mean."""

    concepts: frozenset[str]
    start: int
    end: int


@cache
def lexicon() -> PhraseIndex[str]:
    index: PhraseIndex[str] = PhraseIndex()
    for concept, phrases in table("lexicon.tsv"):
        for phrase in phrases:
            index.add(words_of(phrase), concept)
    return index


@cache
def model_names() -> PhraseIndex[str]:
    index: PhraseIndex[str] = PhraseIndex()
    for family, phrases in table("models.tsv"):
        for phrase in phrases:
            index.add(words_of(phrase), family)
    return index


@cache
def _rules() -> PhraseIndex[str]:
    index: PhraseIndex[str] = PhraseIndex()
    for rule, phrases in table("rules.tsv"):
        for phrase in phrases:
            index.add(words_of(phrase), rule)
    return index


def rule_in(words: Sequence[str]) -> str | None:
    """The first trading rule that is named, such as "moving-average crossover": what no model family stands for."""
    for at in range(len(words)):
        length, rules = _rules().longest(words, at)
        if length:
            return rules[0]
    return None


def marks_of(words: Sequence[str], tokens: Sequence[Token]) -> tuple[Mark, ...]:
    """Concepts from left to right, the longest phrase first, no word twice."""
    index = lexicon()
    found: list[Mark] = []
    at = 0
    while at < len(words):
        length, concepts = index.longest(words, at)
        if length and not (length == 1 and tokens[at].is_clitic):
            found.append(Mark(frozenset(concepts), at, at + length))
            at += length
        else:
            at += 1
    return tuple(found)
