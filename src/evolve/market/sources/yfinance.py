"""Yahoo Finance through the package `yfinance`: stocks, crypto and currencies, without a key. An extra.

Yahoo has no published interface and no promises: it throttles, leaves bars out, and gives minutes for days and hours for two years
only. So its answers are held against the calendar like any other's. Prices are adjusted for splits and, by day, for dividends.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from evolve.clock import iso
from evolve.errors import BadAnswer, DataUnavailable, EvolveError, RateLimited, Unavailable, UnknownSymbol
from evolve.market.bars import Bars
from evolve.market.calendar import pair_of, venue_of
from evolve.market.provenance import Dividend, Provenance, Split
from evolve.market.sources.assemble import Life, Sent, assembled
from evolve.market.sources.base import DAY_MS, BarSpec, Progress, Span, unheard
from evolve.market.sources.client import Client, missing, strange
from evolve.market.sources.line import QUOTED
from evolve.market.sources.pace import Allowance
from evolve.market.sources.remote import default_span, only
from evolve.market.types import Timeframe

ALLOWANCE = Allowance(1, 1.0)  # nothing is published; faster clients report being shut out
DELAY_S = 900.0  # a quarter of an hour for most exchanges
# Yahoo cuts a stock's hours by its session, as we do; weeks and four hours are made of finer bars.
ASKED: dict[Timeframe, Timeframe] = {
    "1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1h", "4h": "1h", "1d": "1d", "1w": "1d",
}  # fmt: skip
REACH_DAYS: dict[Timeframe, int] = {
    "1m": 7,
    "5m": 59,
    "15m": 59,
    "30m": 59,
    "1h": 729,
}  # further back it answers with an error


class Yfinance:
    """Bars from Yahoo Finance. url: another address for all of its hosts."""

    name = "yfinance"

    def __init__(self, client: Client, url: str | None = None, *, directory: str, allow_gaps: bool = False) -> None:
        self._client = client
        self._url = url
        self._directory = directory
        self._allow_gaps = allow_gaps

    def load(self, spec: BarSpec, span: Span | None = None, progress: Progress = unheard) -> Bars:
        """Bars at any timeframe. Raises MissingExtra without the package, and what `sources.line` names."""
        only(self.name, spec)
        now = self._client.clock.now()
        asked = ASKED[spec.timeframe]
        reach = REACH_DAYS.get(asked)
        earliest = 0 if reach is None else int(now * 1000) - reach * DAY_MS
        usual = default_span(spec, now)
        span = span or Span(max(usual.start, (earliest // DAY_MS + 1) * DAY_MS), usual.end)
        if span.start < earliest:
            raise DataUnavailable(
                f"yfinance has {asked} bars of the last {reach} days only, not since {span.first}; ask for a later span or longer bars",
                source=self.name,
            )
        symbol = ticker(spec.symbol)
        progress(0, 0.0)
        found = self._client.ask(
            f"yfinance/{symbol}/{asked}?start={span.start}&end={span.end}", lambda: self._asked(symbol, asked, span)
        )
        sent = Sent(self.name)
        sent.add([(int(row[0]), row[1], row[2], row[3], row[4], row[5]) for row in found["rows"]])
        progress(len(sent.rows), 1.0)
        pair = pair_of(spec.symbol)
        provenance = Provenance(
            source=self.name,
            url=f"https://query2.finance.yahoo.com/v8/finance/chart/{symbol}",
            fetched_at=iso(self._client.as_of),
            venue=venue_of(spec.symbol),
            adjusted="splits and dividends" if asked == "1d" else "splits",
            asked_from=span.first,
            asked_to=span.last,
            delay_s=DELAY_S if pair is None else 0.0,
            tells_actions=pair is None,
            splits=tuple(Split(day, ratio) for day, ratio in found["splits"]),
            dividends=tuple(Dividend(day, amount) for day, amount in found["dividends"]),
        )
        return assembled(
            sent,
            spec,
            span,
            provenance,
            now=self._client.as_of,
            life=Life(listed=found["listed"]),
            currency=found["currency"] or (pair[1] if pair else "USD"),
            allow_gaps=self._allow_gaps,
            asked=asked,
        )

    def _asked(self, symbol: str, asked: Timeframe, span: Span) -> dict[str, Any]:
        """One answer as JSON values: rows, splits, dividends, currency and the first day of trading."""
        try:
            import yfinance
        except ImportError:
            raise missing("yfinance") from None
        yfinance.set_tz_cache_location(self._directory)  # its own would lie in the user's home
        yfinance.config.debug.hide_exceptions = False  # it logs errors otherwise and returns nothing
        history = yfinance.Ticker(symbol, session=_session(self._url))
        try:
            frame = history.history(
                start=datetime.fromtimestamp(span.start / 1000, UTC),
                end=datetime.fromtimestamp(span.end / 1000, UTC),
                interval=asked,
                auto_adjust=True,
                actions=True,
                timeout=self._client.left_s,
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            # It unpacks answers as it finds them: an HTML page or a changed layout shows as one of these.
            raise strange(self.name, f"{type(error).__name__} while yfinance unpacked it") from None
        if frame.empty or not {"Open", "High", "Low", "Close", "Volume"} <= set(frame.columns):
            raise strange(self.name, f"columns {', '.join(map(str, frame.columns))}")
        about = history.history_metadata or {}
        dated = asked == "1d"
        rows, splits, dividends = [], [], []
        for moment, row in zip(frame.index, frame.to_dict("records"), strict=True):
            day = moment.date().isoformat()
            # A day's stamp is midnight where the exchange is: its date is the session's.
            stamp = Span.of_days(day, day).start if dated else int(moment.timestamp() * 1000)
            rows.append([stamp, *(float(row[name]) for name in ("Open", "High", "Low", "Close", "Volume"))])
            if row.get("Stock Splits", 0) > 0:
                splits.append((day, float(row["Stock Splits"])))
            if row.get("Dividends", 0) > 0:
                dividends.append((day, float(row["Dividends"])))
        return {
            "rows": rows,
            "splits": splits,
            "dividends": dividends,
            "currency": about.get("currency"),
            "listed": _day(about.get("firstTradeDate")),
        }


def translate(error: Exception) -> EvolveError | None:
    """Our error for what yfinance raises; None for what is neither its own nor its transport's."""
    from curl_cffi.requests.exceptions import RequestException
    from yfinance.exceptions import (
        YFDataException,
        YFException,
        YFPricesMissingError,
        YFRateLimitError,
        YFTickerMissingError,
        YFTzMissingError,
    )

    said = " ".join(str(error).split())[:QUOTED]
    if isinstance(error, YFRateLimitError):
        return RateLimited(
            f"yfinance: Yahoo refuses more requests for now ({said}); try again later", source="yfinance"
        )
    if isinstance(error, YFPricesMissingError):
        return DataUnavailable(
            f"yfinance: Yahoo has no such bars ({said}); check the symbol and the span", source="yfinance"
        )
    if isinstance(error, YFTzMissingError | YFTickerMissingError):
        return UnknownSymbol(
            f"yfinance: Yahoo knows no such symbol, or is out of order ({said}); check it", source="yfinance"
        )
    if isinstance(error, RequestException | YFDataException):
        return Unavailable(
            f"yfinance: Yahoo does not answer ({type(error).__name__}); try again later", source="yfinance"
        )
    if isinstance(error, YFException):
        return BadAnswer(f"yfinance cannot read Yahoo's answer ({said}); try again later", source="yfinance")
    return None


def ticker(symbol: str) -> str:
    """Yahoo's name: AAPL, BRK-B, BTC-USD, EURUSD=X."""
    pair, venue = pair_of(symbol), venue_of(symbol)
    if pair is None:
        return (
            symbol.replace(".", "-")
            if venue == "us_equity" and symbol.rpartition(".")[2] in ("A", "B", "C")
            else symbol
        )
    return f"{pair[0]}-{pair[1]}" if venue == "crypto" else f"{''.join(pair)}=X"


def _session(url: str | None) -> Any:
    """A browser-like session as yfinance wants one; with every host replaced by `url` where that is set."""
    from curl_cffi import requests

    if url is None:
        return requests.Session(impersonate="chrome")
    there = urlsplit(url)

    class Elsewhere(requests.Session):  # type: ignore[misc,type-arg,unused-ignore]
        def request(self, method: Any, url: Any, *arguments: Any, **more: Any) -> Any:  # type: ignore[override,unused-ignore]
            here = urlsplit(str(url))
            moved = urlunsplit((there.scheme, there.netloc, here.path or "/", here.query, ""))
            return super().request(method, moved, *arguments, **more)

    return Elsewhere()


def _day(moment: Any) -> str | None:
    """The ISO date of Unix seconds or of a pandas Timestamp, which it is once yfinance has formatted it."""
    if moment is None:
        return None
    seconds = moment.timestamp() if hasattr(moment, "timestamp") else float(moment)
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
