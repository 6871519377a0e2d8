"""Is this home well, and what did each service write down? What is wrong with a way to mend it, and the end of each log."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.services import SERVICES
from evolve.web import home_care
from evolve.web.access import require
from evolve.web.pages import frame
from evolve.web.paging import whole_number

router = APIRouter(route_class=frame.PageRoute)


@router.get("/doctor")
async def doctor_page(request: Request) -> Response:
    """The frame at once; the findings, which take some seconds, as a piece of it."""
    require(request, "admin")
    if not frame.is_for_a_page(request) and request.query_params.get("look") != "1":
        return frame.page(request, "doctor.html", state=None, findings=[])
    state, findings = await home_care.findings(frame.settings_of(request))
    findings.sort(key=lambda each: ("fail", "warning", "ok").index(each.state))
    if frame.is_for_a_page(request):
        return frame.piece("doctor_piece.html", state=state, findings=findings)
    return frame.page(request, "doctor.html", state=state, findings=findings)


@router.get("/logs/{service}")
async def log_page(request: Request, service: str) -> Response:
    require(request, "admin")
    lines = whole_number(request.query_params.get("lines"), "lines", home_care.LINES, at_most=5_000)
    tail = await home_care.tail(frame.settings_of(request), service, lines)
    return frame.page(
        request, "log.html", service=service, services=(*SERVICES, *home_care.OTHERS), tail=tail, lines=lines
    )
