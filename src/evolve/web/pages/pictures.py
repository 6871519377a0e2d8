"""What does it look like? Charts drawn to a file, and what a picture of a chart, sent from here, says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from evolve.cards import ImageAnalysis, PastPlot, PlotCard, WrittenReport
from evolve.charts.kinds import PLOTS
from evolve.charts.reading import ANALYSES, Calibration
from evolve.contracts.model_builder import ListModels
from evolve.contracts.multimodal import (
    AnalyzeImage,
    GeneratePlot,
    GetPlotHistory,
    ImageAnalyzed,
    PlotGenerated,
    ReportGenerated,
)
from evolve.contracts.quant_gpt import GetAvailableSymbols
from evolve.errors import EvolveError, InvalidRequest
from evolve.market.types import TIMEFRAMES
from evolve.web.access import require
from evolve.web.jobs import Job
from evolve.web.pages import frame
from evolve.web.pages.jobs import begin, register
from evolve.web.pages.models import checked_timeframe
from evolve.web.problems import NotFound
from evolve.web.record import order_of
from evolve.web.uploads import form_with_file, kept_picture

router = APIRouter(route_class=frame.PageRoute)
LISTED: Final = 24
LOOK_S: Final = 5.0
SHOWN: Final = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8", ".pdf": "application/pdf"}  # fmt: skip
# A file is shown as a site of its own, which can reach nothing of ours: charts and reports carry their styles, and the interactive ones a script.
APART: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox allow-scripts"


@router.get("/pictures")
async def pictures_page(request: Request) -> Response:
    client, query = frame.client_of(request), request.query_params
    trouble = ""
    history: tuple[PastPlot, ...] = ()
    symbols: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    try:
        past, available, listed = await asyncio.gather(
            client.ask(GetPlotHistory(limit=LISTED), timeout=LOOK_S),
            client.ask(GetAvailableSymbols(), timeout=LOOK_S),
            client.ask(ListModels(limit=200), timeout=LOOK_S),
        )
        history, symbols = past.history, available.symbols
        models = tuple(card.model_id for card in listed.models)
    except EvolveError as error:
        trouble = error.message
    settings = frame.settings_of(request)
    rows = [(each, name_of(each.save_path, settings.plots)) for each in history]
    return frame.page(
        request, "pictures.html", rows=rows, trouble=trouble, kinds=PLOTS, analyses=ANALYSES, timeframes=TIMEFRAMES,
        sources=("backtest_results", *models, *symbols), kind=query.get("kind", "equity_curve"), source=query.get("source", "backtest_results"),
    )  # fmt: skip


@router.post("/pictures/draw")
async def draw(request: Request) -> Response:
    form = await frame.form_of(request)
    chosen: dict[str, Any] = {
        "theme": form.get("theme") or "light", "format": form.get("format") or "png", "title": form.get("title", "").strip() or None,
        "timeframe": checked_timeframe(form.get("timeframe")), "simulate": form.get("simulate") == "1",
    }  # fmt: skip
    data = {
        "plot_type": form.get("plot_type", ""),
        "data_source": form.get("data_source", "").strip(),
        "plot_config": chosen,
    }
    order = order_of(GeneratePlot, data)
    return begin(request, order, title=f"{order.plot_type.replace('_', ' ')} of {order.data_source}")


@router.post("/pictures/read")
async def read(request: Request) -> Response:
    """A picture that is sent is kept among the home's own, and read there."""
    require(request, AnalyzeImage.effect)
    settings = frame.settings_of(request)
    async with form_with_file(request, settings, "picture") as (form, path):
        kept = await run_in_threadpool(kept_picture, path, settings.home / "images")
        name = path.name
    order = AnalyzeImage(
        image_path=str(kept), analysis_type=form.get("analysis_type") or ANALYSES[0],
        model_name=form.get("model_name", "").strip() or None, calibration=_calibration(form),
    )  # fmt: skip
    return begin(request, order, title=f"Read {name}")


@router.get("/pictures/file/{place}/{name}")
async def picture_file(request: Request, place: str, name: str) -> Response:
    """A file that was drawn, or a picture that was sent."""
    require(request, "read")
    settings = frame.settings_of(request)
    folder = {"plots": settings.plots, "images": settings.home / "images"}.get(place)
    path = None if folder is None else folder / name
    # One name and no path: nothing of it leads elsewhere.
    if path is None or Path(name).name != name or name.startswith(".") or path.suffix.lower() not in SHOWN:
        raise NotFound(f"there is no picture {name[:80]!r} in {place[:20]!r}")
    if path.is_symlink() or not path.is_file():
        raise NotFound(f"the file {name[:80]!r} is not there (any more)")
    headers = {"content-security-policy": APART, "cache-control": "no-store"}
    if path.suffix.lower() == ".pdf" or request.query_params.get("save") == "1":
        headers["content-disposition"] = (
            f'attachment; filename="{name}"' if name.isascii() and '"' not in name else "attachment"
        )
    return FileResponse(path, media_type=SHOWN[path.suffix.lower()], headers=headers)


def _calibration(form: Mapping[str, str]) -> Calibration | None:
    """Two heights in pixels and the values there, as the sender knows them; None where nothing is given. Raises InvalidRequest."""
    names = ("pixel_1", "value_1", "pixel_2", "value_2")
    given = [form.get(name, "").strip() for name in names]
    if not any(given):
        return None
    try:
        pixel_1, value_1, pixel_2, value_2 = map(float, given)
    except ValueError:
        raise InvalidRequest("a scale needs two heights in pixels from the top, and the value at each") from None
    return Calibration(((pixel_1, value_1), (pixel_2, value_2)), log=form.get("log") == "1")


def name_of(path: str | None, folder: Path) -> str | None:
    """The name under which a file in `folder` is shown; None for one that lies elsewhere."""
    found = Path(path) if path else None
    return found.name if found is not None and found.parent == folder.resolve() else None


# --- what came of it ---


async def drawn_page(request: Request, job: Job, title: str, data: dict[str, Any]) -> Response:
    plot: PlotCard = PlotGenerated.model_validate(data).result
    name = name_of(plot.save_path, frame.settings_of(request).plots)
    return frame.page(request, "picture.html", job=job, title=title, plot=plot, name=name)


async def report_page(request: Request, job: Job, title: str, data: dict[str, Any]) -> Response:
    report: WrittenReport = ReportGenerated.model_validate(data).result
    name = name_of(report.save_path, frame.settings_of(request).plots)
    return frame.page(request, "report.html", job=job, title=title, report=report, name=name)


async def analysis_page(request: Request, job: Job, title: str, data: dict[str, Any]) -> Response:
    found: ImageAnalysis = ImageAnalyzed.model_validate(data).result
    settings = frame.settings_of(request)
    sent, own = name_of(found.image_path, settings.home / "images"), name_of(found.image_path, settings.plots)
    address = f"/pictures/file/images/{sent}" if sent else f"/pictures/file/plots/{own}" if own else ""
    return frame.page(request, "picture_read.html", job=job, title=title, found=found, address=address)


register("plot_generated", drawn_page)
register("report_generated", report_page)
register("image_analyzed", analysis_page)
