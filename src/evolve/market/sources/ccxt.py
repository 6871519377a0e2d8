"""ccxt: bars of crypto pairs from more than a hundred exchanges, without a key. An extra: the package `ccxt`.

The exchange is chosen by EVOLVE_CCXT_EXCHANGE. Exchanges give a page of bars from a moment on and stop without a word where they
like; the pages are asked for until the span is covered, and the calendar tells what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from evolve.clock import iso
from evolve.errors import BadAnswer, EvolveError, Forbidden, InvalidRequest, RateLimited, Unavailable, UnknownSymbol
from evolve.market.bars import Bars
from evolve.market.calendar import pair_of
from evolve.market.provenance import Provenance
from evolve.market.sources.assemble import Life, Row, Sent, asked_timeframe, assembled
from evolve.market.sources.base import BarSpec, Progress, Span, unheard
from evolve.market.sources.client import Client, missing, strange
from evolve.market.sources.line import QUOTED
from evolve.market.sources.pace import Allowance
from evolve.market.sources.remote import default_span, only
from evolve.market.types import TIMEFRAME_SECONDS

ALLOWANCE = Allowance(10, 1.0)  # ccxt keeps to each exchange's own limit besides
PAGE = 1000  # the most that the large exchanges give at once; less is what they like
MOST_PAGES = 20_000
SILENCE_MS = 30_000


class Ccxt:
    """Bars of crypto pairs from one exchange. url: another address of its interface."""

    name = "ccxt"

    def __init__(self, client: Client, exchange: str, url: str | None = None, *, allow_gaps: bool = False) -> None:
        self._client = client
        self._exchange_name = exchange
        self._url = url
        self._allow_gaps = allow_gaps

    def load(self, spec: BarSpec, span: Span | None = None, progress: Progress = unheard) -> Bars:
        """Bars at any timeframe that the exchange has. Raises MissingExtra without the package, and what `sources.line` names."""
        only(self.name, spec, venues=("crypto",))
        span = span or default_span(spec, self._client.clock.now())
        pair, asked = pair_of(spec.symbol), asked_timeframe(spec)
        assert pair is not None  # crypto symbols are pairs
        source, name = f"ccxt:{self._exchange_name}", "/".join(pair)
        exchange = self._exchange()
        if asked not in (exchange.timeframes or {}):
            raise InvalidRequest(
                f"{source} has no {asked} bars, only {', '.join(exchange.timeframes or {})}; ask for those"
            )
        length = 1000 * TIMEFRAME_SECONDS[asked]
        sent = Sent(source)
        progress(0, 0.0)
        since = span.start
        for _ in range(MOST_PAGES):
            found = self._client.ask(
                f"{source}/{name}/{asked}?since={since}&until={span.end}&limit={PAGE}",
                lambda start=since: _rows(exchange.fetch_ohlcv(name, asked, since=start, limit=PAGE), source),  # type: ignore[misc]
            )
            page = [_row(item) for item in found if since <= item[0] < span.end]
            sent.add(page)
            if not page:
                break
            since = page[-1][0] + length
            progress(len(sent.rows), min(1.0, (since - span.start) / (span.end - span.start)))
            if since >= min(span.end, int(1000 * self._client.as_of)):
                break
        else:
            raise BadAnswer(f"{source} sends more than {MOST_PAGES:,} pages; ask for a shorter span", source=source)
        progress(len(sent.rows), 1.0)
        provenance = Provenance(
            source=source,
            url=f"{_address(exchange)} (ccxt, {name}, {asked})",
            fetched_at=iso(self._client.as_of),
            venue="crypto",
            adjusted="none",
            asked_from=span.first,
            asked_to=span.last,
        )
        return assembled(
            sent,
            spec,
            span,
            provenance,
            now=self._client.as_of,
            life=Life(),
            currency=pair[1],
            allow_gaps=self._allow_gaps,
        )

    def _exchange(self) -> Any:
        try:
            import ccxt
        except ImportError:
            raise missing("ccxt") from None
        if self._exchange_name not in ccxt.exchanges:
            raise InvalidRequest(
                f"ccxt has no exchange {self._exchange_name!r}; set EVOLVE_CCXT_EXCHANGE, to binance, kraken or coinbase say"
            )
        timeout = min(SILENCE_MS, int(1000 * self._client.left_s))
        exchange = getattr(ccxt, self._exchange_name)(
            {"enableRateLimit": True, "timeout": timeout, "maxRetriesOnFailure": 0}
        )
        if self._url:
            exchange.urls["api"] = _moved(exchange.urls["api"], self._url)
            # The margin and futures markets have addresses of their own, and spot bars need none of them.
            exchange.options["fetchMarkets"] = (
                ["spot"]
                if isinstance(exchange.options.get("fetchMarkets"), list)
                else exchange.options.get("fetchMarkets")
            )
        return exchange


def translate(error: Exception) -> EvolveError | None:
    """Our error for one of ccxt's; None for what is none of its own."""
    import ccxt

    said = " ".join(str(error).split())[:QUOTED]
    table: tuple[tuple[type[Exception], type[EvolveError], str], ...] = (
        (ccxt.RateLimitExceeded, RateLimited, "refuses more requests for now"),
        (ccxt.DDoSProtection, RateLimited, "refuses more requests for now"),
        (ccxt.BadSymbol, UnknownSymbol, "knows no such symbol; check it"),
        (ccxt.AuthenticationError, Forbidden, "refuses access"),
        (ccxt.NetworkError, Unavailable, "does not answer; try again later"),
        (ccxt.BaseError, BadAnswer, "answered with an error"),
    )
    for theirs, ours, what in table:
        if isinstance(error, theirs):
            return ours(f"ccxt: the exchange {what} ({said})", source="ccxt")
    return None


def _rows(found: Any, source: str) -> list[Row]:
    rows: list[Row] = []
    for item in found or []:
        if len(item) < 6 or any(value is None for value in item[:5]):
            raise strange(source, f"a bar reads {item!r:.60}")
        volume = float("nan") if item[5] is None else float(item[5])
        rows.append((int(item[0]), float(item[1]), float(item[2]), float(item[3]), float(item[4]), volume))
    return rows


def _row(item: Any) -> Row:
    return int(item[0]), item[1], item[2], item[3], item[4], item[5]


def _address(exchange: Any) -> str:
    """Where the exchange's public interface lies."""
    api = exchange.urls["api"]
    found = api.get("public") or next(iter(api.values())) if isinstance(api, Mapping) else api
    return str(found).replace("{hostname}", str(exchange.hostname or ""))


def _moved(addresses: Any, base: str) -> Any:
    """The same addresses at another host."""
    if isinstance(addresses, Mapping):
        return {name: _moved(address, base) for name, address in addresses.items()}
    here, there = urlsplit(str(addresses)), urlsplit(base)
    return urlunsplit((there.scheme, there.netloc, here.path, here.query, here.fragment))
