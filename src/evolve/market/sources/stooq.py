"""Stooq: daily bars of stocks, currencies and crypto as CSV, free, with a key from its website and a daily allowance.

Its trouble has status 200: a used-up allowance, a missing key and an unknown symbol are sentences where a table should be, and
programs without a key get an HTML page. Source: https://stooq.com/db/h/ and the answers themselves (2026).
"""

from __future__ import annotations

import csv
import io

from evolve.clock import iso
from evolve.errors import BadAnswer, DataUnavailable, RateLimited, UnknownSymbol
from evolve.market.bars import Bars
from evolve.market.calendar import venue_of
from evolve.market.provenance import Provenance
from evolve.market.sources.answers import Answer
from evolve.market.sources.assemble import Life, Row, Sent, assembled
from evolve.market.sources.base import BarSpec, Progress, Span, unheard
from evolve.market.sources.line import Line, Question, looks_like, no_key, refused
from evolve.market.sources.pace import Allowance
from evolve.market.sources.remote import dated_ms, default_span, only

ALLOWANCE = Allowance(
    1, 1.0
)  # its limit is per day and not published; a request a second is what clients are asked to keep to
DELAY_S = 4 * 3600.0  # archives are rebuilt in the evening of New York; not published when
HEADER = ["Date", "Open", "High", "Low", "Close"]
VARIABLE = "STOOQ_API_KEY"
WHERE = "https://stooq.com/q/d/?s=spy.us&get_apikey"


class Stooq:
    """Daily bars of US stocks, currencies and crypto."""

    name = "stooq"

    def __init__(self, line: Line, key: str | None, *, allow_gaps: bool = False) -> None:
        self._line = line
        self._key = key
        self._allow_gaps = allow_gaps

    def load(self, spec: BarSpec, span: Span | None = None, progress: Progress = unheard) -> Bars:
        """Daily or weekly bars. Raises what `sources.line` names; Stooq tells neither splits nor dividends nor delistings."""
        only(self.name, spec, ("1d", "1w"))
        if not self._key:
            raise no_key(self.name, VARIABLE, WHERE)
        span = span or default_span(spec, self._line.clock.now())
        parameters = {
            "s": ticker(spec.symbol),
            "i": "d",
            "d1": span.first.replace("-", ""),
            "d2": span.last.replace("-", ""),
        }
        question = Question("/q/d/l/", parameters, secret_parameters={"apikey": self._key})
        sent = Sent(self.name)
        progress(0, 0.0)
        sent.add(self._line.ask(question, lambda answer: self._rows(answer, question, spec)))
        progress(len(sent.rows), 1.0)
        provenance = Provenance(
            source=self.name,
            url=self._line.shown(question),
            fetched_at=iso(self._line.as_of),
            venue=venue_of(spec.symbol),
            adjusted="unstated",
            asked_from=span.first,
            asked_to=span.last,
            delay_s=DELAY_S,
        )
        return assembled(
            sent,
            spec,
            span,
            provenance,
            now=self._line.as_of,
            life=Life(),
            currency=currency_of(spec.symbol),
            allow_gaps=self._allow_gaps,
        )

    def _rows(self, answer: Answer, question: Question, spec: BarSpec) -> list[Row]:
        text = answer.body.decode("utf-8-sig", "replace")
        said = self._line.clean(text, question)
        if "exceeded the daily hits limit" in text.lower():
            raise RateLimited(
                f"{self.name}: the key's daily allowance is used up; try again tomorrow", source=self.name
            )
        if answer.status in (401, 403) or ("apikey" in text.lower() and not text.startswith(HEADER[0])):
            raise refused(self.name, VARIABLE, said)
        if answer.status == 404 or text.strip().lower() in ("no data", "brak danych"):
            raise UnknownSymbol(
                f"{self.name} has no daily bars of {ticker(spec.symbol)!r} in this span; check the symbol and the dates",
                symbol=spec.symbol,
                source=self.name,
            )
        header, *lines = csv.reader(io.StringIO(text)) if text.strip() else [[]]
        if answer.status != 200 or header[:5] != HEADER:
            raise BadAnswer(
                f"{self.name} answered {looks_like(answer)} where CSV was expected: {answer.url}", source=self.name
            )
        if not lines:
            raise DataUnavailable(
                f"{self.name} has no bars of {spec.symbol} in this span; ask for another", source=self.name
            )
        return [self._row(line, number, len(header)) for number, line in enumerate(lines, 2) if line]

    def _row(self, line: list[str], number: int, width: int) -> Row:
        try:
            if len(line) != width:
                raise ValueError
            open_, high, low, close = map(float, line[1:5])
            volume = float(line[5]) if width > 5 and line[5] else float("nan")
            return dated_ms(line[0]), open_, high, low, close, volume
        except ValueError:
            # Half a line at the end is how an answer that was cut off looks like.
            raise BadAnswer(
                f"{self.name}: line {number} of its CSV cannot be read ({','.join(line)[:60]!r}); try again later",
                source=self.name,
            ) from None


def ticker(symbol: str) -> str:
    """Stooq's name: aapl.us, brk-b.us, eurusd, btc.v for coins against the dollar."""
    venue, name = venue_of(symbol), symbol.lower()
    if venue == "us_equity":
        return name.replace(".", "-") + ".us"
    if venue == "crypto":
        plain = name.replace("-", "")
        return plain.removesuffix("usd") + ".v" if plain.endswith("usd") else plain
    return name.replace("-", "")


def currency_of(symbol: str) -> str:
    return "USD" if venue_of(symbol) == "us_equity" else symbol.replace("-", "")[-3:]
