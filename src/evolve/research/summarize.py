"""What does a text claim, on which data, by which method, with which figures? Its own sentences, found by their words; offline.

Nothing is rephrased, so nothing can be invented: each point is a sentence of the text, each figure has the sentence that holds it. What
is found is what the authors say, not what is true.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evolve.evidence import Evidence, EvidenceBook, Unit
from evolve.findings import PaperSummary, Quote
from evolve.research.text import Reading, addressed_to_machines, sentences
from evolve.research.topics import tag_of

MAX_QUOTES = 5
MAX_FIGURES = 20
About = Literal["claim", "data", "method", "caveat"]

CUES: dict[About, str] = {
    "claim": r"\b(we (show|find|document|demonstrate|report|achieve)|outperform\w*|results? (show|suggest|indicate)|achiev\w+|generat\w+ (significant|abnormal|positive)|profitab\w+|earn\w*|yields? (a|an)|beats?|improves?|predict\w+ power|sharpe)\b",
    "data": r"\b(data ?sets?|data|samples?|from (19|20)\d\d|between (19|20)\d\d|(19|20)\d\d\s*(-|–|to|and|through)\s*(19|20)?\d\d|s&p|nasdaq|nyse|dow jones|crsp|futures|stocks|equities|cryptocurrenc\w+|bitcoin|daily|intraday|hourly|minute)\b",
    "method": r"\b(we (use|propose|apply|employ|develop|construct|train|test|buy|sell|go long|form)|strategy|strategies|signal|rule|algorithm|model|approach|method\w*|moving averages?|regression|portfolios? (is|are)|long (when|if)|buys? when|rebalanc\w+)\b",
    "caveat": r"\b(however|limitations?|caveats?|transaction costs?|trading costs?|slippage|short[- ]sell\w* (constraints?|costs?)|overfit\w*|data[- ]snooping|in[- ]sample|out[- ]of[- ]sample|survivorship|robust\w*|decay\w*|not (significant|robust)|past performance|withdrawn)\b",
}  # fmt: skip

NUMBER = r"(?P<n>[-−]?\d{1,4}(?:[.,]\d+)?)"
SHARE = NUMBER + r"\s?(?:%|per ?cent\b|percent\b)"
YEARLY = r"(?:per (?:year|annum)|a year|annually|annuali[sz]ed|yearly|p\.a\.?)"


@dataclass(frozen=True, slots=True)
class _Figure:
    """How a figure is stated. largest: beyond it, the number is something else (a year, a count)."""

    name: str
    unit: Unit
    pattern: re.Pattern[str]
    largest: float


def _figure(name: str, unit: Unit, pattern: str, largest: float) -> _Figure:
    return _Figure(name, unit, re.compile(pattern, re.IGNORECASE), largest)


GAP = r"[^.;%\d]{0,60}?"
FIGURES = (
    _figure("sharpe", "ratio", rf"\bsharpe(?: ratios?)?\b{GAP}{NUMBER}(?![\d.]*\s?%)", 20),
    _figure("sharpe", "ratio", rf"(?<![\d.]){NUMBER} sharpe\b", 20),
    _figure("sortino", "ratio", rf"\bsortino(?: ratios?)?\b{GAP}{NUMBER}(?![\d.]*\s?%)", 50),
    _figure("annual_return", "fraction", rf"{SHARE}\s+(?:(?:excess |abnormal )?returns? )?{YEARLY}", 10_000),
    _figure("annual_return", "fraction", rf"\b(?:annual(?:i[sz]ed)?|yearly|cagr)\b(?: (?:excess|average|mean|net|gross))?(?: returns?| growth(?: rate)?)?\b(?! volatil){GAP}{SHARE}", 10_000),
    _figure("monthly_return", "fraction", rf"{SHARE}\s+(?:per|a|each) month", 1000),
    _figure("drawdown", "fraction", rf"\bdraw-?downs?\b{GAP}{SHARE}", 100),
    _figure("volatility", "fraction", rf"\bvolatility of{GAP}{SHARE}", 1000),
    _figure("win_rate", "fraction", rf"\b(?:win|hit)(?:ning)?[- ](?:rates?|ratios?)\b{GAP}{SHARE}", 100),
    _figure("accuracy", "fraction", rf"\baccurac(?:y|ies)\b{GAP}{SHARE}", 100),
    _figure("alpha", "fraction", rf"\balphas?\b{GAP}{SHARE}", 1000),
    _figure("t_statistic", "ratio", rf"\bt[- ]?(?:stat(?:istic)?s?|values?)\b{GAP}{NUMBER}(?![\d.]*\s?%)", 200),
)  # fmt: skip
NET = re.compile(r"\b(net of|after|including|accounting for) (all |realistic |transaction |trading |the )*(costs?|fees|slippage)\b|\bnet (returns?|sharpe)\b", re.IGNORECASE)  # fmt: skip
GROSS = re.compile(r"\b(before|without|excluding|ignoring|gross of|no) (any |all |transaction |trading )*(costs?|fees|slippage)\b|\bgross (returns?|sharpe)\b", re.IGNORECASE)  # fmt: skip
# What others found, or what it is compared with, is no claim of this text.
FOREIGN = re.compile(
    r"\b(buy[- ]and[- ]hold|benchmark|baseline|compared (to|with)|versus|vs\.?|relative to|than)\b[^.]*$", re.IGNORECASE
)


def summarize(reading: Reading, *, title: str, url: str, as_of: str, licence: str = "") -> PaperSummary:
    """The points and figures of a text, at most five sentences of each kind, in its own order.

    as_of: ISO date of the text; url: empty for text that somebody gave.
    """
    everything = sentences(reading.text)
    own = [sentence for sentence in everything if not addressed_to_machines(sentence)]
    notes = []
    if len(own) < len(everything):
        left_out = len(everything) - len(own)
        notes.append(
            f"{left_out} {'sentence speaks' if left_out == 1 else 'sentences speak'} to whoever processes the text instead of about its subject: left out"
        )
    source = url or "text given by the asker"
    return PaperSummary(
        title=title or reading.title or "untitled",
        url=url,
        read=reading.kind,
        as_of=as_of,
        source=source,
        tag=tag_of(f"{title} {reading.title} {reading.text[:20_000]}"),
        licence=licence or reading.licence or "none stated",
        claims=_quotes("claim", own),
        data=_quotes("data", own),
        method=_quotes("method", own),
        caveats=_quotes("caveat", own),
        claimed=tuple(_figures(own, title or reading.title or "this text", source, as_of)),
        notes=(*notes, *(("it states no figure of performance that we can read",) if not _any_figure(own) else ())),
    )


def _quotes(about: About, own: list[str]) -> tuple[Quote, ...]:
    """The sentences with most cues of a kind, first come first among equals, in the order of the text."""
    scored = [(len({m.group(0).casefold() for m in re.finditer(CUES[about], each, re.IGNORECASE)}), -at) for at, each in enumerate(own)]  # fmt: skip
    best = sorted((pair for pair in scored if pair[0] > 0), reverse=True)[:MAX_QUOTES]
    return tuple(Quote(about, own[at]) for at in sorted(-negative for _, negative in best))


def _any_figure(own: list[str]) -> bool:
    return any(_value(figure, match) is not None for sentence in own for figure in FIGURES for match in figure.pattern.finditer(sentence))  # fmt: skip


def _figures(own: list[str], of: str, source: str, as_of: str) -> list[Evidence]:
    book = EvidenceBook()
    seen: set[tuple[str, float]] = set()
    for sentence in own:
        for figure in FIGURES:
            for match in figure.pattern.finditer(sentence):
                value = _value(figure, match)
                if value is None or (figure.name, value) in seen or len(book) == MAX_FIGURES:
                    continue
                seen.add((figure.name, value))
                note = _costs_said(sentence)
                if FOREIGN.search(sentence[max(0, match.start() - 60) : match.start("n")]):
                    note = f"{note}; stated of something it is compared with"
                book.add(
                    figure.name, of, value, figure.unit, as_of=as_of, source=source, computed=f"stated, not tested: “{sentence}”", note=note
                )  # fmt: skip
    return list(book)


def _value(figure: _Figure, match: re.Match[str]) -> float | None:
    number = float(match.group("n").replace("−", "-").replace(",", "."))
    if abs(number) > figure.largest or (figure.unit == "ratio" and number == int(number) and 1900 <= number <= 2100):
        return None
    if figure.name == "drawdown":
        number = -abs(number)  # as everywhere here: a loss is negative
    return round(number / 100, 10) if figure.unit == "fraction" else number


def _costs_said(sentence: str) -> str:
    if NET.search(sentence):
        return "stated net of costs"
    if GROSS.search(sentence):
        return "stated before costs"
    return "the sentence does not say whether costs are in it"


FIGURE_NAMES = tuple(dict.fromkeys(figure.name for figure in FIGURES))


# What a sentence must say besides a number, for the number to be this figure.
SPOKEN_OF = {
    "sharpe": r"\bsharpe\b", "sortino": r"\bsortino\b", "annual_return": rf"\breturns?\b.*{YEARLY}|{YEARLY}.*\breturns?\b|\bannual returns?\b|\bcagr\b",
    "monthly_return": r"\bmonth", "drawdown": r"\bdraw-?downs?\b", "volatility": r"\bvolatility\b", "win_rate": r"\b(win|hit)",
    "accuracy": r"\baccura", "alpha": r"\balphas?\b", "t_statistic": r"\bt[- ]?(stat|value)",
}  # fmt: skip


def why_not_stated(name: str, sentence: str, words: str) -> str:
    """Why these words of a sentence do not state a figure of this name, as a sentence; empty where they do."""
    spoken, said = " ".join(sentence.split()), " ".join(words.split())
    # Whole words, so that a part of a number, or one without its sign or its unit, is none.
    whole = rf"(?<![\w.,−-]){re.escape(said)}(?!\w|[.,]\d|\s?%|\s?per ?cent)"
    if not said or re.search(whole, spoken) is None:
        return f"“{words[:80]}” does not stand in that sentence"
    if name not in FIGURE_NAMES:
        return f"{name[:40]!r} is none of the names {', '.join(FIGURE_NAMES)}"
    if not re.search(SPOKEN_OF[name], spoken, re.IGNORECASE):
        return f"the sentence does not speak of {name.replace('_', ' ')}"
    if _pointed_value(name, said) is None:
        return f"“{said[:80]}” does not hold exactly one number that can be a {name}, with its unit"
    return ""


def with_figures(summary: PaperSummary, pointed_at: Sequence[tuple[str, str, str]], by: str) -> PaperSummary:
    """The summary with figures that somebody pointed at: name, sentence, words. Each must have passed `why_not_stated`."""
    book = EvidenceBook()
    found = [book.adopt(each) for each in summary.claimed]
    known = {(each.name, each.value) for each in found}
    for name, sentence, words in pointed_at:
        value = _pointed_value(name, " ".join(words.split()))
        if value is None or (name, value) in known:
            continue
        known.add((name, value))
        unit = next(figure.unit for figure in FIGURES if figure.name == name)
        found.append(book.add(
            name, summary.title, value, unit, as_of=summary.as_of, source=summary.source,
            computed=f"stated, not tested: “{' '.join(sentence.split())}”", note=f"{_costs_said(sentence)}; pointed at by {by}",
        ))  # fmt: skip
    return replace(summary, claimed=tuple(found))


def _pointed_value(name: str, words: str) -> float | None:
    """The one number of the words, as the figure counts it; None where there are none or several, or the unit is another."""
    numbers = list(re.finditer(NUMBER, words))
    figure = next(figure for figure in FIGURES if figure.name == name)
    share = re.search(SHARE, words, re.IGNORECASE) is not None
    if len(numbers) != 1 or share != (figure.unit == "fraction"):
        return None
    return _value(figure, numbers[0])


def own_claims(summary: PaperSummary) -> tuple[Evidence, ...]:
    """The figures that the text states of its own strategy."""
    return tuple(each for each in summary.claimed if "compared with" not in each.note)
