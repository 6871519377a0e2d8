"""`evolve data`: which bars are there, and how to add one's own."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from evolve.cli.show import console
from evolve.clock import SYSTEM_CLOCK
from evolve.errors import DataUnavailable, InvalidRequest
from evolve.market.catalog import Catalog, data_card
from evolve.market.store import BarStore
from evolve.market.types import TIMEFRAMES, Timeframe
from evolve.settings import Settings

LAST_BARS = 5


def list_symbols() -> None:
    output = console()
    for listing in _catalog().listings():
        origin = "SIMULATED" if listing.origin == "simulated" else listing.origin
        output.print(f"{listing.symbol:<12} {origin:<10} {' '.join(listing.timeframes)}")
    output.print("add your own: evolve data import FILE --symbol X", style="dim")


def show(symbol: str, timeframe: str | None, *, simulate: bool) -> None:
    bars = _catalog().load(symbol, timeframe, simulate=simulate)
    card = data_card(bars, SYSTEM_CLOCK.now())
    output = console()
    output.print(
        f"{card.symbol} {card.timeframe}: {card.bars:,} bars, {card.first} to {card.last}, from {card.source} ({card.status})"
    )
    output.print(f"fingerprint {card.fingerprint}")
    for note in card.notes:
        output.print(f"• {note}", style="bold red" if note.startswith("SIMULATED") else "dim")
    for bar in range(max(0, len(bars) - LAST_BARS), len(bars)):
        output.print(
            f"{bars.date(bar)}  open {bars.open[bar]:.4f}  high {bars.high[bar]:.4f}  low {bars.low[bar]:.4f}  "
            f"close {bars.close[bar]:.4f}  volume {bars.volume[bar]:,.0f}"
        )


def import_bars(file: Path, symbol: str, timeframe: str | None, currency: str) -> None:
    from evolve.market.sources.files import import_file

    chosen = (
        TypeAdapter(Timeframe | None).validate_python(timeframe)
        if timeframe in (None, *TIMEFRAMES)
        else _unknown(timeframe)
    )
    bars = import_file(file, symbol, chosen, store=BarStore(Settings.load().home), currency=currency)
    output = console()
    output.print(f"imported {len(bars):,} bars of {bars.symbol} at {bars.timeframe}, {bars.date(0)} to {bars.date(-1)}")
    for note in bars.notes:
        output.print(f"• {note}", style="dim")
    output.print(f'next: evolve ask "Give me the best model for {bars.symbol} over 90 days"')


def remove(symbol: str, timeframe: str | None) -> None:
    store = BarStore(Settings.load().home)
    wanted = symbol.strip().upper()
    found = [spec for spec in store.symbols() if spec.symbol == wanted and timeframe in (None, spec.timeframe)]
    if not found:
        have = ", ".join(f"{spec.symbol} {spec.timeframe}" for spec in store.symbols()) or "none"
        raise DataUnavailable(
            f"no bars of {wanted}{f' at {timeframe}' if timeframe else ''} have been imported; imported are: {have}"
        )
    for spec in found:
        store.remove(spec)
        print(f"removed {spec.symbol} {spec.timeframe}; models built on it stay, and say which bars they saw")


def _unknown(timeframe: str | None) -> Timeframe:
    raise InvalidRequest(f"{timeframe!r} is not a timeframe; use one of {', '.join(TIMEFRAMES)}")


def _catalog() -> Catalog:
    return Catalog(BarStore(Settings.load().home))
