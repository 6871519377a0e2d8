"""Which bars and which stretch of time does the user mean?

One grammar over tokens for digits and number words in English, Spanish, German, French and Chinese: quantities ("90d", "eight
weeks", "año y medio"), relative words ("last quarter", "heute"), date ranges, and bar sizes ("4-hour candles", "on the daily").
Conventions (days): week 7, fortnight 14, month 30, quarter 90, year 365, twelve months 365, decade 3650; hours round up to days.
Not periods: indicator lengths ("200-day average"), frequencies ("every week"), "short-term".
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from evolve.language.dates import Dates
from evolve.language.lexicon import Mark, PhraseIndex, model_names, table, words_of
from evolve.language.text import Token
from evolve.language.time_words import (
    ADVERBS,
    ALWAYS_BARS,
    BARS,
    BARS_BEFORE,
    DAY,
    FRENCH,
    FREQUENCY,
    FUTURE,
    HAN_DIGITS,
    HAN_UNITS,
    LENGTH_OF,
    MINUTES_OF,
    NOT_A_BAR_SIZE,
    NUMBERS,
    OVER,
    PAST,
    SUFFIXED,
    SUFFIXES,
    THIS,
    UNITS,
)

if TYPE_CHECKING:  # the market's types import pydantic, which would triple the load time of a parse
    from evolve.market.types import Timeframe

LONGEST_PERIOD_DAYS = 36_500  # a century: more is a slip or a joke, not a window


@dataclass(frozen=True, slots=True)
class TimeframeReading:
    value: Timeframe
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PeriodReading:
    """A window or horizon in days over tokens start..end; future: a horizon rather than a window of history."""

    days: int
    start: int
    end: int
    future: bool


@dataclass(frozen=True, slots=True)
class TimeReading:
    timeframes: tuple[TimeframeReading, ...]
    periods: tuple[PeriodReading, ...]
    impossible: tuple[tuple[int, int], ...] = ()  # tokens that name a stretch which there cannot be: 0 days, 500 years
    dated: tuple[tuple[int, int], ...] = ()  # tokens that name calendar dates: 2008 to 2010, in 2008

    @property
    def timeframe(self) -> TimeframeReading | None:
        return self.timeframes[0] if self.timeframes else None

    @property
    def period(self) -> PeriodReading | None:
        """The window where one is named, else the horizon."""
        windows = [reading for reading in self.periods if not reading.future]
        return next(iter(windows or self.periods), None)


@cache
def _phrases() -> PhraseIndex[int]:
    index: PhraseIndex[int] = PhraseIndex()
    for days, phrases in table("time.tsv"):
        for phrase in phrases:
            index.add(words_of(phrase), int(days))
    return index


def read_time(
    tokens: Sequence[Token],
    words: Sequence[str],
    marks: Sequence[Mark],
    *,
    symbol_ends: frozenset[int],
    taken: frozenset[int],
) -> TimeReading:
    """Bar sizes and periods of the query.

    symbol_ends: token indices just behind an instrument ("eurusd daily"); taken: tokens that belong to one (3M).
    """
    return _Grammar(tokens, words, marks, symbol_ends, taken).read()


class _Grammar:
    def __init__(
        self,
        tokens: Sequence[Token],
        words: Sequence[str],
        marks: Sequence[Mark],
        symbol_ends: frozenset[int],
        taken: frozenset[int],
    ) -> None:
        self.tokens, self.words, self.symbol_ends, self.taken = tokens, words, symbol_ends, taken
        self.concepts: dict[int, frozenset[str]] = {
            at: mark.concepts for mark in marks for at in range(mark.start, mark.end)
        }
        self.retrains = any(mark.concepts & {"RETRAIN", "UPDATE"} for mark in marks)
        self.timeframes: list[TimeframeReading] = []
        self.periods: list[PeriodReading] = []
        self.impossible: list[tuple[int, int]] = []
        self.dated: list[tuple[int, int]] = []
        self.dates = Dates(tokens, words)

    def read(self) -> TimeReading:
        at = 0
        while at < len(self.words):
            if at in self.taken:
                at += 1
                continue
            end = (
                self._date_range(at)
                or self._year_alone(at)
                or self._phrase(at)
                or self._relative(at)
                or self._quantity(at)
                or self._adverb(at)
            )
            at = end or at + 1
        return TimeReading(tuple(self.timeframes), tuple(self.periods), tuple(self.impossible), tuple(self.dated))

    def _word(self, at: int) -> str:
        return self.words[at] if 0 <= at < len(self.words) else ""

    def _add_period(self, days: float, start: int, end: int, *, future: bool) -> None:
        whole = max(1, math.floor(days + 0.5))
        if days <= 0 or whole > LONGEST_PERIOD_DAYS:
            self.impossible.append((start, end))
        elif self._is_negative(start):
            self.impossible.append((start - 1, end))
        else:
            self.periods.append(PeriodReading(whole, start, end, future))

    def _is_negative(self, at: int) -> bool:
        """ "over -5 days": a minus stuck to the number and to nothing before it, where a range or a hyphen has something."""
        if self._word(at - 1) != "-" or self.tokens[at].before or not self.tokens[at - 1].before:
            return False
        return at < 2 or self._word(at - 2) in OVER

    # -- relative words ------------------------------------------------------------------------------------------------

    def _phrase(self, at: int) -> int | None:
        if self.words[at] == "hier" and not FRENCH.isdisjoint(self.words):  # here in German, yesterday in French
            self._add_period(1, at, at + 1, future=False)
            return at + 1
        length, values = _phrases().longest(self.words, at)
        if not length or self.tokens[at].is_clitic:
            return None
        word = self.words[at]
        if length == 1 and word == "morgen" and self._word(at - 1) == "guten":
            return at + 1
        if word == "the" and self._word(at - 1) in ("of", "through") and "day" in self.words[max(0, at - 4) : at]:
            return at + length
        if values[0]:
            future = bool({"tomorrow", "ahead", "manana", "morgen", "demain", "下", "明", "未", "viene", "prochain", "prochaine"}
                          & set(self.words[at : at + length])) or self._word(at - 1) in FUTURE  # fmt: skip
            self._add_period(values[0], at, at + length, future=future)
        return at + length

    def _relative(self, at: int) -> int | None:
        """`last quarter`, `diese Woche`, `cette semaine`."""
        word = self.words[at]
        if word not in PAST and word not in FUTURE and word not in THIS:
            return None
        half = self._word(at + 1) == "half"
        unit_at = at + 2 if half else at + 1
        unit = UNITS.get(self._word(unit_at), 0)
        # "this day" and "next d" are not said; "last hour" is.
        if unit < 60 or len(self._word(unit_at)) < 2 or self._word(unit_at) in ("min", "session", "sessions", "mon"):
            return None
        if word in THIS and unit < 7 * DAY:
            return None
        if self._word(unit_at) == "week" and self._word(unit_at + 1) in ("high", "low"):
            return None
        self._add_period(math.ceil(unit / DAY) * (0.5 if half else 1), at, unit_at + 1, future=word in FUTURE)
        return unit_at + 1

    # -- quantities ----------------------------------------------------------------------------------------------------

    def _quantity(self, at: int) -> int | None:
        mt4 = self._metatrader(at)
        if mt4:
            return mt4
        found = self._amount(at)
        if found is None:
            return None
        amount, unit, name, end = found
        if name == "m":
            unit = (
                1
                if amount in (1, 5, 15, 30, 45, 60, 240) and not (amount == 1 and self._is_period_cue(at))
                else 30 * DAY
            )
            if unit == 1 and self._word(at - 1) in PAST | FUTURE and amount in (1,):
                unit = 30 * DAY
            if self.tokens[at].text.endswith("M") and not self._beside_bars(at, end) and amount != 15:
                unit = 30 * DAY
        if self._word(at - 1) in FREQUENCY or (self._word(at - 2) in FREQUENCY and self._word(at - 1) in ("other",)):
            return end
        if self._is_indicator_length(at, end):
            return end
        if unit < DAY:
            self._short(amount * unit, at, end, glued=self._glued(at, end), name=name)
            return end
        self._long(amount, unit, at, end, name=name)
        return end

    def _metatrader(self, at: int) -> int | None:
        """H4, D1, M15: the unit first."""
        if self.words[at] not in ("h", "d", "m", "w") or at + 1 >= len(self.words):
            return None
        number = self.tokens[at + 1]
        if number.before != "" or not number.folded.isdecimal() or len(number.folded) > 2:
            return None
        minutes = int(number.folded) * {"m": 1, "h": 60, "d": DAY, "w": 7 * DAY}[self.words[at]]
        if minutes not in MINUTES_OF:
            return None
        self.timeframes.append(TimeframeReading(MINUTES_OF[minutes], at, at + 2))
        return at + 2

    def _amount(self, at: int) -> tuple[float, int, str, int] | None:
        """Amount, minutes per unit, unit as written, and the index behind; None where no quantity of time begins."""
        token = self.tokens[at]
        suffixed = SUFFIXED.fullmatch(token.folded) if token.kind == "number" else None
        if suffixed and suffixed[2] in SUFFIXES:
            return _number(suffixed[1]), SUFFIXES[suffixed[2]], suffixed[2], at + 1
        if token.kind == "ideograph" or (
            token.kind == "number" and at + 1 < len(self.tokens) and self.tokens[at + 1].kind == "ideograph"
        ):
            return self._han_amount(at)
        number = self._number_words(at)
        if number is None:
            return None
        amount, end = number
        if self._word(end) in ("of", "de", "d", "full", "trading", "business", "calendar", "more", "whole", "solid"):
            end += 1
        # "les 30 derniers jours", "los 3 próximos meses"
        if self._word(end) in PAST or self._word(end) in FUTURE:
            end += 1
        name = self._word(end)
        if name not in SUFFIXES or end >= len(self.tokens) or self.tokens[end].is_clitic:
            return None
        if len(name) == 1 and self.tokens[at].kind != "number":
            return None
        if (
            name in ("an", "y", "d", "mon", "w")
            and self.tokens[at].kind != "number"
            and self.words[at] not in ("un", "deux")
        ):
            return None
        end += 1
        # "two years and a half", "año y medio", "a year and a half"
        for tail in (("and", "a", "half"), ("y", "medio"), ("y", "media"), ("et", "demi"), ("et", "demie")):
            if tuple(self.words[end : end + len(tail)]) == tail:
                return amount + 0.5, SUFFIXES[name], name, end + len(tail)
        return amount, SUFFIXES[name], name, end

    def _number_words(self, at: int) -> tuple[float, int] | None:
        token, word = self.tokens[at], self.words[at]
        if token.kind == "number":
            if not re.fullmatch(r"\d+(?:[.,]\d+)?", word):
                return None
            end = at + 1
            if tuple(self.words[end : end + 3]) == ("and", "a", "half"):
                return _number(word) + 0.5, end + 3
            return _number(word), end
        if word in ("half", "medio", "media", "halbe", "halben", "halbes", "demi"):
            end = at + 2 if self._word(at + 1) in ("a", "an") else at + 1
            return 0.5, end
        if word in ("couple", "pair", "par"):
            return 2.0, at + 1
        if word in ("a", "an"):
            if self._word(at + 1) in ("couple", "dozen"):
                return (2.0 if self._word(at + 1) == "couple" else 12.0), at + 2
            # "over a year", "a month of data", "a fortnight": one; "once a week", "a day trade": nothing
            unit = self._word(at + 1)
            counted = (
                self._word(at - 1) in OVER
                or self._word(at + 2) in ("of", "and", "ahead")
                or unit in ("fortnight", "decade")
            )
            if counted and len(unit) > 1 and unit in UNITS and self._word(at + 2) not in ("trade", "trader", "trading"):
                return 1.0, at + 1
            return None
        if word not in NUMBERS:
            return None
        amount, end = float(NUMBERS[word]), at + 1
        if 20 <= amount < 100 and self._word(end) in NUMBERS and 0 < NUMBERS[self._word(end)] < 10:
            amount, end = amount + NUMBERS[self._word(end)], end + 1
        elif amount < 10 and self._word(end) in ("hundred", "hundert", "cent"):
            amount, end = amount * 100, end + 1
        if tuple(self.words[end : end + 3]) == ("and", "a", "half"):
            return amount + 0.5, end + 3
        return amount, end

    def _han_amount(self, at: int) -> tuple[float, int, str, int] | None:
        text = "".join(self.words[at : at + 12])
        width: list[int] = []  # index of the token under each character
        for index in range(at, min(at + 12, len(self.words))):
            width.extend([index] * len(self.words[index]))
        digits = re.match(r"\d+(?:\.\d+)?", text)
        if digits:
            amount, used = float(digits[0]), digits.end()
        else:
            numeral = re.match(r"[一二两三四五六七八九十百]+", text)
            if not numeral:
                return None
            amount, used = float(_han_number(numeral[0])), numeral.end()
        extra = 0.0
        rest = text[used:]
        if rest.startswith(("个半", "年半")):
            extra, rest_unit = 0.5, rest.replace("半", "", 1)
        else:
            rest_unit = rest
        for name, minutes in sorted(HAN_UNITS, key=lambda pair: -len(pair[0])):
            if rest_unit.startswith(name):
                stop = used + len(name) + (1 if extra else 0)
                end = width[min(stop, len(width)) - 1] + 1
                return amount + extra, minutes, name, end
        return None

    # -- what a quantity means -----------------------------------------------------------------------------------------

    def _glued(self, at: int, end: int) -> bool:
        return end == at + 1 or self.tokens[end - 1].before in ("", "-")

    def _beside_bars(self, at: int, end: int) -> bool:
        after = self._word(end)
        if after in ("line", "price", "candle", "trading") and self._word(end + 1) in BARS:
            return True
        if after in BARS and not (after in ("data", "datos", "daten", "prices") and end - at > 1):
            return True
        before = self._word(at - 1)
        if before in ("de", "of", "a", "à", "von", "is", ":", "in", "en", "on", "("):
            before = self._word(at - 2)
        return before in BARS_BEFORE

    def _is_period_cue(self, at: int) -> bool:
        before = self._word(at - 1)
        return (
            before in PAST
            or before in FUTURE
            or before in ("over", "ago", "during", "pendant", "durante", "近", "来", "去")
        )

    def _is_future(self, at: int, end: int) -> bool:
        before = {self._word(at - 1), self._word(at - 2)}
        after = self._word(end)
        return (
            bool(before & FUTURE)
            or after
            in ("ahead", "out", "forward", "forecast", "horizon", "prediction", "predictions", "forecasts", "later")
            or (
                self._word(at - 1) == "in"
                and self._word(at - 2) not in ("data", "back")
                and after not in ("of", "data", "history")
            )
            or self._word(at - 1) in ("来", "horizon")
            or self._word(at + 1) in FUTURE
            or tuple(self.words[max(0, at - 3) : at]) in (("接", "下", "来"),)
        )

    def _is_indicator_length(self, at: int, end: int) -> bool:
        """The 200 days of a 200-day average: a property of the indicator, not a window."""
        if self._short_unit(at):
            return False
        after = self._word(end)
        if after in LENGTH_OF or self._word(end + 1) in ("average", "averages", "均"):
            return True
        if after in ("moving", "simple", "exponential", "rolling"):
            return self._word(end + 1) in ("average", "averages", "mean", "ma", "moving")
        if "INDICATOR" in self.concepts.get(end, frozenset()):
            return True
        before = self._word(at - 1)
        if before in ("of", "de", "a", "von", "(", "with"):
            return "INDICATOR" in self.concepts.get(at - 2, frozenset())
        return before in ("ma", "sma", "ema", "wma", "average")

    def _short_unit(self, at: int) -> bool:
        found = self._amount(at)
        return found is not None and (found[1] in (1, 60) or (found[0] == 1 and found[1] in (DAY, 7 * DAY)))

    def _short(self, minutes: float, at: int, end: int, *, glued: bool, name: str) -> None:
        """Minutes and hours: a bar size unless something says that they are a window."""
        timeframe = MINUTES_OF.get(int(minutes)) if minutes == int(minutes) else None
        bars = self._beside_bars(at, end)
        plural = name.endswith(("s", "n")) and name not in ("min", "mins", "hrs")
        cued = (
            self._word(at - 1) in PAST | FUTURE
            or self._word(at - 1) in ("within", "during", "过", "去", "来", "近")
            or self._word(end) in ("ahead", "horizon", "ago", "later")
            or (self._word(at - 1) == "in" and plural and not glued)
        )
        han = self.tokens[end - 1].kind == "ideograph"
        if timeframe and (
            bars or (not cued and (glued or han or not plural or self._word(at - 1) in ("on", "at", "en", "auf")))
        ):
            self.timeframes.append(TimeframeReading(timeframe, at, end))
        elif not bars and (cued or minutes > 240 or plural):
            self._add_period(math.ceil(minutes / DAY), at, end, future=self._is_future(at, end))

    def _long(self, amount: float, unit: int, at: int, end: int, *, name: str) -> None:
        minutes = amount * unit
        if minutes in (DAY, 7 * DAY) and unit in (DAY, 7 * DAY):
            timeframe = MINUTES_OF[int(minutes)]
            short = len(name) == 1
            han_line = self._word(end) in ("线", "k", "图")
            if han_line or self._beside_bars(at, end) or (short and end == at + 1 and not self._is_period_cue(at)
                                                          and self._word(at - 1) not in ("for", "in", "within", "next")):  # fmt: skip
                self.timeframes.append(TimeframeReading(timeframe, at, end))
                return
        if self._word(end) in ("线", "均") and self.tokens[end - 1].kind == "ideograph":
            return  # 20日线 is a moving average
        if self._word(end) == "old" or self._word(end) in ("candles", "bars", "kerzen", "velas", "bougies"):
            return
        if unit == 30 * DAY and amount == 12:
            days = 365.0
        elif unit == 365 * DAY and amount % 1:
            days = math.floor(amount) * 365 + (180 if amount % 1 == 0.5 else amount % 1 * 365)
        else:
            days = minutes / DAY
        self._add_period(days, at, end, future=self._is_future(at, end))

    def _adverb(self, at: int) -> int | None:
        """`daily`, `hourly`, `wöchentlich`: a bar size beside bars, models, indicators or right after a symbol."""
        word = self.words[at]
        timeframe = ADVERBS.get(word) or self._han_line(at)
        if timeframe is None:
            return None
        end = at + (1 if word in ADVERBS else self._han_length)
        before, after = self._word(at - 1), self._word(end)
        if after in ("line", "price", "candle", "trading") and self._word(end + 1) in BARS:
            after = self._word(end + 1)
        if word in ALWAYS_BARS or word not in ADVERBS:
            fits = True
        elif after in NOT_A_BAR_SIZE or before in FREQUENCY:
            fits = False
        elif after in BARS or before in BARS_BEFORE:
            fits = True
        elif self.retrains and not self._model_follows(end):
            fits = False
        elif (
            self.retrains
            or timeframe == "1h"
            or at in self.symbol_ends
            or (
                before
                in (
                    "the",
                    "on",
                    "a",
                    "en",
                    "auf",
                    "im",
                    "am",
                    "el",
                    "le",
                    "sur",
                    "at",
                    "using",
                    "with",
                    "for",
                )
                and (
                    after in ("", "?", ".", ",", "!", ")", ";", "time", "and", "or", "y", "und", "et")
                    or self._word(end) in ("for",)
                )
            )
        ):
            fits = True
        else:
            following = self.concepts.get(end, frozenset())
            fits = bool(following & {"MODEL", "INDICATOR"}) or self._is_model(end)
        if fits:
            self.timeframes.append(TimeframeReading(timeframe, at, end))
        return end

    def _model_follows(self, at: int) -> bool:
        return any(
            "MODEL" in self.concepts.get(index, frozenset()) or self._is_model(index) for index in range(at, at + 3)
        )

    def _is_model(self, at: int) -> bool:
        return at < len(self.words) and model_names().longest(self.words, at)[0] > 0

    _han_length = 0

    def _han_line(self, at: int) -> Timeframe | None:
        """日线, 周K, 小时线."""
        if self.tokens[at].kind != "ideograph":
            return None
        text = "".join(self.words[at : at + 4])
        lines: tuple[tuple[str, Timeframe], ...] = (
            ("小时线", "1h"),
            ("小时k", "1h"),
            ("日线", "1d"),
            ("日k", "1d"),
            ("周线", "1w"),
            ("周k", "1w"),
        )
        for name, timeframe in lines:
            if text.startswith(name) and not (at and self.words[at - 1][-1].isdecimal()):
                self._han_length = len(name)
                return timeframe
        return None

    # -- dates ---------------------------------------------------------------------------------------------------------

    def _date_range(self, at: int) -> int | None:
        found = self.dates.range_at(at)
        if found is None:
            return None
        days, end = found
        self._add_period(days, at, end, future=False)
        self.dated.append((at, end))
        return end

    def _year_alone(self, at: int) -> int | None:
        end = self.dates.year_at(at)
        if end is not None:
            self.dated.append((at, end))
        return end


def _number(text: str) -> float:
    # "1,000" is a thousand, "1,5" one and a half
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+", text):
        return float(text.replace(",", ""))
    return min(float(text.replace(",", ".")), 1e9)


def _han_number(text: str) -> int:
    total, digit = 0, 0
    for character in text:
        if character == "百":
            total, digit = total + (digit or 1) * 100, 0
        elif character == "十":
            total, digit = total + (digit or 1) * 10, 0
        else:
            digit = HAN_DIGITS[character]
    return total + digit
