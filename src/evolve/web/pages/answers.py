"""What was answered, why should it be believed, and what does it look like? Each answer at an address that can be handed on."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from pydantic_core import to_jsonable_python
from starlette.responses import Response

from evolve.cards import AnswerCard, RankedRow
from evolve.contracts.quant_gpt import GetAnswer, GetQueryHistory
from evolve.web.access import require
from evolve.web.pages import frame
from evolve.web.pages.evidence import evidence_page, one_of
from evolve.web.pages.series import months_of, series_for, series_response
from evolve.web.problems import NotFound

router = APIRouter(route_class=frame.PageRoute)
COLUMNS: Final = (
    "sharpe", "total_return", "drawdown", "alpha", "alpha_p_value", "exposure", "costs_paid", "skill_r2",
)  # fmt: skip
LISTED: Final = 200
KEPT: Final = 16  # some 0.3 MB each

_kept: OrderedDict[str, AnswerCard] = OrderedDict()


@router.get("/answers")
async def answers_page(request: Request) -> Response:
    symbol = request.query_params.get("symbol", "").strip().upper()
    reply = await frame.told(request, GetQueryHistory(limit=LISTED, symbol=symbol or None))
    return frame.page(request, "answers.html", history=reply.history, symbol=symbol)


async def answer_of(request: Request, answer_id: str) -> AnswerCard:
    """An answer never changes: its id says what it was made of. So the last ones are kept; a page and its chart are one look-up."""
    require(request, GetAnswer.effect)
    found = _kept.get(answer_id)
    if found is None:
        found = (await frame.told(request, GetAnswer(answer_id=answer_id))).answer
        _kept[answer_id] = found
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return found


def shown_model(answer: AnswerCard, wanted: str) -> str:
    """The model whose chart is shown: the one asked for, else the first of the table; "" where no model has a part in it."""
    ids = [row.model_id for row in answer.rows if row.model_id]
    return wanted if wanted in ids else ids[0] if ids else ""


# Before the page of an answer, whose address would take this one for an id.
@router.get("/answers/{answer_id}.json")
async def answer_document(request: Request, answer_id: str) -> Response:
    """The whole answer, to keep or to reproduce elsewhere."""
    document: Any = to_jsonable_python(await answer_of(request, answer_id))
    return Response(orjson.dumps(document, option=orjson.OPT_INDENT_2), media_type="application/json")


@router.get("/answers/{answer_id}")
async def answer_page(request: Request, answer_id: str) -> Response:
    answer = await answer_of(request, answer_id)
    model = shown_model(answer, request.query_params.get("model", ""))
    symbols = [str(card["symbol"]) for card in answer.recipe.get("data") or ()]
    return frame.page(
        request, "answer.html", answer=answer, model=model, models=[row for row in answer.rows if row.model_id],
        columns=[name for name in COLUMNS if any(name in row.figures for row in answer.rows)],
        charted=model or (symbols[0] if len(symbols) == 1 else ""), parts_of=in_period(answer.rows),
        curves=[{"name": curve.name, "dates": curve.dates, "equity": curve.equity, "main": n == 0, "simulated": curve.simulated} for n, curve in enumerate(answer.curves)],
        thread=request.query_params.get("thread", ""), address=str(request.url),
    )  # fmt: skip


def in_period(rows: tuple[RankedRow, ...]) -> list[str]:
    """Names of figures of the stretch asked about, which rows hold beside those of all history."""
    return sorted(
        {name for row in rows for name in row.figures if name.startswith("period_") or name.endswith("_in_period")}
    )


@router.get("/answers/{answer_id}/months")
async def answer_months(request: Request, answer_id: str) -> Response:
    answer = await answer_of(request, answer_id)
    model = shown_model(answer, request.query_params.get("model", ""))
    if not model:
        raise NotFound("no model has a part in this answer, so there are no returns by month")
    return frame.piece("months_piece.html", **await months_of(request, model))


@router.get("/answers/{answer_id}/series.json")
async def answer_series(request: Request, answer_id: str) -> Response:
    """What the chart draws: the model on its bars, and the answer's other curves."""
    answer = await answer_of(request, answer_id)
    model = shown_model(answer, request.query_params.get("model", ""))
    row = next((row for row in answer.rows if row.model_id == model), None) if model else None
    if row is None:
        source = str((answer.recipe.get("data") or [{}])[0].get("symbol") or "")
        if not source:
            raise NotFound("this answer rests on no bars: there is nothing to draw")
        return series_response(await series_for(request, source, simulate=bool(answer.recipe.get("simulate"))))
    others = [curve for curve in answer.curves if curve.name not in (row.name, "buy_and_hold")]
    return series_response(await series_for(request, model), curves=others)


@router.get("/answers/{answer_id}/evidence/{evidence_id}")
async def answer_evidence(request: Request, answer_id: str, evidence_id: str) -> Response:
    answer = await answer_of(request, answer_id)
    rows = (item for row in answer.rows for item in row.figures.values())
    item = one_of((*answer.figures, *rows), evidence_id)
    model = next((row.model_id for row in answer.rows if row.model_id and row.name == item.of), None)
    return evidence_page(
        request, item, base=f"/answers/{answer_id}", back=f"/answers/{answer_id}", name=answer.query,
        data=answer.trust.data if answer.trust else None, model=model,
    )  # fmt: skip
