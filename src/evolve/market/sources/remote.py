"""Which services give bars, and how is a line to one of them made? Clients are imported when they are asked for.

Keys come from the settings only. A service is chosen by name and answers or fails; nothing here tries another one instead.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import BadAnswer, InvalidRequest
from evolve.market.calendar import Venue, venue_of
from evolve.market.sources.base import DAY_MS, BarSpec, Source, Span
from evolve.market.sources.pace import Allowance
from evolve.market.types import TIMEFRAMES, Timeframe
from evolve.settings import Settings

Service = Literal["alpaca", "ccxt", "polygon", "stooq", "tiingo", "yfinance"]
SERVICES: tuple[Service, ...] = get_args(Service)

# How far back to ask when nobody says: enough for evidence at each timeframe, and little enough for a free plan.
DEFAULT_DAYS: dict[Timeframe, int] = {
    "1m": 30, "5m": 90, "15m": 180, "30m": 365, "1h": 730, "4h": 730, "1d": 3650, "1w": 3650,
}  # fmt: skip


def unsaid(reason: str) -> None:
    """For whoever does not want to hear why a client waits."""


def remote_source(
    service: str,
    settings: Settings,
    *,
    allow_gaps: bool = False,
    fresh_s: float | None = None,
    clock: Clock = SYSTEM_CLOCK,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
    tell: Callable[[str], None] = unsaid,
) -> Source:
    """The named service, ready to load; its time limit runs from here.

    fresh_s: how old a kept answer may be; None as configured, 0 to ask anew. tell: hears why the client waits. Raises InvalidRequest for a service there is none
    of, MissingExtra when its client is not installed.
    """

    def line(base: str, allowance: Allowance) -> Any:
        from evolve.market.sources.line import Line

        per_minute = settings.service(service, "per_minute", 0, at_least=1)
        return Line(
            service,
            base,
            Allowance(per_minute, 60.0) if per_minute else allowance,
            settings.answers,
            fresh_s=settings.data_fresh_s if fresh_s is None else fresh_s,
            limit_s=settings.data_limit_s,
            clock=clock,
            sleep=sleep,
            jitter=jitter,
            tell=tell,
        )

    def client(allowance: Allowance, translate: Any) -> Any:
        from evolve.market.sources.client import Client

        return Client(
            service,
            allowance,
            settings.answers,
            translate,
            fresh_s=settings.data_fresh_s if fresh_s is None else fresh_s,
            limit_s=settings.data_limit_s,
            clock=clock,
            sleep=sleep,
            jitter=jitter,
            tell=tell,
        )

    match service:
        case "stooq":
            from evolve.market.sources import stooq

            return stooq.Stooq(line(settings.stooq_url, stooq.ALLOWANCE), settings.stooq_api_key, allow_gaps=allow_gaps)
        case "tiingo":
            from evolve.market.sources import tiingo

            return tiingo.Tiingo(
                line(settings.tiingo_url, tiingo.ALLOWANCE), settings.tiingo_api_key, allow_gaps=allow_gaps
            )
        case "polygon":
            from evolve.market.sources import polygon

            return polygon.Polygon(
                line(settings.polygon_url, polygon.ALLOWANCE), settings.polygon_api_key, allow_gaps=allow_gaps
            )
        case "alpaca":
            from evolve.market.sources import alpaca

            return alpaca.Alpaca(
                line(settings.alpaca_url, alpaca.ALLOWANCE),
                settings.alpaca_key_id,
                settings.alpaca_secret_key,
                feed=settings.alpaca_feed,
                allow_gaps=allow_gaps,
            )
        case "ccxt":
            from evolve.market.sources import ccxt

            return ccxt.Ccxt(
                client(ccxt.ALLOWANCE, ccxt.translate), settings.ccxt_exchange, settings.ccxt_url, allow_gaps=allow_gaps
            )
        case "yfinance":
            from evolve.market.sources import yfinance

            return yfinance.Yfinance(
                client(yfinance.ALLOWANCE, yfinance.translate),
                settings.yahoo_url,
                directory=str(settings.answers / "yfinance"),
                allow_gaps=allow_gaps,
            )
        case _:
            raise InvalidRequest(f"there is no source {service!r}; use one of {', '.join(SERVICES)}")


def default_span(spec: BarSpec, now: float) -> Span:
    """The last DEFAULT_DAYS up to and with today."""
    end = (int(now * 1000) // DAY_MS + 1) * DAY_MS
    return Span(end - (DEFAULT_DAYS[spec.timeframe] + 1) * DAY_MS, end)


def only(
    source: str, spec: BarSpec, timeframes: tuple[Timeframe, ...] = TIMEFRAMES, venues: tuple[Venue, ...] | None = None
) -> None:
    """Raises InvalidRequest when a source cannot serve such a timeframe or venue at all."""
    if spec.timeframe not in timeframes:
        raise InvalidRequest(
            f"{source} has no {spec.timeframe} bars, only {', '.join(timeframes)}; ask for those, or another source"
        )
    venue = venue_of(spec.symbol)
    if venues is not None and venue not in venues:
        raise InvalidRequest(
            f"{source} serves {' and '.join(venues)} here, and {spec.symbol} is {venue}; ask another source"
        )


def dated_ms(text: str) -> int:
    """Midnight UTC (ms) of an ISO date; raises ValueError."""
    day = date.fromisoformat(text[:10])
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def moment_ms(text: str) -> int:
    """Unix ms of an ISO moment with a zone; raises ValueError, also without one."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return round(moment.timestamp() * 1000)


def numbers(item: Mapping[str, Any], names: tuple[str, ...], source: str) -> list[float]:
    """The numbers under these names. Raises BadAnswer naming the first that is none: a hole is never filled."""
    found = []
    for name in names:
        value = item.get(name) if isinstance(item, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadAnswer(
                f"{source} sent a bar whose {name!r} is {value!r}; try again later, or report it to {source}",
                source=source,
            )
        found.append(float(value))
    return found


def listed(value: Any, source: str, url: str) -> list[Any]:
    """`value` if it is a list, [] for null. Raises BadAnswer otherwise."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadAnswer(f"{source} answered something other than a list of bars: {url}", source=source)
    return value
