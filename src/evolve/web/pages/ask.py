"""Where does a trader begin? A question in plain words, and what was asked before."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import uuid4

from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.cards import PastQuery
from evolve.contracts.quant_gpt import GetAvailableSymbols, GetQueryHistory, ProcessQuery
from evolve.errors import EvolveError
from evolve.web.pages import frame
from evolve.web.pages.decisions import thread_after
from evolve.web.pages.jobs import begin

router = APIRouter(route_class=frame.PageRoute)
SHOWN: Final = 8
LOOK_S: Final = 3.0  # the page shows without what does not answer by then: a service that is down must not keep a trader from asking
TRIES: Final = (
    "Give me the best model for AAPL over 90 days",
    "Should I long IBM this week?",
    "Analyze MSFT market conditions",
    "Which stocks are performing well?",
)
ICON: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#3b7bea" stroke-width="2.6" '
    b'stroke-linecap="round" stroke-linejoin="round"><path d="M3 17.5 9 11l4 3.5L21 5"/><path d="M15.5 5H21v5.5"/></svg>'
)


@router.get("/")
async def ask_page(request: Request) -> Response:
    history: tuple[PastQuery, ...] = ()
    sources: dict[str, str] = {}
    trouble = ""
    client = frame.client_of(request)
    try:
        past, available = await asyncio.gather(
            client.ask(GetQueryHistory(limit=SHOWN), timeout=LOOK_S), client.ask(GetAvailableSymbols(), timeout=LOOK_S)
        )
        history, sources = past.history, available.sources
    except EvolveError as error:
        trouble = error.message
    real = sorted(symbol for symbol, source in sources.items() if source != "SIMULATED")
    simulated = sorted(symbol for symbol, source in sources.items() if source == "SIMULATED")
    return frame.page(
        request, "ask.html", history=history, real=real, simulated=simulated, tries=TRIES, trouble=trouble,
        wanted=request.query_params.get("q", "")[:4000],
    )  # fmt: skip


@router.post("/ask")
async def ask(request: Request) -> Response:
    form = await frame.form_of(request)
    thread = form.get("thread") or await thread_after(request, form.get("after", "")) or uuid4().hex
    question = ProcessQuery(query=form.get("query", "").strip(), session=thread, simulate=form.get("simulate") == "1")
    return begin(request, question, title=question.query, thread=thread)


@router.get("/favicon.svg")
async def icon() -> Response:
    return Response(ICON, media_type="image/svg+xml", headers={"cache-control": "public, max-age=86400"})
