"""What does the system stand on: which bars are there and can they be trusted, and does everything run? Answered here, without a service."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, Field

from evolve.clock import SYSTEM_CLOCK
from evolve.mcp.calls import Caller
from evolve.messaging.control import service_status
from evolve.messaging.messages import Reply, Request
from evolve.services import SERVICES
from evolve.settings import Settings
from evolve.version import VERSION


class Stretch(BaseModel):
    """Bars that can be asked about. origin: imported, sample (bundled, real, 2000–2013) or simulated (invented prices)."""

    symbol: str
    origin: str
    timeframes: tuple[str, ...]


class Complaint(BaseModel):
    """One thing that is wrong with bars. weight: error (figures on them mean nothing), warning (they may mislead) or info."""

    weight: str
    sentence: str
    bars: int


class Quality(BaseModel):
    """verdict: good, usable or bad; status: current, stale or simulated; missing: bars that the venue's calendar has and these have not."""

    symbol: str
    timeframe: str
    verdict: str
    status: str
    simulated: bool
    source: str
    fingerprint: str
    bars: int
    first: str
    last: str
    last_close: float
    missing: int | None
    complaints: tuple[Complaint, ...]
    notes: tuple[str, ...]


class DataInspected(Reply):
    """listed: every symbol, when none was named; quality: of the one that was."""

    listed: tuple[Stretch, ...]
    quality: Quality | None


class InspectData(Request[DataInspected], service="mcp"):
    """Which bars there are; with a symbol, whether they can be trusted. timeframe: null means the finest with real bars."""

    symbol: str | None = Field(default=None, max_length=64)
    timeframe: str | None = Field(default=None, max_length=8)
    simulate: bool = False


class ServiceState(BaseModel):
    """state: running, stopping or stopped; oldest_s: age of the oldest waiting request; dead: messages that could not be answered."""

    name: str
    state: str
    replicas: int
    in_flight: int
    queued: int
    oldest_s: float
    dead: int


class SystemStatus(Reply):
    """to_do: what to tell the user, empty when all is well."""

    version: str
    server: str
    allow_run: bool
    services: tuple[ServiceState, ...]
    to_do: tuple[str, ...]


class GetSystemStatus(Request[SystemStatus], service="mcp"):
    """Which services run, what waits, what could not be answered, and what to do about it."""


async def inspect_data(caller: Caller, request: InspectData) -> DataInspected:
    return await asyncio.to_thread(_inspect, caller.client.settings, request)


def _inspect(settings: Settings, request: InspectData) -> DataInspected:
    from evolve.market.catalog import Catalog, data_card
    from evolve.market.quality import examine
    from evolve.market.store import BarStore

    catalog = Catalog(BarStore.open(settings))
    if request.symbol is None:
        listed = tuple(
            Stretch(symbol=each.symbol, origin=each.origin, timeframes=each.timeframes) for each in catalog.listings()
        )
        return DataInspected(listed=listed, quality=None)
    bars = catalog.load(request.symbol, request.timeframe, simulate=request.simulate)
    card, report = data_card(bars, SYSTEM_CLOCK.now()), examine(bars)
    quality = Quality(
        symbol=card.symbol, timeframe=card.timeframe, verdict=report.verdict, status=card.status, simulated=card.simulated, source=card.source,
        fingerprint=card.fingerprint, bars=card.bars, first=card.first, last=card.last, last_close=float(bars.close[-1]), missing=report.missing,
        complaints=tuple(Complaint(weight=each.weight, sentence=each.sentence, bars=each.bars) for each in report.findings), notes=card.notes,
    )  # fmt: skip
    return DataInspected(listed=(), quality=quality)


async def system_status(caller: Caller, request: GetSystemStatus) -> SystemStatus:
    del request  # it has no fields
    bus = caller.client.bus
    found = await asyncio.gather(*(service_status(bus, name) for name in SERVICES))
    services = tuple(
        ServiceState(
            name=name, state=status["state"], replicas=len(status["replicas"]), in_flight=sum(each["in_flight"] for each in status["replicas"]),
            queued=status["queued"], oldest_s=status["oldest_s"], dead=status["dead"],
        )
        for name, status in zip(SERVICES, found, strict=True)
    )  # fmt: skip
    stopped = [each.name for each in services if each.state != "running"]
    dead = [each.name for each in services if each.dead]
    to_do = []
    if stopped:
        to_do.append(f"not running: {', '.join(stopped)}. `evolve up` starts them")
    if dead:
        to_do.append(f"messages of {', '.join(dead)} could not be answered: `evolve bus dead list SERVICE` shows them")
    return SystemStatus(
        version=VERSION, server=bus.address, allow_run=caller.allow_run, services=services, to_do=tuple(to_do)
    )
