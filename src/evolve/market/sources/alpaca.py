"""Alpaca: bars of US stocks and crypto at every timeframe, with a key pair; adjusted for splits and dividends.

Answers come in pages of up to 10,000 bars that end with a token or null. An unknown symbol is an empty answer with status 200.
Source: https://docs.alpaca.markets/reference/stockbars and /docs/market-data-faq
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from evolve.clock import iso
from evolve.errors import BadAnswer, DataUnavailable, UnknownSymbol
from evolve.market.bars import Bars
from evolve.market.calendar import pair_of, venue_of
from evolve.market.provenance import Dividend, Provenance, Split
from evolve.market.sources.answers import Answer
from evolve.market.sources.assemble import Life, Row, Sent, asked_timeframe, assembled
from evolve.market.sources.base import DAY_MS, BarSpec, Progress, Span, unheard
from evolve.market.sources.line import Line, Question, json_of, no_key, refused
from evolve.market.sources.pace import Allowance
from evolve.market.sources.remote import default_span, listed, moment_ms, numbers, only
from evolve.market.types import Timeframe

ALLOWANCE = Allowance(200, 60.0)  # of the free plan
DELAY_S = 900.0  # the free plan gives the consolidated tape a quarter of an hour late
VARIABLE = "APCA_API_KEY_ID and APCA_API_SECRET_KEY"
WHERE = "https://app.alpaca.markets"
PAGE = 10_000  # the most it accepts
MOST_PAGES = 10_000
NAMES: dict[Timeframe, str] = {
    "1m": "1Min", "5m": "5Min", "15m": "15Min", "30m": "30Min", "1h": "1Hour", "4h": "4Hour", "1d": "1Day",
}  # fmt: skip
ACTIONS = "forward_split,reverse_split,cash_dividend"


class Alpaca:
    """Bars of US stocks and crypto. feed: sip (all exchanges) or iex (one exchange, about 2 % of the volume)."""

    name = "alpaca"

    def __init__(
        self, line: Line, key_id: str | None, secret: str | None, *, feed: str = "sip", allow_gaps: bool = False
    ) -> None:
        self._line = line
        self._key_id = key_id
        self._secret = secret
        self._feed = feed
        self._allow_gaps = allow_gaps

    def load(self, spec: BarSpec, span: Span | None = None, progress: Progress = unheard) -> Bars:
        """Bars at any timeframe. Raises what `sources.line` names; Alpaca does not tell when a stock was listed or delisted."""
        only(self.name, spec, venues=("us_equity", "crypto"))
        if not self._key_id or not self._secret:
            raise no_key(self.name, VARIABLE, WHERE)
        span = span or default_span(spec, self._line.clock.now())
        venue, asked, symbol = venue_of(spec.symbol), asked_timeframe(spec), ticker(spec.symbol)
        wanted = {
            "symbols": symbol,
            "timeframe": NAMES[asked],
            "start": _rfc3339(span.start),
            "end": _rfc3339(span.end - 1000),
            "limit": str(PAGE),
            "sort": "asc",
        }
        path = "/v1beta3/crypto/us/bars"
        if venue == "us_equity":
            path = "/v2/stocks/bars"
            wanted |= {"adjustment": "all", "feed": self._feed}
        sent = Sent(self.name)
        progress(0, 0.0)
        for page in self._pages(path, wanted, spec, "bars"):
            items = listed(page.get(symbol), self.name, path)
            sent.add([self._row(item, dated=asked == "1d") for item in items])
            if sent.rows:
                progress(len(sent.rows), min(1.0, (sent.rows[-1][0] - span.start) / (span.end - span.start)))
        if not sent.rows:
            raise DataUnavailable(
                f"{self.name} has no bars of {symbol} from {span.first} to {span.last}: no such symbol, or not traded then",
                source=self.name,
            )
        splits, dividends = self._actions(spec, span) if venue == "us_equity" else ((), ())
        progress(len(sent.rows), 1.0)
        pair = pair_of(spec.symbol)
        provenance = Provenance(
            source=self.name,
            url=self._line.shown(Question(path, wanted)),
            fetched_at=iso(self._line.as_of),
            venue=venue,
            adjusted="splits and dividends" if venue == "us_equity" else "none",
            asked_from=span.first,
            asked_to=span.last,
            delay_s=DELAY_S if venue == "us_equity" else 0.0,
            tells_actions=venue == "us_equity",
            splits=splits,
            dividends=dividends,
        )
        return assembled(
            sent,
            spec,
            span,
            provenance,
            now=self._line.as_of,
            life=Life(),
            currency=pair[1] if pair else "USD",
            allow_gaps=self._allow_gaps,
        )

    def _pages(self, path: str, wanted: Mapping[str, str], spec: BarSpec, name: str) -> Iterator[Mapping[str, Any]]:
        """The objects under `name`, following `next_page_token`."""
        seen: set[str] = set()
        parameters = dict(wanted)
        for _ in range(MOST_PAGES):
            found = self._ask(path, parameters, spec)
            page = found.get(name) or {}
            if not isinstance(page, Mapping) or "next_page_token" not in found:
                raise BadAnswer(
                    f"{self.name} sent half a page: no {name} or no token of the next one; try again later",
                    source=self.name,
                )
            yield page
            token = found["next_page_token"]
            if not token:
                return
            if token in seen:
                raise BadAnswer(f"{self.name} sends the same page again and again; try again later", source=self.name)
            seen.add(token)
            parameters["page_token"] = str(token)
        raise BadAnswer(f"{self.name} sends more than {MOST_PAGES:,} pages; ask for a shorter span", source=self.name)

    def _ask(self, path: str, parameters: Mapping[str, str], spec: BarSpec) -> Mapping[str, Any]:
        secrets = {"APCA-API-KEY-ID": str(self._key_id), "APCA-API-SECRET-KEY": str(self._secret)}
        question = Question(path, dict(parameters), secret_headers=secrets)

        def read(answer: Answer) -> Mapping[str, Any]:
            if answer.status in (401, 403):
                raise refused(self.name, VARIABLE, self._line.said(answer, question))
            found = json_of(answer, self.name)
            said = self._line.clean(str(found.get("message", "") if isinstance(found, Mapping) else found), question)
            if answer.status in (400, 404, 422) and "symbol" in said.lower():
                raise UnknownSymbol(
                    f"{self.name} knows no symbol {spec.symbol!r} ({said}); check it",
                    symbol=spec.symbol,
                    source=self.name,
                )
            if answer.status != 200 or not isinstance(found, Mapping):
                raise BadAnswer(
                    f"{self.name} refuses the question (status {answer.status}: {said}): {answer.url}", source=self.name
                )
            return found

        return self._line.ask(question, read)

    def _actions(self, spec: BarSpec, span: Span) -> tuple[tuple[Split, ...], tuple[Dividend, ...]]:
        wanted = {
            "symbols": ticker(spec.symbol),
            "types": ACTIONS,
            "start": span.first,
            "end": span.last,
            "limit": "1000",
        }
        splits, dividends = [], []
        for page in self._pages("/v1/corporate-actions", wanted, spec, "corporate_actions"):
            for item in [*(page.get("forward_splits") or []), *(page.get("reverse_splits") or [])]:
                new, old = numbers(item, ("new_rate", "old_rate"), self.name)
                splits.append(Split(str(item["ex_date"]), new / old))
            dividends += [
                Dividend(str(item["ex_date"]), *numbers(item, ("rate",), self.name))
                for item in page.get("cash_dividends") or []
            ]
        return tuple(sorted(splits, key=_by_date)), tuple(sorted(dividends, key=_by_date))

    def _row(self, item: Any, *, dated: bool) -> Row:
        open_, high, low, close, volume = numbers(item, ("o", "h", "l", "c", "v"), self.name)
        try:
            moment = moment_ms(str(item["t"]))
        except (ValueError, KeyError):
            raise BadAnswer(f"{self.name} sent a bar without a time; try again later", source=self.name) from None
        # A daily bar's stamp is midnight in New York, 04:00 or 05:00 UTC of the session's date.
        return moment // DAY_MS * DAY_MS if dated else moment, open_, high, low, close, volume


def ticker(symbol: str) -> str:
    """Alpaca's name: AAPL, BRK.B, BTC/USD."""
    pair = pair_of(symbol)
    return symbol.replace("-", ".") if pair is None else "/".join(pair)


def _rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _by_date(action: Split | Dividend) -> str:
    return action.date
