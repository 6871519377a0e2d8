"""Which calendar dates does a query name? A day, a month, a year, and the stretch between two of them, as five languages write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from evolve.language.text import Token
from evolve.language.time_words import BEFORE_A_YEAR, MONTHS, RANGE


class Dates:
    """The dates among the tokens of one query."""

    def __init__(self, tokens: Sequence[Token], words: Sequence[str]) -> None:
        self.tokens, self.words = tokens, words

    def _word(self, at: int) -> str:
        return self.words[at] if 0 <= at < len(self.words) else ""

    def range_at(self, at: int) -> tuple[int, int] | None:
        """Days from the first date to the second, and the index behind them."""
        if self.tokens[at].kind == "mark":
            return None
        first = self._date(at)
        if first is None:
            return None
        start, middle = first
        joined = middle < len(self.tokens) and self.tokens[middle].before == "-"
        connector = middle
        if not joined:
            if self._word(middle) not in RANGE:
                return None
            connector = middle + 1
            if self._word(connector) in ("the", "le", "el", "den", "dem"):
                connector += 1
        if connector >= len(self.tokens):
            return None
        second = self._date(connector)
        if second is None:
            return None
        stop, end = second
        if (start[1:] == (1, 1) and len(str(self.words[at])) == 4) != (
            stop[1:] == (1, 1) and len(str(self.words[connector])) == 4
        ) and (start[0] is None or stop[0] is None):
            return None
        begin, finish = _dated(start, stop)
        if begin is None or finish is None or finish <= begin:
            return None
        return (finish - begin).days, end

    def year_at(self, at: int) -> int | None:
        """`in 2008`, `since 2005`, `during 2010`: dates, and no length that could be counted back from the last bar."""
        if self._word(at) not in BEFORE_A_YEAR or self._year(at + 1) is None:
            return None
        return at + 2

    def _date(self, at: int) -> tuple[tuple[int | None, int, int], int] | None:
        """(year or None, month, day) and the index behind."""
        token = self.tokens[at]
        if token.kind == "number":
            parts = re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", token.folded)
            if parts:
                return _checked(int(parts[3]), int(parts[2]), int(parts[1]), at + 1)
            number = re.fullmatch(r"(\d+)(?:st|nd|rd|th|er)?", token.folded)
            if not number or len(number[1]) > 4:
                return None
            value = int(number[1])
            numeric = self._numeric_date(at, value)
            if numeric is not None:
                return numeric
            han = self._han_date(at)
            if han is not None:
                return han
            month_at = at + 1
            while self._word(month_at) in ("of", "de", "."):
                month_at += 1
            if 1 <= value <= 31 and self._word(month_at) in MONTHS:
                after = month_at + 1
                if self._word(after) in ("de", ",", "of"):
                    after += 1
                year = self._year(after)
                return _checked(year, MONTHS[self._word(month_at)], value, after + 1 if year else month_at + 1)
            if len(number[1]) == 4 and 1950 <= value <= 2100 and number[0] == number[1]:
                return (value, 1, 1), at + 1
            return None
        month = MONTHS.get(self.words[at])
        if month is None:
            return None
        after = at + 1
        day_match = re.fullmatch(r"(\d{1,2})(?:st|nd|rd|th)?", self._word(after))
        day = 1
        if day_match:
            day = int(day_match[1])
            after += 1
        year_at = after + 1 if self._word(after) in (",", "of", "de") else after
        year = self._year(year_at)
        if year:
            return _checked(year, month, day, year_at + 1)
        return _checked(None, month, day, after)

    def _numeric_date(self, at: int, value: int) -> tuple[tuple[int | None, int, int], int] | None:
        """2024-01-31, 2024/01/31, 01/31/2024, 31/01/2024."""
        if at + 2 < len(self.tokens) and self.tokens[at + 1].before == "-" and self.tokens[at + 2].before == "-":
            second, third, end = self._word(at + 1), self._word(at + 2), at + 3
        elif at + 4 < len(self.tokens) and self._word(at + 1) == "/" and self._word(at + 3) == "/":
            second, third, end = self._word(at + 2), self._word(at + 4), at + 5
        else:
            return None
        if not (second.isdecimal() and third.isdecimal() and len(second) <= 2 and len(third) in (1, 2, 4)):
            return None
        if 1950 <= value <= 2100:
            return _checked(value, int(second), int(third), end)
        if len(third) != 4:
            return None
        day_first = int(second) <= 12 < value
        month, day = (int(second), value) if day_first else (value, int(second))
        return _checked(int(third), month, day, end)

    def _han_date(self, at: int) -> tuple[tuple[int | None, int, int], int] | None:
        text = "".join(self.words[at : at + 6])
        match = re.match(r"(\d{4})年(?:(\d{1,2})月)?(?:(\d{1,2})日)?", text)
        if not match:
            return None
        count = 2 + 2 * (match[2] is not None) + 2 * (match[3] is not None)
        return _checked(int(match[1]), int(match[2] or 1), int(match[3] or 1), at + count)

    def _year(self, at: int) -> int | None:
        word = self._word(at)
        if len(word) == 4 and word.isdecimal() and 1950 <= int(word) <= 2100:
            return int(word)
        return None


def _checked(year: int | None, month: int, day: int, end: int) -> tuple[tuple[int | None, int, int], int] | None:
    try:
        date(year or 2024, month, day)
    except ValueError:
        return None
    return (year, month, day), end


def _dated(start: tuple[int | None, int, int], stop: tuple[int | None, int, int]) -> tuple[date | None, date | None]:
    """Both dates, a missing year taken from the other one; without any year, a common (not a leap) year."""
    year = start[0] or stop[0] or 2023
    try:
        begin = date(start[0] or year, start[1], start[2])
        finish = date(stop[0] or year, stop[1], stop[2])
        if finish < begin and stop[0] is None:
            finish = date(finish.year + 1, finish.month, finish.day)
        if finish < begin and start[0] is None:
            begin = date(begin.year - 1, begin.month, begin.day)
    except ValueError:
        return None, None
    return begin, finish
