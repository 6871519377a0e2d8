"""How do bars come from a service into the store, and how do kept ones go? One way for the command line and the pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evolve.clock import SYSTEM_CLOCK
from evolve.errors import DataUnavailable, InvalidRequest
from evolve.market.bars import Bars
from evolve.market.keeping import Kept, keep
from evolve.market.sources.base import BarSpec, Progress, Span, unheard
from evolve.market.sources.remote import default_span, remote_source, unsaid
from evolve.market.store import BarStore
from evolve.market.types import TIMEFRAMES, Timeframe, parse_symbol
from evolve.settings import Settings


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a service sent, and what is kept now."""

    bars: Bars
    kept: Kept


def fetch_bars(
    symbol: str,
    service: str,
    timeframe: str,
    settings: Settings,
    *,
    first: str | None = None,
    last: str | None = None,
    allow_gaps: bool = False,
    replacing: bool = False,
    anew: bool = False,
    progress: Progress = unheard,
    tell: Callable[[str], None] = unsaid,
) -> Fetched:
    """Ask a service for bars, hold them against the calendar, keep them.

    first, last: ISO dates, both included; None: far enough back for evidence, to today. Raises InvalidRequest, DataUnavailable,
    MissingExtra, and whatever the service's client raises.
    """
    try:
        spec = BarSpec(parse_symbol(symbol), known_timeframe(timeframe))
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    usual = default_span(spec, SYSTEM_CLOCK.now())
    span = Span.of_days(first or min(usual.first, last or usual.first), last or usual.last)
    source = remote_source(service, settings, allow_gaps=allow_gaps, fresh_s=0.0 if anew else None, tell=tell)
    fetched = source.load(spec, span, progress)
    return Fetched(fetched, keep(fetched, BarStore.open(settings), replacing=replacing))


def remove_bars(symbol: str, timeframe: str | None, store: BarStore) -> list[BarSpec]:
    """Forget imported or fetched bars; what was removed. timeframe: None for all. Raises DataUnavailable where there are none."""
    wanted = symbol.strip().upper()
    found = [spec for spec in store.symbols() if spec.symbol == wanted and timeframe in (None, spec.timeframe)]
    if not found:
        have = ", ".join(f"{spec.symbol} {spec.timeframe}" for spec in store.symbols()) or "none"
        raise DataUnavailable(
            f"no bars of {wanted}{f' at {timeframe}' if timeframe else ''} have been imported; imported are: {have}"
        )
    for spec in found:
        store.remove(spec)
    return found


def known_timeframe(text: str) -> Timeframe:
    """Raises InvalidRequest."""
    found = next((each for each in TIMEFRAMES if each == text), None)
    if found is None:
        raise InvalidRequest(f"{text!r} is not a timeframe; use one of {', '.join(TIMEFRAMES)}")
    return found
