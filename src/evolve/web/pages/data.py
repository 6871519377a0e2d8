"""Which bars are there, and can they be trusted?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.cards import DataCard
from evolve.clock import SYSTEM_CLOCK
from evolve.contracts.quant_gpt import GetAvailableSymbols
from evolve.market.types import Timeframe
from evolve.web.pages import frame
from evolve.web.pages.models import checked_timeframe
from evolve.web.pages.series import series_for, series_response

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
    reply = await frame.told(request, GetAvailableSymbols())
    rows = sorted(reply.sources.items(), key=lambda item: (item[1] == "SIMULATED", item[0]))
    return frame.page(request, "data.html", rows=rows)


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

    return frame.page(request, "symbol.html", seen=await frame.looked_up(examine), simulate=simulate)


@router.get("/data/{symbol}/series.json")
async def symbol_series(request: Request, symbol: str) -> Response:
    """Its newest bars. Asked under a name that no model has, so that a symbol is never taken for one."""
    timeframe = checked_timeframe(request.query_params.get("timeframe"))
    simulate = request.query_params.get("simulate") == "1"
    return series_response(await series_for(request, symbol.upper(), timeframe=timeframe, simulate=simulate))
