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
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

from evolve.language.lexicon import Mark, PhraseIndex, model_names, table, words_of
from evolve.language.text import Token

if TYPE_CHECKING:  # the market's types import pydantic, which would triple the load time of a parse
    from evolve.market.types import Timeframe

LONGEST_PERIOD_DAYS = 36_500  # a century: more is a slip or a joke, not a window

_MINUTES_OF: dict[int, Timeframe] = {
    1: "1m", 5: "5m", 15: "15m", 30: "30m", 60: "1h", 240: "4h", 1440: "1d", 10_080: "1w",
}  # fmt: skip
_DAY = 1440


def _by_word(listing: dict[int, str]) -> dict[str, int]:
    return {word: value for value, words in listing.items() for word in words.split()}


# Minutes in each unit.
_UNITS = _by_word(
    {
        1: "minute minutes min mins minuto minutos minuten",
        60: "hour hours hr hrs h hora horas stunde stunden std heure heures ora ore",
        _DAY: "day days d dia dias tag tage tagen jour jours giorno giorni dag dagen session sessions",
        7 * _DAY: "week weeks wk wks w semana semanas woche wochen semaine semaines settimana settimane weken",
        14 * _DAY: "fortnight fortnights",
        30
        * _DAY: "month months mo mos mth mths mon mes meses monat monate monaten monats mois mese mesi maand maanden",
        90 * _DAY: "quarter quarters qtr qtrs trimestre trimestres quartal quartale quartalen",
        365 * _DAY: "year years yr yrs y ano anos jahr jahre jahren jahres an ans annee annees anno anni jaar",
        3650 * _DAY: "decade decades decada decadas jahrzehnt jahrzehnte jahrzehnten decennie decennies",
    }
)
_SUFFIXES = _UNITS | {"m": 0}  # `15m` minutes or `6m` months: decided by the value
_HAN_UNITS = (
    ("分钟", 1), ("小时", 60), ("个小时", 60), ("钟头", 60), ("天", _DAY), ("日", _DAY), ("个交易日", _DAY), ("交易日", _DAY),
    ("周", 7 * _DAY), ("个星期", 7 * _DAY), ("星期", 7 * _DAY), ("个礼拜", 7 * _DAY), ("礼拜", 7 * _DAY),
    ("个月", 30 * _DAY), ("月", 30 * _DAY), ("个季度", 90 * _DAY), ("季度", 90 * _DAY), ("年", 365 * _DAY), ("分", 1),
)  # fmt: skip
_NUMBERS = _by_word(
    {
        1: "one uno una un ein eine einen einem einer une",
        2: "two dos zwei deux due",
        3: "three tres drei trois tre",
        4: "four cuatro vier quatre quattro",
        5: "five cinco funf fuenf cinq cinque",
        6: "six seis sechs sei",
        7: "seven siete sieben sept sette",
        8: "eight ocho acht huit otto",
        9: "nine nueve neun neuf nove",
        10: "ten diez zehn dix dieci",
        11: "eleven elf onze",
        12: "twelve dozen doce zwolf zwoelf douze dodici",
        13: "thirteen trece dreizehn treize",
        14: "fourteen catorce vierzehn quatorze",
        15: "fifteen quince funfzehn quinze",
        16: "sixteen dieciseis sechzehn seize",
        17: "seventeen",
        18: "eighteen dieciocho achtzehn",
        19: "nineteen",
        20: "twenty veinte zwanzig vingt venti",
        24: "veinticuatro vierundzwanzig",
        30: "thirty treinta dreissig trente trenta",
        40: "forty cuarenta vierzig quarante",
        50: "fifty cincuenta funfzig cinquante",
        60: "sixty sesenta sechzig soixante",
        70: "seventy setenta siebzig",
        80: "eighty ochenta achtzig",
        90: "ninety noventa neunzig",
        100: "hundred cien hundert cent",
    }
)
_HAN_DIGITS = {"一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}

_BARS = frozenset(
    """bar bars candle candles candlestick candlesticks chart charts timeframe timeframes tf interval intervals resolution data
    kline klines ohlc ohlcv granularity closes prices graph basis
    velas vela grafico grafica temporalidad marco intervalo datos kerze kerzen kerzenchart chart diagramm zeitrahmen zeiteinheit
    intervall daten bougie bougies graphique chandeliers intervalle k 线 图 级 周期""".split()
)
_BARS_BEFORE = frozenset(
    """timeframe tf interval resolution granularity candles bars chart candlesticks klines velas vela grafico temporalidad kerzen
    chart zeitrahmen intervall bougies bougie graphique chandeliers periodo unite""".split()
)
_PAST = frozenset(
    """last past previous prior trailing recent within recently
    ultimo ultimos ultima ultimas pasado pasados pasadas letzte letzten letzter letztes vergangene vergangenen vergangener
    dernier derniers derniere dernieres""".split()
)
_FUTURE = frozenset(
    """next coming upcoming following ahead forward
    proximo proximos proxima proximas siguiente siguientes nachste nachsten nachster nachstes naechste naechsten naechster
    kommende kommenden kommender prochain prochains prochaine prochaines 未 来""".split()
)
_THIS = frozenset(
    """this current esta este actual diese diesen dieser dieses diesem aktuelle aktuellen laufenden cette ce cet""".split()
)
_OVER = frozenset(
    "over for during in of than within about around last past next sobre durante por en fur uber wahrend seit in sur pendant "
    "depuis dans horizon".split()
)
_BEFORE_A_YEAR = frozenset("in since during until before after en desde durante depuis seit".split())
_FREQUENCY = frozenset("every each per cada alle jede jeden jedes chaque toutes tous 每".split())
_LENGTH_OF = frozenset(
    """average averages mean ma ema sma wma rsi atr high low highs lows period lookbacks momentum line linie media movil moyenne
    breakout breakouts donchian bollinger vwap macd 均 均线""".split()
)
_ADVERBS: dict[str, Timeframe] = {
    **dict.fromkeys(
        "hourly horario horaria horarias horarios stundlich stundliche stundlichen horaire horaires".split(), "1h"
    ),
    **dict.fromkeys("stundenkerzen stundenchart stundenbasis stundendaten".split(), "1h"),
    **dict.fromkeys(
        """daily diario diaria diarias diarios taglich tagliche taglichen quotidien quotidienne quotidiennes quotidiens journalier
        journaliere journalieres journaliers""".split(),
        "1d",
    ),
    **dict.fromkeys("tageskerzen tageschart tagesbasis tagesdaten".split(), "1d"),
    **dict.fromkeys(
        "weekly semanal semanales wochentlich wochentliche wochentlichen hebdomadaire hebdomadaires".split(), "1w"
    ),
    **dict.fromkeys("wochenkerzen wochenchart wochenbasis wochendaten".split(), "1w"),
}
_ALWAYS_BARS = frozenset(
    """stundenkerzen stundenchart stundenbasis stundendaten tageskerzen tageschart tagesbasis tagesdaten wochenkerzen wochenchart
    wochenbasis wochendaten""".split()
)
_NOT_A_BAR_SIZE = frozenset(
    """report reports refresh returns return update updates summary digest email newsletter schedule retraining briefing alert
    alerts table pnl routine brief retrain recap job cron basis loss limit news move moves range""".split()
)
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan enero januar janvier",
            "february feb febrero februar fevrier",
            "march mar marzo marz maerz mars",
            "april apr abril avril",
            "may mayo mai",
            "june jun junio juni juin",
            "july jul julio juli juillet",
            "august aug agosto aout",
            "september sep sept septiembre septembre",
            "october oct octubre oktober octobre okt",
            "november nov noviembre novembre",
            "december dec diciembre dezember decembre dez",
        ),
        start=1,
    )
    for name in names.split()
}
_FRENCH = frozenset("le la les l du des a t est il elle pourquoi comment quel quelle chute avec et sur depuis".split())
_RANGE = frozenset("to until till through thru and - bis und hasta a y au jusqu et 到 至 ~".split())
_SUFFIXED = re.compile(r"(\d+(?:[.,]\d+)?)([a-z]+)")


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
        return at < 2 or self._word(at - 2) in _OVER

    # -- relative words ------------------------------------------------------------------------------------------------

    def _phrase(self, at: int) -> int | None:
        if self.words[at] == "hier" and not _FRENCH.isdisjoint(self.words):  # here in German, yesterday in French
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
                          & set(self.words[at : at + length])) or self._word(at - 1) in _FUTURE  # fmt: skip
            self._add_period(values[0], at, at + length, future=future)
        return at + length

    def _relative(self, at: int) -> int | None:
        """`last quarter`, `diese Woche`, `cette semaine`."""
        word = self.words[at]
        if word not in _PAST and word not in _FUTURE and word not in _THIS:
            return None
        half = self._word(at + 1) == "half"
        unit_at = at + 2 if half else at + 1
        unit = _UNITS.get(self._word(unit_at), 0)
        # "this day" and "next d" are not said; "last hour" is.
        if unit < 60 or len(self._word(unit_at)) < 2 or self._word(unit_at) in ("min", "session", "sessions", "mon"):
            return None
        if word in _THIS and unit < 7 * _DAY:
            return None
        if self._word(unit_at) == "week" and self._word(unit_at + 1) in ("high", "low"):
            return None
        self._add_period(math.ceil(unit / _DAY) * (0.5 if half else 1), at, unit_at + 1, future=word in _FUTURE)
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
                else 30 * _DAY
            )
            if unit == 1 and self._word(at - 1) in _PAST | _FUTURE and amount in (1,):
                unit = 30 * _DAY
            if self.tokens[at].text.endswith("M") and not self._beside_bars(at, end) and amount != 15:
                unit = 30 * _DAY
        if self._word(at - 1) in _FREQUENCY or (self._word(at - 2) in _FREQUENCY and self._word(at - 1) in ("other",)):
            return end
        if self._is_indicator_length(at, end):
            return end
        if unit < _DAY:
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
        minutes = int(number.folded) * {"m": 1, "h": 60, "d": _DAY, "w": 7 * _DAY}[self.words[at]]
        if minutes not in _MINUTES_OF:
            return None
        self.timeframes.append(TimeframeReading(_MINUTES_OF[minutes], at, at + 2))
        return at + 2

    def _amount(self, at: int) -> tuple[float, int, str, int] | None:
        """Amount, minutes per unit, unit as written, and the index behind; None where no quantity of time begins."""
        token = self.tokens[at]
        suffixed = _SUFFIXED.fullmatch(token.folded) if token.kind == "number" else None
        if suffixed and suffixed[2] in _SUFFIXES:
            return _number(suffixed[1]), _SUFFIXES[suffixed[2]], suffixed[2], at + 1
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
        if self._word(end) in _PAST or self._word(end) in _FUTURE:
            end += 1
        name = self._word(end)
        if name not in _SUFFIXES or end >= len(self.tokens) or self.tokens[end].is_clitic:
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
                return amount + 0.5, _SUFFIXES[name], name, end + len(tail)
        return amount, _SUFFIXES[name], name, end

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
                self._word(at - 1) in _OVER
                or self._word(at + 2) in ("of", "and", "ahead")
                or unit in ("fortnight", "decade")
            )
            if (
                counted
                and len(unit) > 1
                and unit in _UNITS
                and self._word(at + 2) not in ("trade", "trader", "trading")
            ):
                return 1.0, at + 1
            return None
        if word not in _NUMBERS:
            return None
        amount, end = float(_NUMBERS[word]), at + 1
        if 20 <= amount < 100 and self._word(end) in _NUMBERS and 0 < _NUMBERS[self._word(end)] < 10:
            amount, end = amount + _NUMBERS[self._word(end)], end + 1
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
        for name, minutes in sorted(_HAN_UNITS, key=lambda pair: -len(pair[0])):
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
        if after in ("line", "price", "candle", "trading") and self._word(end + 1) in _BARS:
            return True
        if after in _BARS and not (after in ("data", "datos", "daten", "prices") and end - at > 1):
            return True
        before = self._word(at - 1)
        if before in ("de", "of", "a", "à", "von", "is", ":", "in", "en", "on", "("):
            before = self._word(at - 2)
        return before in _BARS_BEFORE

    def _is_period_cue(self, at: int) -> bool:
        before = self._word(at - 1)
        return (
            before in _PAST
            or before in _FUTURE
            or before in ("over", "ago", "during", "pendant", "durante", "近", "来", "去")
        )

    def _is_future(self, at: int, end: int) -> bool:
        before = {self._word(at - 1), self._word(at - 2)}
        after = self._word(end)
        return (
            bool(before & _FUTURE)
            or after
            in ("ahead", "out", "forward", "forecast", "horizon", "prediction", "predictions", "forecasts", "later")
            or (
                self._word(at - 1) == "in"
                and self._word(at - 2) not in ("data", "back")
                and after not in ("of", "data", "history")
            )
            or self._word(at - 1) in ("来", "horizon")
            or self._word(at + 1) in _FUTURE
            or tuple(self.words[max(0, at - 3) : at]) in (("接", "下", "来"),)
        )

    def _is_indicator_length(self, at: int, end: int) -> bool:
        """The 200 days of a 200-day average: a property of the indicator, not a window."""
        if self._short_unit(at):
            return False
        after = self._word(end)
        if after in _LENGTH_OF or self._word(end + 1) in ("average", "averages", "均"):
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
        return found is not None and (found[1] in (1, 60) or (found[0] == 1 and found[1] in (_DAY, 7 * _DAY)))

    def _short(self, minutes: float, at: int, end: int, *, glued: bool, name: str) -> None:
        """Minutes and hours: a bar size unless something says that they are a window."""
        timeframe = _MINUTES_OF.get(int(minutes)) if minutes == int(minutes) else None
        bars = self._beside_bars(at, end)
        plural = name.endswith(("s", "n")) and name not in ("min", "mins", "hrs")
        cued = (
            self._word(at - 1) in _PAST | _FUTURE
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
            self._add_period(math.ceil(minutes / _DAY), at, end, future=self._is_future(at, end))

    def _long(self, amount: float, unit: int, at: int, end: int, *, name: str) -> None:
        minutes = amount * unit
        if minutes in (_DAY, 7 * _DAY) and unit in (_DAY, 7 * _DAY):
            timeframe = _MINUTES_OF[int(minutes)]
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
        if unit == 30 * _DAY and amount == 12:
            days = 365.0
        elif unit == 365 * _DAY and amount % 1:
            days = math.floor(amount) * 365 + (180 if amount % 1 == 0.5 else amount % 1 * 365)
        else:
            days = minutes / _DAY
        self._add_period(days, at, end, future=self._is_future(at, end))

    def _adverb(self, at: int) -> int | None:
        """`daily`, `hourly`, `wöchentlich`: a bar size beside bars, models, indicators or right after a symbol."""
        word = self.words[at]
        timeframe = _ADVERBS.get(word) or self._han_line(at)
        if timeframe is None:
            return None
        end = at + (1 if word in _ADVERBS else self._han_length)
        before, after = self._word(at - 1), self._word(end)
        if after in ("line", "price", "candle", "trading") and self._word(end + 1) in _BARS:
            after = self._word(end + 1)
        if word in _ALWAYS_BARS or word not in _ADVERBS:
            fits = True
        elif after in _NOT_A_BAR_SIZE or before in _FREQUENCY:
            fits = False
        elif after in _BARS or before in _BARS_BEFORE:
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

    # -- date ranges ---------------------------------------------------------------------------------------------------

    def _date_range(self, at: int) -> int | None:
        if self.tokens[at].kind == "mark":
            return None
        first = self._date(at)
        if first is None:
            return None
        start, middle = first
        joined = middle < len(self.tokens) and self.tokens[middle].before == "-"
        connector = middle
        if not joined:
            if self._word(middle) not in _RANGE:
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
        self._add_period((finish - begin).days, at, end, future=False)
        self.dated.append((at, end))
        return end

    def _year_alone(self, at: int) -> int | None:
        """`in 2008`, `since 2005`, `during 2010`: dates, and no length that could be counted back from the last bar."""
        if self._word(at) not in _BEFORE_A_YEAR or self._year(at + 1) is None:
            return None
        self.dated.append((at, at + 2))
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
            if 1 <= value <= 31 and self._word(month_at) in _MONTHS:
                after = month_at + 1
                if self._word(after) in ("de", ",", "of"):
                    after += 1
                year = self._year(after)
                return _checked(year, _MONTHS[self._word(month_at)], value, after + 1 if year else month_at + 1)
            if len(number[1]) == 4 and 1950 <= value <= 2100 and number[0] == number[1]:
                return (value, 1, 1), at + 1
            return None
        month = _MONTHS.get(self.words[at])
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
            digit = _HAN_DIGITS[character]
    return total + digit


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
