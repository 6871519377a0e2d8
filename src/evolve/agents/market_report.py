"""How is a symbol doing, and which of several did best? Answers from the bars alone: nothing is built or forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evolve.agents.answer import write_answer
from evolve.agents.market_analyst import correlations, describe, rank_symbols, regime
from evolve.agents.question import Question, load
from evolve.cards import AnswerCard, Curve, RankedRow
from evolve.clock import Clock
from evolve.errors import InvalidRequest
from evolve.evidence import EvidenceBook
from evolve.language import commentary
from evolve.language.gazetteer import gazetteer
from evolve.market.bars import Bars
from evolve.market.catalog import Catalog, data_card
from evolve.market.types import period_days


class MarketReport:
    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock

    def describe(self, question: Question) -> AnswerCard:
        if question.symbol is None:
            return self.cross_section(question)
        if len(question.symbols) > 1:
            named = [load(question, self._catalog, symbol) for symbol in question.symbols]
            return self._side_by_side(question, named, "Only the symbols named are ranked")
        bars = load(question, self._catalog)
        book = EvidenceBook()
        found = describe(bars, period_days(question.period), book)
        trend, volatility = regime(found)
        data = data_card(bars, self._clock.now())
        adjusted = any(note.startswith("prices are adjusted") for note in data.notes)
        said = [
            *commentary.on_market(bars.symbol, found, trend, volatility, adjusted=adjusted),
            *commentary.on_correlations(bars.symbol, correlations(bars, self._beside(bars), book)),
            *commentary.on_data(data)[:1],
        ]
        if data.status == "stale":
            said[0] = f"As of {data.last}: {said[0]}"
        if bars.simulated:
            said[0] = f"SIMULATED, no view on the real {bars.symbol}: {said[0]}"
        row = RankedRow(1, bars.symbol, "baseline", None, found)
        return self._answer(
            question,
            said[0],
            said[1:],
            rows=(row,),
            figures=tuple(book),
            data=(data,),
            curves=(_price_curve(bars, period_days(question.period)),),
            extra={"trend": trend, "volatility": volatility},
        )

    def _beside(self, bars: Bars) -> list[Bars]:
        """The other symbols with real bars of the same length; the same series under another name is no other."""
        if bars.simulated:
            return []
        found: dict[bytes, Bars] = {}
        for listing in self._catalog.listings():
            if listing.origin == "simulated" or listing.symbol == bars.symbol:
                continue
            other = self._catalog.load(listing.symbol)
            if other.timeframe == bars.timeframe and other.close.tobytes() != bars.close.tobytes():
                found.setdefault(other.close.tobytes(), other)
        return list(found.values())

    def cross_section(self, question: Question) -> AnswerCard:
        """Every symbol with real bars, by return over the period; only stocks, or only coins, where the question says so."""
        known = gazetteer()
        listings = [
            listing
            for listing in self._catalog.listings()
            if listing.origin != "simulated"
            and (question.universe is None or known.is_coin(listing.symbol) == (question.universe == "coins"))
        ]
        # GOOGL is served from GOOG's series: ranking both would show one stock twice.
        distinct = {bars.close.tobytes(): bars for bars in (self._catalog.load(each.symbol) for each in listings[::-1])}
        everything = list(distinct.values())
        if not everything:
            of = f" of {question.universe}" if question.universe else ""
            raise InvalidRequest(f"there are no real bars{of} here; import some: evolve data import FILE --symbol X")
        return self._side_by_side(question, everything, "Only symbols with real bars are ranked")

    def _side_by_side(self, question: Question, everything: Sequence[Bars], which: str) -> AnswerCard:
        book = EvidenceBook()
        ranked = rank_symbols(everything, period_days(question.period), book)
        rows = tuple(
            RankedRow(rank, found["period_return"].of, "baseline", None, found) for rank, found in enumerate(ranked, 1)
        )
        now = self._clock.now()
        data = tuple(data_card(bars, now) for bars in everything)
        first, last = rows[0], rows[-1]
        head = f"Over the last {question.period} of the bars at hand {first.name} did best ({first.figures['period_return']}), {last.name} worst ({last.figures['period_return']})."  # fmt: skip
        said = [
            f"{which}: {', '.join(row.name for row in rows)}. What rose is not for that reason a buy.",
            *(
                f"SIMULATED: nothing here is a view on the real {card.symbol}."
                if card.simulated
                else f"{card.symbol}: as of {card.last}, nothing here speaks of today."
                for card in data
                if card.status != "current"
            ),
        ]
        return self._answer(question, head, said, rows=rows, figures=tuple(book), data=data)

    def _answer(self, question: Question, head: str, said: Sequence[str], **parts: Any) -> AnswerCard:
        return write_answer(
            question,
            head,
            [
                *commentary.on_rule(question.rule),
                *(commentary.on_future(question.symbol) if question.foretells and question.symbol else ()),
                *said,
            ],
            clock=self._clock,
            **parts,
        )


def _price_curve(bars: Bars, days: int) -> Curve:
    window = max(2, min(bars.bars_within(days) + 1, len(bars)))
    first = len(bars) - window
    base = float(bars.close[first])
    return Curve(
        name=bars.symbol,
        dates=tuple(bars.date(bar) for bar in range(first, len(bars))),
        equity=tuple(float(price) / base for price in bars.close[first:]),
        simulated=bars.simulated,
    )
