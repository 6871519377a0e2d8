"""Polygon (since 2025 also Massive): bars of US stocks, crypto and currencies at every timeframe, with a key.

Answers come in pages; `limit` counts the minutes or days they are made of. Prices are adjusted for splits, not for dividends.
A plan that gives two years answers a question for ten with two and status OK: the date of listing tells.
Source: https://polygon.io/docs/stocks/get_v2_aggs_ticker__stocksticker__range__multiplier___timespan___from___to
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from evolve.clock import iso
from evolve.errors import BadAnswer, Forbidden, Truncated, UnknownSymbol
from evolve.market.bars import Bars
from evolve.market.calendar import pair_of, venue_of
from evolve.market.provenance import Dividend, Provenance, Split
from evolve.market.sources.answers import Answer
from evolve.market.sources.assemble import Life, Row, Sent, asked_timeframe, assembled
from evolve.market.sources.base import DAY_MS, BarSpec, Progress, Span, unheard
from evolve.market.sources.line import Line, Question, json_of, no_key, refused
from evolve.market.sources.pace import Allowance
from evolve.market.sources.remote import default_span, listed, numbers, only
from evolve.market.types import Timeframe

ALLOWANCE = Allowance(5, 60.0)  # of the free plan; EVOLVE_POLYGON_PER_MINUTE for others
DELAY_S = 900.0  # plans below the dearest are a quarter of an hour behind
VARIABLE = "POLYGON_API_KEY"
WHERE = "https://polygon.io/dashboard/keys"
PAGE = 50_000  # the most it accepts
MOST_PAGES = 10_000
RANGES: dict[Timeframe, str] = {
    "1m": "1/minute", "5m": "5/minute", "15m": "15/minute", "30m": "30/minute", "1h": "1/hour", "4h": "4/hour", "1d": "1/day",
}  # fmt: skip


class Polygon:
    """Bars of US stocks, crypto and currencies."""

    name = "polygon"

    def __init__(self, line: Line, key: str | None, *, allow_gaps: bool = False) -> None:
        self._line = line
        self._key = key
        self._allow_gaps = allow_gaps

    def load(self, spec: BarSpec, span: Span | None = None, progress: Progress = unheard) -> Bars:
        """Bars at any timeframe. Raises what `sources.line` names."""
        only(self.name, spec)
        if not self._key:
            raise no_key(self.name, VARIABLE, WHERE)
        span = span or default_span(spec, self._line.clock.now())
        venue, asked = venue_of(spec.symbol), asked_timeframe(spec)
        ends = (span.first, span.last) if asked == "1d" else (str(span.start), str(span.end - 1))
        path = f"/v2/aggs/ticker/{ticker(spec.symbol)}/range/{RANGES[asked]}/{ends[0]}/{ends[1]}"
        first = self._question(path, {"adjusted": "true", "sort": "asc", "limit": str(PAGE)})
        progress(0, 0.0)
        sent = Sent(self.name)
        for page in self._pages(first, spec):
            sent.add([self._row(item, dated=asked == "1d") for item in page])
            if sent.rows:
                progress(len(sent.rows), min(1.0, (sent.rows[-1][0] - span.start) / (span.end - span.start)))
        life = self._life(spec) if venue == "us_equity" else Life()
        splits, dividends = self._actions(spec, span) if venue == "us_equity" else ((), ())
        progress(len(sent.rows), 1.0)
        provenance = Provenance(
            source=self.name,
            url=self._line.shown(first),
            fetched_at=iso(self._line.as_of),
            venue=venue,
            adjusted="splits",
            asked_from=span.first,
            asked_to=span.last,
            delay_s=DELAY_S,
            tells_actions=venue == "us_equity",
            splits=splits,
            dividends=dividends,
            delisted=life.delisted,
        )
        pair = pair_of(spec.symbol)
        return assembled(
            sent,
            spec,
            span,
            provenance,
            now=self._line.as_of,
            life=life,
            currency=pair[1] if pair else "USD",
            allow_gaps=self._allow_gaps,
        )

    def _question(self, path: str, parameters: Mapping[str, str] | None = None) -> Question:
        # In a header, so that no log of a proxy holds it.
        return Question(path, parameters or {}, secret_headers={"Authorization": f"Bearer {self._key}"})

    def _pages(self, question: Question, spec: BarSpec) -> Any:
        """Pages of `results`, following `next_url`."""
        seen: set[str] = set()
        for _ in range(MOST_PAGES):
            found = self._ask(question, spec)
            page = listed(found.get("results"), self.name, self._line.shown(question))
            count = found.get("resultsCount", len(page))
            if count != len(page):
                raise Truncated(
                    f"{self.name} announced {count:,} bars and sent {len(page):,}: {self._line.shown(question)}; fetch again",
                    source=self.name,
                )
            yield page
            following = found.get("next_url")
            if not following:
                return
            if following in seen:
                raise BadAnswer(f"{self.name} sends the same page again and again; try again later", source=self.name)
            seen.add(following)
            # Its own host, whatever the answer says: the key goes nowhere else.
            parts = urlsplit(following)
            question = self._question(f"{parts.path}?{parts.query}")
        raise BadAnswer(f"{self.name} sends more than {MOST_PAGES:,} pages; ask for a shorter span", source=self.name)

    def _ask(self, question: Question, spec: BarSpec) -> Mapping[str, Any]:
        def read(answer: Answer) -> Mapping[str, Any]:
            found = json_of(answer, self.name)
            if not isinstance(found, Mapping):
                raise BadAnswer(f"{self.name} answered something other than an object: {answer.url}", source=self.name)
            said = self._line.clean(str(found.get("error") or found.get("message") or ""), question)
            if answer.status == 401:
                raise refused(self.name, VARIABLE, said)
            if answer.status == 403 or found.get("status") == "NOT_AUTHORIZED":
                raise Forbidden(
                    f"{self.name}: the plan of this key does not give that ({said}); ask for a later span or fewer details",
                    source=self.name,
                )
            if answer.status == 404:
                raise UnknownSymbol(
                    f"{self.name} knows no symbol {spec.symbol!r}; check it", symbol=spec.symbol, source=self.name
                )
            # DELAYED is how plans without live data say OK.
            if answer.status != 200 or found.get("status") not in ("OK", "DELAYED"):
                raise BadAnswer(
                    f"{self.name} refuses the question (status {answer.status}: {said}): {answer.url}", source=self.name
                )
            return found

        return self._line.ask(question, read)

    def _life(self, spec: BarSpec) -> Life:
        """When the symbol was listed and delisted. Raises UnknownSymbol when it never existed."""
        try:
            about = self._ask(self._question(f"/v3/reference/tickers/{ticker(spec.symbol)}"), spec).get("results") or {}
        except UnknownSymbol:
            # Details exist for what trades today; what does not is found among the inactive ones.
            past = self._ask(
                self._question("/v3/reference/tickers", {"ticker": ticker(spec.symbol), "active": "false"}), spec
            )
            about = next(iter(past.get("results") or []), None)
            if about is None:
                raise
        ended = about.get("delisted_utc")
        return Life(listed=about.get("list_date"), delisted=str(ended)[:10] if ended else None)

    def _actions(self, spec: BarSpec, span: Span) -> tuple[tuple[Split, ...], tuple[Dividend, ...]]:
        splits, dividends = [], []
        for name, day in (("splits", "execution_date"), ("dividends", "ex_dividend_date")):
            wanted = {"ticker": ticker(spec.symbol), f"{day}.gte": span.first, f"{day}.lte": span.last, "limit": "1000"}
            for page in self._pages(self._question(f"/v3/reference/{name}", wanted), spec):
                for item in page:
                    if name == "splits":
                        before, after = numbers(item, ("split_from", "split_to"), self.name)
                        splits.append(Split(str(item[day]), after / before))
                    else:
                        dividends.append(Dividend(str(item[day]), *numbers(item, ("cash_amount",), self.name)))
        return tuple(sorted(splits, key=_by_date)), tuple(sorted(dividends, key=_by_date))

    def _row(self, item: Any, *, dated: bool) -> Row:
        moment, open_, high, low, close, volume = numbers(item, ("t", "o", "h", "l", "c", "v"), self.name)
        # A daily bar's stamp is midnight in New York, 04:00 or 05:00 UTC of the session's date.
        return int(moment) // DAY_MS * DAY_MS if dated else int(moment), open_, high, low, close, volume


def ticker(symbol: str) -> str:
    """Polygon's name: AAPL, BRK.B, X:BTCUSD, C:EURUSD."""
    pair = pair_of(symbol)
    if pair is None:
        return symbol.replace("-", ".")
    return f"{'X' if venue_of(symbol) == 'crypto' else 'C'}:{''.join(pair)}"


def _by_date(action: Split | Dividend) -> str:
    return action.date
