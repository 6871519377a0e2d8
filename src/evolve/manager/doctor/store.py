"""Is what was kept whole: the database, the bars, what was to be told?

Each check imports what it looks with when it runs: whoever imports the doctor is a light process.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evolve.clock import SYSTEM_CLOCK
from evolve.errors import EvolveError
from evolve.manager.doctor.finding import Finding, fail, ok, warning
from evolve.manager.manager import ServiceManager
from evolve.settings import Settings

if TYPE_CHECKING:
    from evolve.market.catalog import Catalog

WEEK_S = 7 * 86_400.0
NEW_HOME = "there is none yet; the first question makes it"


def database(settings: Settings) -> list[Finding]:
    from evolve.memory.database import Database, is_begun

    if not is_begun(settings):
        return [ok("database", NEW_HOME)]
    with Database.open(settings) as opened:
        damage = opened.damage()
        if damage:
            return [fail("database", f"{opened.where} is damaged: {damage}", "evolve down, and put a copy of it back; what is lost are decisions and the registry")]  # fmt: skip
        return [ok("database", f"{opened.where}{_size(opened.path)}, schema {opened.schema_version()}")]


def _size(file: Path | None) -> str:
    return "" if file is None else f", {file.stat().st_size / (1 << 20):.1f} MiB"


def data(settings: Settings) -> list[Finding]:
    """Can all kept bars be read, and are those of watched models of today?"""
    from evolve.market.catalog import Catalog
    from evolve.market.store import BarStore

    catalog = Catalog(BarStore.open(settings))
    listings = catalog.listings()
    for listing in listings:
        if listing.origin == "imported":
            try:
                catalog.load(listing.symbol)
            except EvolveError as error:
                return [fail("data", f"bars of {listing.symbol} cannot be read: {error.message}", f"evolve data remove {listing.symbol}, and import or fetch them again")]  # fmt: skip
    stale = _stale(settings, catalog)
    if stale:
        return [warning("data", f"watched models have no bars of today: {', '.join(stale)}", "fetch them (`evolve data fetch`, docs/data.md) or import your own before each round")]  # fmt: skip
    real = [listing for listing in listings if listing.origin != "simulated"]
    own = sum(listing.origin == "imported" for listing in real)
    said = f"real bars of {len(real)} symbols ({own} of your own); all others are SIMULATED"
    return [ok("data", said)]


def _stale(settings: Settings, catalog: Catalog) -> list[str]:
    from evolve.market.catalog import data_card
    from evolve.memory.database import Database, is_begun
    from evolve.memory.watches import Watches

    if not is_begun(settings):
        return []
    with Database.open(settings) as opened:
        watched = Watches(opened).all()
    now = SYSTEM_CLOCK.now()
    cards = [(each, data_card(catalog.load(each.symbol, each.timeframe), now)) for each in watched if not each.simulate]
    return [f"{card.symbol} {card.timeframe} ends on {card.last}" for _, card in cards if card.status == "stale"]


def alerts(settings: Settings) -> list[Finding]:
    """Does what was to be told get through, and is somebody there to tell it? Nothing to say without rules."""
    from evolve.memory.alerts import AlertBook
    from evolve.memory.database import Database, is_begun

    if not is_begun(settings):
        return []
    with Database.open(settings) as opened:
        book = AlertBook(opened)
        rules, failed = book.rules(), book.log(limit=100, state="failed")
    if not rules:
        return []
    since = SYSTEM_CLOCK.now() - WEEK_S
    recent = [queued for queued in failed if queued.alert.at > since]
    if recent:
        at = datetime.fromtimestamp(recent[0].alert.at, UTC)
        return [warning("alerts", f"{len(recent)} alerts of this week could not be told, the last of {recent[0].alert.rule} on {at:%Y-%m-%d}: {recent[0].error}", f"evolve alerts test {recent[0].alert.rule}")]  # fmt: skip
    with ServiceManager(settings=settings) as manager:
        running = manager.get_service_status("updater")["updater"]["status"] == "running"
    if not running:
        return [
            warning("alerts", f"there are {len(rules)} rules, and the updater, which sends, does not run", "evolve up")
        ]
    return [ok("alerts", f"{len(rules)} rules, none failed this week")]
