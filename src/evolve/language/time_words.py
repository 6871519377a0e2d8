"""Which words and signs speak of time? Units, numbers, months and what stands beside them, in five languages, folded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the market's types import pydantic, which would triple the load time of a parse
    from evolve.market.types import Timeframe

MINUTES_OF: dict[int, Timeframe] = {
    1: "1m", 5: "5m", 15: "15m", 30: "30m", 60: "1h", 240: "4h", 1440: "1d", 10_080: "1w",
}  # fmt: skip
DAY = 1440


def by_word(listing: dict[int, str]) -> dict[str, int]:
    return {word: value for value, words in listing.items() for word in words.split()}


# Minutes in each unit.
UNITS = by_word(
    {
        1: "minute minutes min mins minuto minutos minuten",
        60: "hour hours hr hrs h hora horas stunde stunden std heure heures ora ore",
        DAY: "day days d dia dias tag tage tagen jour jours giorno giorni dag dagen session sessions",
        7 * DAY: "week weeks wk wks w semana semanas woche wochen semaine semaines settimana settimane weken",
        14 * DAY: "fortnight fortnights",
        30 * DAY: "month months mo mos mth mths mon mes meses monat monate monaten monats mois mese mesi maand maanden",
        90 * DAY: "quarter quarters qtr qtrs trimestre trimestres quartal quartale quartalen",
        365 * DAY: "year years yr yrs y ano anos jahr jahre jahren jahres an ans annee annees anno anni jaar",
        3650 * DAY: "decade decades decada decadas jahrzehnt jahrzehnte jahrzehnten decennie decennies",
    }
)
SUFFIXES = UNITS | {"m": 0}  # `15m` minutes or `6m` months: decided by the value
HAN_UNITS = (
    ("分钟", 1), ("小时", 60), ("个小时", 60), ("钟头", 60), ("天", DAY), ("日", DAY), ("个交易日", DAY), ("交易日", DAY),
    ("周", 7 * DAY), ("个星期", 7 * DAY), ("星期", 7 * DAY), ("个礼拜", 7 * DAY), ("礼拜", 7 * DAY),
    ("个月", 30 * DAY), ("月", 30 * DAY), ("个季度", 90 * DAY), ("季度", 90 * DAY), ("年", 365 * DAY), ("分", 1),
)  # fmt: skip
NUMBERS = by_word(
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
HAN_DIGITS = {"一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}

BARS = frozenset(
    """bar bars candle candles candlestick candlesticks chart charts timeframe timeframes tf interval intervals resolution data
    kline klines ohlc ohlcv granularity closes prices graph basis
    velas vela grafico grafica temporalidad marco intervalo datos kerze kerzen kerzenchart chart diagramm zeitrahmen zeiteinheit
    intervall daten bougie bougies graphique chandeliers intervalle k 线 图 级 周期""".split()
)
BARS_BEFORE = frozenset(
    """timeframe tf interval resolution granularity candles bars chart candlesticks klines velas vela grafico temporalidad kerzen
    chart zeitrahmen intervall bougies bougie graphique chandeliers periodo unite""".split()
)
PAST = frozenset(
    """last past previous prior trailing recent within recently
    ultimo ultimos ultima ultimas pasado pasados pasadas letzte letzten letzter letztes vergangene vergangenen vergangener
    dernier derniers derniere dernieres""".split()
)
FUTURE = frozenset(
    """next coming upcoming following ahead forward
    proximo proximos proxima proximas siguiente siguientes nachste nachsten nachster nachstes naechste naechsten naechster
    kommende kommenden kommender prochain prochains prochaine prochaines 未 来""".split()
)
THIS = frozenset(
    """this current esta este actual diese diesen dieser dieses diesem aktuelle aktuellen laufenden cette ce cet""".split()
)
OVER = frozenset(
    "over for during in of than within about around last past next sobre durante por en fur uber wahrend seit in sur pendant "
    "depuis dans horizon".split()
)
BEFORE_A_YEAR = frozenset("in since during until before after en desde durante depuis seit".split())
FREQUENCY = frozenset("every each per cada alle jede jeden jedes chaque toutes tous 每".split())
LENGTH_OF = frozenset(
    """average averages mean ma ema sma wma rsi atr high low highs lows period lookbacks momentum line linie media movil moyenne
    breakout breakouts donchian bollinger vwap macd 均 均线""".split()
)
ADVERBS: dict[str, Timeframe] = {
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
ALWAYS_BARS = frozenset(
    """stundenkerzen stundenchart stundenbasis stundendaten tageskerzen tageschart tagesbasis tagesdaten wochenkerzen wochenchart
    wochenbasis wochendaten""".split()
)
NOT_A_BAR_SIZE = frozenset(
    """report reports refresh returns return update updates summary digest email newsletter schedule retraining briefing alert
    alerts table pnl routine brief retrain recap job cron basis loss limit news move moves range""".split()
)
MONTHS = {
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
FRENCH = frozenset("le la les l du des a t est il elle pourquoi comment quel quelle chute avec et sur depuis".split())
RANGE = frozenset("to until till through thru and - bis und hasta a y au jusqu et 到 至 ~".split())
SUFFIXED = re.compile(r"(\d+(?:[.,]\d+)?)([a-z]+)")
