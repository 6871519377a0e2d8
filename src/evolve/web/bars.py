"""Which bars does this home have, and how do more come in from a browser? What `evolve data` does, behind the same checks.

Nothing of it is a message: bars are the home's own files, and a file is not sent over the bus.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from evolve.cards import DataCard
from evolve.clock import SYSTEM_CLOCK
from evolve.market.types import Symbol, Timeframe
from evolve.settings import Settings
from evolve.web.record import put_on_trail

if TYPE_CHECKING:
    from evolve.market.bars import Bars
    from evolve.market.catalog import Listing
    from evolve.market.quality import Report
    from evolve.market.sources.base import BarSpec

_turn = asyncio.Lock()
MayBeNone = BeforeValidator(lambda value: None if value == "" else value)


class ImportOrder(BaseModel):
    """What a file holds. timeframe: null finds it from the stamps. currency: of the prices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: Symbol
    timeframe: Annotated[Timeframe | None, MayBeNone] = None
    currency: str = Field("USD", pattern=r"^[A-Z]{3,5}$")


class FetchOrder(BaseModel):
    """Which bars to get from a service. first, last: ISO dates, both included; null: far enough back for evidence, to today.

    allow_gaps: keep them though sessions are missing. replacing: give up bars that are kept already. anew: ask though an answer is at hand.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(min_length=1, max_length=40, examples=["stooq"])
    timeframe: Timeframe = "1d"
    first: Annotated[str | None, MayBeNone] = Field(None, pattern=r"^\d{4}-\d{2}-\d{2}$")
    last: Annotated[str | None, MayBeNone] = Field(None, pattern=r"^\d{4}-\d{2}-\d{2}$")
    allow_gaps: bool = False
    replacing: bool = False
    anew: bool = False


@dataclass(frozen=True, slots=True)
class BarsKept:
    """Bars that came in, what is wrong with them, and what they replaced or were joined with."""

    card: DataCard
    report: Report
    notes: tuple[str, ...]


async def listed(settings: Settings) -> list[Listing]:
    def look() -> list[Listing]:
        from evolve.market.catalog import Catalog
        from evolve.market.store import BarStore

        return Catalog(BarStore.open(settings)).listings()

    return await run_in_threadpool(look)


async def stored(settings: Settings) -> list[BarSpec]:
    """What was imported or fetched: what can be removed."""

    def look() -> list[BarSpec]:
        from evolve.market.store import BarStore

        return list(BarStore.open(settings).symbols())

    return await run_in_threadpool(look)


async def import_file(request: Request, settings: Settings, path: Path, order: ImportOrder) -> BarsKept:
    """Keep the bars of a file that was sent. Raises InvalidRequest naming row and column, TooLarge, Unavailable."""
    await put_on_trail(request, settings, "import_bars", symbol=order.symbol, timeframe=order.timeframe, file=path.name)

    def work() -> BarsKept:
        from evolve.market.sources.files import import_file
        from evolve.market.store import BarStore

        return _kept(
            import_file(path, order.symbol, order.timeframe, store=BarStore.open(settings), currency=order.currency)
        )

    # One at a time: two large files at once would take the memory of everything else here.
    async with _turn:
        return await run_in_threadpool(work)


async def fetch(request: Request, settings: Settings, symbol: str, order: FetchOrder) -> BarsKept:
    """Ask a service for bars and keep them. Raises as `market.fetching.fetch_bars` does."""
    await put_on_trail(
        request, settings, "fetch_bars", symbol=symbol, timeframe=order.timeframe, source=order.source,
        replacing=order.replacing,
    )  # fmt: skip

    def work() -> BarsKept:
        from evolve.market.fetching import fetch_bars

        found = fetch_bars(
            symbol, order.source, order.timeframe, settings, first=order.first, last=order.last, allow_gaps=order.allow_gaps,
            replacing=order.replacing, anew=order.anew,
        )  # fmt: skip
        return _kept(found.kept.bars)

    return await run_in_threadpool(work)


async def remove(request: Request, settings: Settings, symbol: str, timeframe: str | None) -> list[BarSpec]:
    """Raises DataUnavailable where nothing of it was imported."""
    await put_on_trail(request, settings, "remove_bars", symbol=symbol, timeframe=timeframe)

    def work() -> list[BarSpec]:
        from evolve.market.fetching import remove_bars
        from evolve.market.store import BarStore

        return remove_bars(symbol, timeframe, BarStore.open(settings))

    return await run_in_threadpool(work)


def _kept(bars: Bars) -> BarsKept:
    from evolve.market.catalog import data_card
    from evolve.market.quality import examine

    return BarsKept(data_card(bars, SYSTEM_CLOCK.now()), examine(bars), bars.notes)
