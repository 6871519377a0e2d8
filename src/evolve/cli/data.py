"""`evolve data`: which bars are there, can they be trusted, and how to get more."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from evolve.cards import Costs, Curve, DataCard
from evolve.cli.show import console, draw, print_json, watch
from evolve.clock import SYSTEM_CLOCK, iso
from evolve.market.bars import Bars
from evolve.market.calendar import benchmark_of, default_costs, venue_of
from evolve.market.catalog import Catalog, data_card
from evolve.market.provenance import Provenance
from evolve.market.quality import Report, Verdict, examine
from evolve.market.store import BarStore
from evolve.settings import Settings

LAST_BARS = 5
MOST_POINTS = 400  # of a line in a chart: four to a column of a wide terminal
STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar as `show --json` prints it."""

    time: str
    open: float
    high: float
    low: float
    close: float
    volume: float | None


@dataclass(frozen=True, slots=True)
class Shown:
    """What `show`, `fetch` and `import` print as JSON."""

    card: DataCard
    currency: str
    bars_per_year: float
    venue: str
    benchmark: str | None
    costs: Costs
    available_at: str
    provenance: Provenance | None
    last_bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` prints as JSON."""

    verdict: Verdict
    report: Report


def list_symbols(*, as_json: bool = False) -> None:
    listings = _catalog().listings()
    if as_json:
        return print_json(listings)
    output = console()
    for listing in listings:
        origin = "SIMULATED" if listing.origin == "simulated" else listing.origin
        output.print(f"{listing.symbol:<12} {origin:<10} {' '.join(listing.timeframes)}")
    output.print("add your own: evolve data import FILE --symbol X, or evolve data fetch X --source NAME", style="dim")
    return None


def show(symbol: str, timeframe: str | None, *, simulate: bool, as_json: bool = False) -> None:
    bars = _catalog().load(symbol, timeframe, simulate=simulate)
    if as_json:
        return print_json(_shown(bars))
    card = data_card(bars, SYSTEM_CLOCK.now())
    output = console()
    output.print(
        f"{card.symbol} {card.timeframe}: {card.bars:,} bars, {card.first} to {card.last}, from {card.source} ({card.status})"
    )
    output.print(f"fingerprint {card.fingerprint}")
    costs, benchmark = default_costs(card.symbol), benchmark_of(card.symbol)
    output.print(
        f"venue {venue_of(card.symbol)}, in {bars.currency}: {bars.bars_per_year:g} bars a year, "
        f"benchmark {benchmark or 'none'}; unless told otherwise a trade costs {costs.fee_bps:g} bp fee and "
        f"{costs.slippage_bps:g} bp slippage a leg, a short {costs.borrow_bps_per_year:g} bp a year"
    )
    _print_notes(card.notes)
    for bar in range(max(0, len(bars) - LAST_BARS), len(bars)):
        output.print(
            f"{bars.date(bar)}  open {bars.open[bar]:.4f}  high {bars.high[bar]:.4f}  low {bars.low[bar]:.4f}  "
            f"close {bars.close[bar]:.4f}  volume {bars.volume[bar]:,.0f}"
        )
    return None


def fetch(
    symbol: str,
    service: str,
    timeframe: str,
    first: str | None,
    last: str | None,
    *,
    allow_gaps: bool,
    replacing: bool,
    anew: bool,
    as_json: bool = False,
) -> None:
    """Ask a service, hold its bars against the calendar, keep them."""
    from evolve.market.fetching import fetch_bars

    def wait(reason: str) -> None:
        print(f"{service}: {reason}", file=sys.stderr, flush=True)

    with watch() as told:

        def progress(bars: int, share: float) -> None:
            told({"stage": f"fetch {symbol}", "message": f"{bars:,} bars", "done": round(100 * share), "total": 100})

        found = fetch_bars(
            symbol, service, timeframe, Settings.load(), first=first, last=last, allow_gaps=allow_gaps, replacing=replacing,
            anew=anew, progress=progress, tell=wait,
        )  # fmt: skip
    fetched, kept = found.bars, found.kept
    bars = kept.bars
    if as_json:
        return print_json(_shown(bars))
    output = console()
    output.print(
        f"fetched {len(fetched):,} bars of {bars.symbol} at {bars.timeframe} from {bars.source}, {fetched.date(0)} to {fetched.date(-1)}"
    )
    if kept.replaced is not None:
        was = kept.replaced
        output.print(
            f"they replace {was.bars:,} bars, {was.first} to {was.last}" if was.bars else "they replace damaged bars"
        )
    elif len(bars) > len(fetched):
        output.print(f"with those kept before: {len(bars):,} bars, {bars.date(0)} to {bars.date(-1)}")
    _print_notes(bars.notes)
    output.print(f"next: evolve data check {bars.symbol} --timeframe {bars.timeframe}")
    return None


def import_bars(file: Path, symbol: str, timeframe: str | None, currency: str, *, as_json: bool = False) -> None:
    from evolve.market.fetching import known_timeframe
    from evolve.market.sources.files import import_file

    chosen = None if timeframe is None else known_timeframe(timeframe)
    bars = import_file(file, symbol, chosen, store=BarStore.open(Settings.load()), currency=currency)
    if as_json:
        return print_json(_shown(bars))
    output = console()
    output.print(f"imported {len(bars):,} bars of {bars.symbol} at {bars.timeframe}, {bars.date(0)} to {bars.date(-1)}")
    _print_notes(bars.notes)
    output.print(f'next: evolve ask "Give me the best model for {bars.symbol} over 90 days"')
    return None


def check(symbol: str, timeframe: str | None, *, simulate: bool, png: Path | None, as_json: bool = False) -> int:
    """The quality report with a chart; 1 for bad data, else 0."""
    bars = _catalog().load(symbol, timeframe, simulate=simulate)
    report = examine(bars)
    if png is not None:
        from evolve.charts.equity import equity_png

        title = f"{bars.symbol} {bars.timeframe}: close, {report.first} to {report.last}"
        equity_png([_curve(bars)], title=title, source=bars.source, path=png)
    if as_json:
        print_json(Checked(report.verdict, report))
    else:
        _print_report(bars, report)
        if png is not None:
            console().print(f"chart: {png}", style="dim")
    return 1 if report.verdict == "bad" else 0


def remove(symbol: str, timeframe: str | None, *, as_json: bool = False) -> None:
    from evolve.audit_trail import AuditTrail, user_of_this_machine
    from evolve.market.fetching import remove_bars

    settings = Settings.load()
    home = settings.home
    found = remove_bars(symbol, timeframe, BarStore.open(settings))
    for spec in found:
        AuditTrail(home).record("remove_bars", who=user_of_this_machine(), symbol=spec.symbol, timeframe=spec.timeframe)
        if not as_json:
            print(f"removed {spec.symbol} {spec.timeframe}; models built on it stay, and say which bars they saw")
    if as_json:
        print_json(found)


def _print_report(bars: Bars, report: Report) -> None:
    output = console()
    if len(bars) > 1:
        output.print(Text.from_ansi(draw([_curve(bars)], output)))
    known = (
        ""
        if report.expected is None
        else f"; the calendar of {report.venue} has {report.expected:,}, {report.missing:,} are missing"
    )
    output.print(
        f"{bars.symbol} {bars.timeframe}: {report.bars:,} bars, {report.first} to {report.last}, from {bars.source}{known}"
    )
    if bars.provenance is not None:
        _print_notes(bars.provenance.notes())
    for finding in report.findings:
        output.print(f"{finding.weight:<8} {finding.sentence}", style=STYLES[finding.weight], markup=False)
    style = {"good": "bold green", "usable": "bold yellow", "bad": "bold red"}[report.verdict]
    words = {
        "good": "GOOD: nothing looks wrong",
        "usable": "USABLE: read the warnings first",
        "bad": "BAD: figures on these bars mean nothing",
    }[report.verdict]
    output.print(words, style=style)


def _print_notes(notes: Sequence[str]) -> None:
    output = console()
    for note in notes:
        loud = note.startswith(("SIMULATED", "BAD DATA", "DELISTED"))
        output.print(f"• {note}", style="bold red" if loud else "dim", markup=False)


def _shown(bars: Bars) -> Shown:
    known_at = SYSTEM_CLOCK.now()
    last = range(max(0, len(bars) - LAST_BARS), len(bars))
    return Shown(
        card=data_card(bars, known_at),
        currency=bars.currency,
        bars_per_year=bars.bars_per_year,
        venue=venue_of(bars.symbol),
        benchmark=benchmark_of(bars.symbol),
        costs=default_costs(bars.symbol),
        available_at=_iso(int(bars.available_at[-1])),
        provenance=bars.provenance,
        last_bars=tuple(
            Bar(
                time=_iso(int(bars.time[bar])),
                open=float(bars.open[bar]),
                high=float(bars.high[bar]),
                low=float(bars.low[bar]),
                close=float(bars.close[bar]),
                volume=None if bars.volume[bar] != bars.volume[bar] else float(bars.volume[bar]),
            )
            for bar in last
        ),
    )


def _curve(bars: Bars) -> Curve:
    """The closes as growth of 1, thinned; first and last are kept."""
    step = max(1, len(bars) // MOST_POINTS)
    chosen = sorted({*range(0, len(bars), step), len(bars) - 1})
    return Curve(
        name=f"{bars.symbol} close",
        dates=tuple(bars.date(bar) for bar in chosen),
        equity=tuple(float(bars.close[bar] / bars.close[0]) for bar in chosen),
        simulated=bars.simulated,
    )


def _iso(ms: int) -> str:
    return iso(ms / 1000)


def _catalog() -> Catalog:
    return Catalog(BarStore.open(Settings.load()))
