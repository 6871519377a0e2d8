"""Which bars answer for a symbol, and do they still speak of today? The one door through which agents get bars.

Imported bars come first, then the bundled real sample. Invented bars are served only where a user cannot take them for real
ones: for the specification's symbols that have no real bars at all, or when asked for by name (`simulate=True`). They never
stand in for a real symbol's missing timeframe, nor for anything that failed to load.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

from evolve.cards import DataCard, DataStatus
from evolve.errors import DataUnavailable, InvalidRequest, UnknownSymbol, nearest
from evolve.market.bars import Bars
from evolve.market.calendar import stale_after_s
from evolve.market.resample import resample
from evolve.market.sources.base import BarSpec, Listed
from evolve.market.sources.sample import SampleSource
from evolve.market.sources.simulated import SimulatedSource
from evolve.market.store import BarStore
from evolve.market.types import SPECIFIED_SYMBOLS, TIMEFRAME_SECONDS, TIMEFRAMES, Timeframe, parse_symbol

Origin = Literal["imported", "sample", "simulated"]

# Without real bars there is no finest real timeframe; days reach back furthest (2017), and evidence needs years.
SIMULATED_DEFAULT: Timeframe = "1d"


@dataclass(frozen=True, slots=True)
class Listing:
    """A symbol that can be asked about: where its bars come from, the timeframes on record, and the coarser ones made of them."""

    symbol: str
    origin: Origin
    recorded: tuple[Timeframe, ...]
    timeframes: tuple[Timeframe, ...]


class Catalog:
    """Every symbol there is, over one store. allow_simulated=False: no invented bars at all, not even when asked for."""

    def __init__(self, store: BarStore, *, allow_simulated: bool = True) -> None:
        self.allow_simulated = allow_simulated
        self._real: tuple[tuple[Origin, Listed], ...] = (("imported", store), ("sample", SampleSource()))
        self._simulated = SimulatedSource()

    def load(self, symbol: str, timeframe: str | None = None, *, simulate: bool = False) -> Bars:
        """Bars of `symbol`; without a timeframe the finest real ones (imported before sample), or daily simulated ones.

        A coarser timeframe is made from the coarsest recorded one that is finer. Raises InvalidRequest for what cannot be a
        symbol or timeframe, UnknownSymbol with the nearest names, and DataUnavailable naming what there is instead.
        """
        symbol = _symbol(symbol)
        wanted = None if timeframe is None else _timeframe(timeframe)
        recorded = self._recorded()
        known = sorted({spec.symbol for _, specs in recorded for spec in specs} | set(SPECIFIED_SYMBOLS))
        if symbol not in known:
            raise UnknownSymbol(_unknown(symbol, known), symbol=symbol, nearest=nearest(symbol, known))
        if simulate:
            return self._simulate(symbol, wanted)
        has_real_bars = False
        for source, specs in recorded:
            own = sorted((spec.timeframe for spec in specs if spec.symbol == symbol), key=_seconds)
            has_real_bars = has_real_bars or bool(own)
            finer = [timeframe for timeframe in own if wanted is None or _seconds(timeframe) <= _seconds(wanted)]
            if finer:
                start = finer[0] if wanted is None else finer[-1]
                return resample(source.load(BarSpec(symbol, start)), wanted or start)
        if has_real_bars:
            raise DataUnavailable(self._no_timeframe(symbol, wanted), symbol=symbol, timeframe=wanted)
        if not self.allow_simulated:
            raise DataUnavailable(f"there are no real bars of {symbol}; {_how_to_import(symbol)}", symbol=symbol)
        return self._simulate(symbol, wanted)

    def symbols(self) -> list[str]:
        """The names `load` knows without being asked to simulate, sorted."""
        return [listing.symbol for listing in self.listings()]

    def listings(self) -> list[Listing]:
        """One entry per symbol, sorted; the first origin that has bars is the one `load` tries first."""
        listings: dict[str, Listing] = {}
        for (origin, _), (_, specs) in zip(self._real, self._recorded(), strict=True):
            for symbol in {spec.symbol for spec in specs} - listings.keys():
                recorded = sorted((spec.timeframe for spec in specs if spec.symbol == symbol), key=_seconds)
                listings[symbol] = Listing(symbol, origin, tuple(recorded), self.timeframes(symbol))
        if self.allow_simulated:
            for symbol in set(SPECIFIED_SYMBOLS) - listings.keys():
                listings[symbol] = Listing(symbol, "simulated", TIMEFRAMES, TIMEFRAMES)
        return [listings[symbol] for symbol in sorted(listings)]

    def timeframes(self, symbol: str) -> tuple[Timeframe, ...]:
        """The timeframes at which `symbol` has real bars, recorded or made from finer ones; empty when it has none."""
        own = [spec.timeframe for _, specs in self._recorded() for spec in specs if spec.symbol == symbol]
        finest = min(map(_seconds, own), default=None)
        return tuple(timeframe for timeframe in TIMEFRAMES if finest is not None and _seconds(timeframe) >= finest)

    def _recorded(self) -> list[tuple[Listed, list[BarSpec]]]:
        return [(source, source.symbols()) for _, source in self._real]

    def _simulate(self, symbol: str, wanted: Timeframe | None) -> Bars:
        if not self.allow_simulated:
            raise DataUnavailable(f"simulated bars are switched off here; {_how_to_import(symbol)}", symbol=symbol)
        return self._simulated.load(BarSpec(symbol, wanted or SIMULATED_DEFAULT))

    def _no_timeframe(self, symbol: str, wanted: Timeframe | None) -> str:
        available = self.timeframes(symbol)
        return f"{symbol} has no real bars at {wanted}, only at {' and '.join(available)}; ask for {available[0]}, or {_how_to_import(symbol, wanted)}"


def data_card(bars: Bars, now: float) -> DataCard:
    """What an answer says about its bars. now: Unix seconds. Stale when the last bar ended too long ago (`stale_after_s`)."""
    return DataCard(
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        source=bars.source,
        fingerprint=bars.fingerprint,
        bars=len(bars),
        first=bars.date(0),
        last=bars.date(-1),
        simulated=bars.simulated,
        status=_status(bars.symbol, bars.timeframe, int(bars.time[-1]) / 1000, now, simulated=bars.simulated),
        notes=bars.notes,
    )


def status_now(card: DataCard, now: float) -> DataStatus:
    """The status of data that were described earlier: what was current then may be stale by now."""
    last = datetime.fromisoformat(card.last)
    began = (last if last.tzinfo else last.replace(tzinfo=UTC)).timestamp()
    return _status(card.symbol, cast("Timeframe", card.timeframe), began, now, simulated=card.simulated)


def _status(symbol: str, timeframe: Timeframe, last_bar: float, now: float, *, simulated: bool) -> DataStatus:
    if simulated:
        return "simulated"
    return "stale" if now - last_bar - TIMEFRAME_SECONDS[timeframe] > stale_after_s(symbol, timeframe) else "current"


def _symbol(text: str) -> str:
    try:
        return parse_symbol(text)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def _timeframe(text: str) -> Timeframe:
    for timeframe in TIMEFRAMES:
        if timeframe == text.strip().lower():
            return timeframe
    raise InvalidRequest(f"{text!r} is not a timeframe; use one of {', '.join(TIMEFRAMES)}")


def _seconds(timeframe: Timeframe) -> int:
    return TIMEFRAME_SECONDS[timeframe]


def _unknown(symbol: str, known: list[str]) -> str:
    near = nearest(symbol, known)
    meant = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(known)}."
    return f"no symbol {symbol!r} here; {meant} To add it: {_how_to_import(symbol)}"


def _how_to_import(symbol: str, timeframe: Timeframe | None = None) -> str:
    bars = "bars" if timeframe is None else f"{timeframe} bars"
    return f"import {bars} of your own: evolve data import FILE --symbol {symbol}"
