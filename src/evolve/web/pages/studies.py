"""Which hyperparameters were searched, and did it help?"""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.contracts.meta_tuner import GetStudyTrials, GetTuningHistory, TuneHyperparameters
from evolve.contracts.quant_gpt import GetAvailableSymbols
from evolve.errors import InvalidRequest
from evolve.market.types import TIMEFRAMES
from evolve.tunings import TuningCard
from evolve.web.pages import frame
from evolve.web.pages.evidence import evidence_page, one_of
from evolve.web.pages.jobs import begin
from evolve.web.pages.models import checked_timeframe
from evolve.web.problems import NotFound

router = APIRouter(route_class=frame.PageRoute)
LISTED: Final = 100


async def all_studies(request: Request) -> tuple[list[TuningCard], tuple[str, ...], tuple[str, ...]]:
    """(studies of every family, newest first; the families; the symbols)."""
    available = await frame.told(request, GetAvailableSymbols())
    asked = (frame.told(request, GetTuningHistory(model_type=family, limit=LISTED)) for family in available.models)
    # A family that nobody searches has no studies, and says so as an error.
    replies = await asyncio.gather(*asked, return_exceptions=True)
    found: list[TuningCard] = []
    for reply in replies:
        if isinstance(reply, InvalidRequest):
            continue
        if isinstance(reply, BaseException):
            raise reply
        found.extend(reply.history)
    return sorted(found, key=lambda card: card.finished_at, reverse=True), available.models, available.symbols


@router.get("/studies")
async def studies_page(request: Request) -> Response:
    studies, families, symbols = await all_studies(request)
    return frame.page(
        request, "studies.html", studies=studies, families=families, symbols=symbols, timeframes=TIMEFRAMES
    )


@router.post("/studies")
async def tune(request: Request) -> Response:
    form = await frame.form_of(request)
    try:
        trials = int(form.get("n_trials") or 30)
    except ValueError:
        raise InvalidRequest("the number of trials is a whole number") from None
    order = TuneHyperparameters(
        model_type=form.get("model_type", ""),
        symbol=form.get("symbol", ""),
        timeframe=checked_timeframe(form.get("timeframe")),
        n_trials=trials,
    )
    return begin(request, order, title=f"Tune {order.model_type} on {order.symbol}")


async def study_of(request: Request, study_id: str) -> TuningCard:
    studies, _, _ = await all_studies(request)
    for card in studies:
        if card.study_id == study_id:
            return card
    raise NotFound(f"there is no finished study {study_id[:64]!r} here")


@router.get("/studies/{study_id}")
async def study_page(request: Request, study_id: str) -> Response:
    card, trials = await asyncio.gather(
        study_of(request, study_id), frame.told(request, GetStudyTrials(study_id=study_id))
    )
    ranked = sorted(trials.trials, key=lambda trial: (trial.score is None, -(trial.score or 0.0)))
    return frame.page(request, "study.html", card=card, trials=ranked, names=sorted(card.best_params))


@router.get("/studies/{study_id}/evidence/{evidence_id}")
async def study_evidence(request: Request, study_id: str, evidence_id: str) -> Response:
    card = await study_of(request, study_id)
    base = f"/studies/{study_id}"
    return evidence_page(
        request, one_of(card.figures, evidence_id), base=base, back=base, name=f"study {study_id}", data=card.data
    )
