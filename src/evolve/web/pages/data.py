"""Which bars are there, and can they be trusted?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.cards import DataCard
from evolve.clock import SYSTEM_CLOCK
from evolve.errors import EvolveError
from evolve.market.types import TIMEFRAMES, Timeframe
from evolve.web import bars
from evolve.web.access import principal_of, require
from evolve.web.pages import frame
from evolve.web.pages.models import checked_timeframe
from evolve.web.pages.series import series_for, series_response
from evolve.web.problems import NotFound, status_of
from evolve.web.record import order_of
from evolve.web.uploads import form_with_file

if TYPE_CHECKING:
    from evolve.market.quality import Report

router = APIRouter(route_class=frame.PageRoute)
NEWEST: Final = 5_000


@dataclass(frozen=True, slots=True)
class Examined:
    """Bars and what is wrong with them. timeframes: at which there are others of this symbol."""

    card: DataCard
    report: Report
    notes: tuple[str, ...]
    timeframes: tuple[Timeframe, ...]
    currency: str
    bars_per_year: float


@router.get("/data")
async def data_page(request: Request) -> Response:
    return await _page(request)


async def _page(request: Request, error: EvolveError | None = None, given: Mapping[str, str] | None = None) -> Response:
    """Also with what was wrong with a form on it, and what stood in that."""
    require(request, "read")
    # The home's own list: bars can be looked at and brought in while every service is stopped.
    listed = await bars.listed(frame.settings_of(request))
    rows = sorted(
        ((each.symbol, "SIMULATED" if each.origin == "simulated" else each.origin) for each in listed),
        key=lambda row: (row[1] == "SIMULATED", row[0]),
    )
    own = {spec.symbol for spec in await bars.stored(frame.settings_of(request))}
    from evolve.market.sources.remote import SERVICES

    settings = frame.settings_of(request)
    return frame.page(
        request, "data.html", rows=rows, own=own, timeframes=TIMEFRAMES, sources=SERVICES, may="admin" in principal_of(request).scopes,
        most=settings.max_upload_bytes >> 20, error=error, given=given or {}, status=200 if error is None else status_of(error.code),
    )  # fmt: skip


@router.post("/data/import")
async def import_file(request: Request) -> Response:
    """Keep the bars of a file that a browser sends, and show what is wrong with them."""
    require(request, "admin")
    settings, symbol = frame.settings_of(request), ""
    try:
        async with form_with_file(request, settings, "file") as (form, path):
            symbol = form.get("symbol", "")
            said = {"timeframe": form.get("timeframe", ""), "currency": form.get("currency") or "USD"}
            order = order_of(bars.ImportOrder, {"symbol": symbol, **said})
            return _came_in(await bars.import_file(request, settings, path, order))
    except EvolveError as error:
        return await _page(request, error, {"import_symbol": symbol})


@router.post("/data/fetch")
async def fetch(request: Request) -> Response:
    """Ask a service for bars; returns when they are kept, which may take some minutes."""
    require(request, "admin")
    form = await frame.form_of(request)
    said = {name: form.get(name, "") for name in ("source", "timeframe", "first", "last")}
    ticked = {name: form.get(name) == "1" for name in ("allow_gaps", "replacing", "anew")}
    symbol = form.get("symbol", "")
    try:
        order = order_of(bars.FetchOrder, {**said, **ticked})
        return _came_in(await bars.fetch(request, frame.settings_of(request), symbol, order))
    except EvolveError as error:
        return await _page(request, error, {**said, "symbol": symbol})


@router.get("/data/{symbol}/remove")
async def confirm_removal(request: Request, symbol: str) -> Response:
    require(request, "admin")
    own = [spec for spec in await bars.stored(frame.settings_of(request)) if spec.symbol == symbol.strip().upper()]
    if not own:
        raise NotFound(f"no bars of {symbol[:20]!r} were imported or fetched; bundled and simulated ones stay")
    return frame.page(request, "data_remove.html", symbol=own[0].symbol, own=own)


@router.post("/data/{symbol}/remove")
async def remove(request: Request, symbol: str) -> Response:
    require(request, "admin")
    form = await frame.form_of(request)
    await bars.remove(request, frame.settings_of(request), symbol, form.get("timeframe") or None)
    return frame.see("/data")


def _came_in(kept: bars.BarsKept) -> Response:
    return frame.see(f"/data/{kept.card.symbol}?timeframe={kept.card.timeframe}&new=1")


@router.get("/data/{symbol}")
async def symbol_page(request: Request, symbol: str) -> Response:
    timeframe, simulate = (
        checked_timeframe(request.query_params.get("timeframe")),
        request.query_params.get("simulate") == "1",
    )
    settings = frame.settings_of(request)

    def examine() -> Examined:
        from evolve.market.catalog import Catalog, data_card
        from evolve.market.quality import examine as examined
        from evolve.market.store import BarStore

        catalog = Catalog(BarStore.open(settings))
        bars = catalog.load(symbol, timeframe, simulate=simulate)
        notes = bars.provenance.notes() if bars.provenance else ()
        return Examined(
            data_card(bars, SYSTEM_CLOCK.now()), examined(bars), tuple(notes), catalog.timeframes(bars.symbol), bars.currency, bars.bars_per_year
        )  # fmt: skip

    seen = await frame.looked_up(examine)
    own = any(spec.symbol == seen.card.symbol for spec in await bars.stored(frame.settings_of(request)))
    return frame.page(
        request, "symbol.html", seen=seen, simulate=simulate, is_new=request.query_params.get("new") == "1",
        may_remove=own and "admin" in principal_of(request).scopes,
    )  # fmt: skip


@router.get("/data/{symbol}/series.json")
async def symbol_series(request: Request, symbol: str) -> Response:
    """Its newest bars. Asked under a name that no model has, so that a symbol is never taken for one."""
    timeframe = checked_timeframe(request.query_params.get("timeframe"))
    simulate = request.query_params.get("simulate") == "1"
    return series_response(await series_for(request, symbol.upper(), timeframe=timeframe, simulate=simulate))
