"""Which numbers does a chart on a page draw? Asked once for a model, whose series never change, and then kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import orjson
from fastapi import Request
from starlette.responses import Response

from evolve.cards import Curve
from evolve.contracts.multimodal import GetSeries
from evolve.market.types import Timeframe
from evolve.series import ChartSeries
from evolve.web.access import require
from evolve.web.pages import frame

KEPT: Final = 12  # some 0.5 MB each as objects
HEAT_QUANTILE: Final = 0.9  # of the months' sizes: one crash must not make all other months look alike

_series: OrderedDict[str, ChartSeries] = OrderedDict()


async def series_for(
    request: Request, source: str, *, timeframe: Timeframe | None = None, simulate: bool = False
) -> ChartSeries:
    """Raises InvalidRequest, DataUnavailable, Unavailable. Of models they are kept: a model's bars are named by their fingerprint."""
    require(request, GetSeries.effect)
    found = _series.get(source)
    if found is not None:
        _series.move_to_end(source)
        return found
    reply = await frame.told(request, GetSeries(data_source=source, timeframe=timeframe, simulate=simulate))
    if reply.series.about == source and reply.series.lines:
        _series[source] = reply.series
        while len(_series) > KEPT:
            _series.popitem(last=False)
    return reply.series


def series_response(series: ChartSeries, *, curves: Sequence[Curve] = ()) -> Response:
    document: dict[str, Any] = {name: getattr(series, name) for name in ChartSeries.__dataclass_fields__}
    return Response(
        orjson.dumps({**document, "curves": curves}),
        media_type="application/json",
        headers={"cache-control": "private, max-age=300"},
    )


async def months_of(request: Request, model_id: str) -> dict[str, Any]:
    """What the heat map of a model needs. limit: the return at which a cell has its full colour."""
    series = await series_for(request, model_id)
    sizes = sorted(abs(value) for row in series.months for value in row.months if value)
    limit = sizes[int(HEAT_QUANTILE * (len(sizes) - 1))] if sizes else 1.0
    return {"months": series.months, "limit": limit, "simulated": series.simulated, "about": series.about}
