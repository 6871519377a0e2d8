"""What are the words of this query, and where do they stand in it?

Folding makes one form of many: lower case, no accents, ASCII for full-width letters, no invisible characters. Every token keeps
its place in the original text, so that an answer can show which words a slot came from.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

MAX_CHARACTERS = 600  # A question is shorter; what follows is not read, so that the time of a parse has a bound.
MAX_TOKENS = 150

TokenKind = Literal["word", "number", "cashtag", "identifier", "ideograph", "mark"]

_IDEOGRAPHS = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(
    # A registered model: ridge-AAPL-1d-3f9c2a7b
    r"(?P<identifier>(?<![\w-])[a-z][a-z_]*-[a-z0-9][a-z0-9.]*(?:-[a-z])?-(?:1m|5m|15m|30m|1h|4h|1d|1w)-[0-9a-f]{4,64}(?![\w-]))"
    r"|(?P<cashtag>\$[a-z]{1,10}(?:[.\-][a-z](?![a-z]))?)"
    r"|(?P<number>\d+(?:[.,]\d+)*[a-z]*)"
    # Ideographs have no spaces between words: each is a token of its own.
    rf"|(?P<ideograph>[{_IDEOGRAPHS}])"
    rf"|(?P<word>[^\W\d_{_IDEOGRAPHS}]+(?:_[^\W{_IDEOGRAPHS}]+)*)"
    r"|(?P<mark>[^\w\s]|_)"
)
_SPECIAL = {
    "’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-",
    "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ı": "i",
    "。": ".", "，": ",", "、": ",", "；": ";", "：": ":", "？": "?", "！": "!", "（": "(", "）": ")", "¿": " ", "¡": " ",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """One word, number, sign or ideograph.

    text: as written; folded: for look-up; start, end: its place in the query; before: the single character that glues it to the
    previous token ("-" in 4-hour, "'" in what's), "" when they touch, " " when they stand apart.
    """

    text: str
    folded: str
    start: int
    end: int
    kind: TokenKind
    before: str

    @property
    def is_upper(self) -> bool:
        return self.text.isupper()

    @property
    def is_capitalised(self) -> bool:
        return self.text[:1].isupper()

    @property
    def is_clitic(self) -> bool:
        """The `s` of what's, the `t` of don't: never a ticker."""
        return self.before == "'" and len(self.folded) <= 2


@lru_cache(maxsize=4096)
def fold_character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii():
        return character.lower()
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn"):
        return " " if category == "Cc" else ""
    folded = "".join(part for part in unicodedata.normalize("NFKD", character) if unicodedata.category(part) != "Mn")
    # Hangul would fall apart into its letters; keep the syllable.
    if not folded or "\uac00" <= character <= "\ud7a3":
        folded = character
    # One ligature of Arabic becomes 18 letters; nothing we look up is longer than four.
    return folded.lower()[:4]


def fold(text: str) -> str:
    return "".join(map(fold_character, text))


def tokenize(query: str) -> tuple[Token, ...]:
    """The tokens of the first `MAX_CHARACTERS` of the query, hyphens and apostrophes between letters dropped."""
    query = query[:MAX_CHARACTERS]
    pieces: list[str] = []
    origin: list[int] = []
    for index, character in enumerate(query):
        folded = fold_character(character)
        pieces.append(folded)
        origin.extend([index] * len(folded))
    folded_text = "".join(pieces)
    tokens: list[Token] = []
    previous_end = 0
    for match in _TOKEN.finditer(folded_text):
        kind: TokenKind = match.lastgroup  # type: ignore[assignment]  # the groups are named after the kinds
        start, end = match.span()
        folded = match.group()
        if kind == "mark" and folded in "-'" and _glues(folded_text, start):
            continue
        gap = folded_text[previous_end:start]
        before = gap if len(gap) <= 1 and not gap.isspace() else " "
        first, last = origin[start], origin[end - 1] + 1
        tokens.append(Token(query[first:last], folded, first, last, kind, before if tokens else " "))
        previous_end = end
        if len(tokens) >= MAX_TOKENS:
            break
    return tuple(tokens)


def _glues(text: str, index: int) -> bool:
    return 0 < index < len(text) - 1 and text[index - 1].isalnum() and text[index + 1].isalnum()


def is_shouting(tokens: tuple[Token, ...], acronyms: frozenset[str]) -> bool:
    """Whether capitals carry no meaning here: all words are upper case and at least two of them are plain words."""
    plain = 0
    for token in tokens:
        if token.kind != "word" or token.is_clitic:
            continue
        if token.text.upper() == token.text.lower():
            continue
        if not token.is_upper:
            return False
        plain += token.folded not in acronyms
    return plain >= 2
