"""Which numbers of a strategy does a text state? Read by patterns, bounded, and each with the words it came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "fourteen": 14, "fifteen": 15, "twenty": 20, "thirty": 30, "fifty": 50, "hundred": 100,
}  # fmt: skip
# In trading days, as the literature counts: 5 a week, 21 a month, 252 a year.
DAYS = {"day": 1, "bar": 1, "period": 1, "session": 1, "week": 5, "month": 21, "year": 252}
MONTHS = {name: number for number, name in enumerate("january february march april may june july august september october november december".split(), 1)}  # fmt: skip

_COUNT = r"(?P<{0}>\d+(?:\.\d+)?|" + "|".join(WORDS) + ")"
_SPAN = _COUNT + r"[- ]?(?:trading |calendar )?(?P<{0}u>days?|weeks?|months?|years?|bars?|periods?|sessions?)\b"
LAST_ONE = r"(?:past|last|previous|prior|trailing) (?P<n>)(?P<nu>day|week|month|year)\b"
Read = Callable[[str], "Stated | None"]


@dataclass(frozen=True, slots=True)
class Stated:
    """A number and the words that stated it."""

    value: float
    said: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """name: the constant in the program; usual: its value where the text states none; low, high: what it may be."""

    name: str
    usual: float
    low: float
    high: float
    read: Read
    whole: bool = True

    def stated_in(self, text: str) -> Stated | None:
        """The stated value; None where there is none, or one that cannot be."""
        found = self.read(text)
        if found is None or not self.low <= found.value <= self.high:
            return None
        return Stated(round(found.value), found.said) if self.whole else found


def span(*patterns: str) -> Read:
    """A stretch in bars of a day; `<S>` stands for it in each pattern, and the first pattern that matches counts."""
    made = [re.compile(pattern.replace("<S>", _SPAN.format("n")), re.IGNORECASE) for pattern in patterns]

    def read(text: str) -> Stated | None:
        match = next((match for pattern in made if (match := pattern.search(text))), None)
        return (
            None
            if match is None
            else Stated(_count(match.group("n")) * DAYS[match.group("nu").lower().rstrip("s")], _words(match))
        )

    return read


def number(*patterns: str, scale: float = 1.0) -> Read:
    """A plain number; `<N>` stands for it."""
    made = [re.compile(pattern.replace("<N>", _COUNT.format("n")), re.IGNORECASE) for pattern in patterns]

    def read(text: str) -> Stated | None:
        match = next((match for pattern in made if (match := pattern.search(text))), None)
        return None if match is None else Stated(_count(match.group("n")) * scale, _words(match))

    return read


def average_span(which: int) -> Read:
    """The shorter (0) or longer (1) of two spans near the words "average", "SMA" or "EMA"."""

    def read(text: str) -> Stated | None:
        found = sorted(_average_spans(text), key=lambda stated: stated.value)
        return None if len({stated.value for stated in found}) < 2 else found[0 if which == 0 else -1]

    return read


def flag(pattern: str, unless: str = r"(?!)") -> Read:
    """1 where the text has these words, 0 where it has the others."""

    def read(text: str) -> Stated | None:
        if (match := re.search(unless, text, re.IGNORECASE)) is not None:
            return Stated(0.0, _words(match))
        match = re.search(pattern, text, re.IGNORECASE)
        return None if match is None else Stated(1.0, _words(match))

    return read


def month(*patterns: str) -> Read:
    """The number of a month; `<M>` stands for its name."""
    names = r"(?P<n>" + "|".join(MONTHS) + ")"
    made = [re.compile(pattern.replace("<M>", names), re.IGNORECASE) for pattern in patterns]

    def read(text: str) -> Stated | None:
        match = next((match for pattern in made if (match := pattern.search(text))), None)
        return None if match is None else Stated(float(MONTHS[match.group("n").lower()]), _words(match))

    return read


def never(text: str) -> Stated | None:
    """For what no text states."""
    del text
    return None


SHORT = flag(
    r"\blong[-/ –]short\b|\bgo(es|ing)? short\b|\bshort[- ]sell\w*|\bsells? short\b|\bshort (when|if|positions?|otherwise)\b|\band shorts?\b|\bshorts? (the|what|past|after|it)\b",
    unless=r"\blong[- ]only\b|\bno short\w*|\bnever short\w*|\bwithout short\w*",
)  # fmt: skip


def _average_spans(text: str) -> Iterator[Stated]:
    for sentence in re.split(r"(?<=[.!?])\s", text):
        if re.search(r"\baverages?\b|\b[es]?ma\b", sentence, re.IGNORECASE):
            for match in re.finditer(_SPAN.format("n"), sentence, re.IGNORECASE):
                yield Stated(_count(match.group("n")) * DAYS[match.group("nu").lower().rstrip("s")], _words(match))
            # "the 50 and 200 day averages", "SMA(50)": the unit stands once, or not at all.
            for match in re.finditer(r"(?P<n>\d+)[- ]?(?:and|/|over|versus|vs\.?)[- ]?\d+[- ]day|\b[es]?ma ?\(?(?P<m>\d+)\)?", sentence, re.IGNORECASE):  # fmt: skip
                yield Stated(float(match.group("n") or match.group("m")), _words(match))


def _count(text: str) -> float:
    # "the past week": a unit without a number is one of it.
    return float(WORDS.get(text.lower(), 0) or text or 1)


def _words(match: re.Match[str]) -> str:
    return " ".join(match.group(0).split())[:80]
