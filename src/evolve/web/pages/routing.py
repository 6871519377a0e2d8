"""What would be done with this sentence? The intent that is heard in it, the service it is for, and the request that is ready to be sent."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.cards import ReadyRequest, RoutedPrompt, Routing
from evolve.contracts.prompt_router import GetRoutingHistory, RoutePrompt
from evolve.web.pages import frame
from evolve.web.pages.message_forms import text_of

router = APIRouter(route_class=frame.PageRoute)
LISTED: Final = 20
MAX_ADDRESS: Final = 8_000  # of a link to the form with its fields; browsers and proxies take twice as much


@router.get("/route")
async def route_page(request: Request) -> Response:
    words = request.query_params.get("q", "").strip()[:4_000]
    routing: Routing | None = None
    if words:
        routing = (await frame.told(request, RoutePrompt(user_prompt=words))).result
    history: tuple[RoutedPrompt, ...] = (await frame.told(request, GetRoutingHistory(limit=LISTED))).history
    ready = routing.request if routing else None
    return frame.page(
        request, "route.html", words=words, routing=routing, history=history, send=form_address(ready) if ready else ""
    )


def form_address(ready: ReadyRequest) -> str:
    """The form of that message, filled in."""
    filled = urlencode({name: text_of(value) for name, value in ready.data.items()})
    address = f"/messages/{ready.service}/{ready.type}"
    return f"{address}?{filled}" if len(filled) < MAX_ADDRESS else address
