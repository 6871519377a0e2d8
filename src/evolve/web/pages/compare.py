"""How do two runs differ? Any two models or answers: their figures, recipes, data and curves side by side."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.cards import AnswerCard, Curve, DataCard, ModelCard, Recipe
from evolve.clock import iso
from evolve.contracts.model_builder import GetModelInfo, ListModels
from evolve.contracts.performance_critic import CompareModels
from evolve.contracts.quant_gpt import GetAnswer, GetQueryHistory
from evolve.errors import InvalidRequest, UnknownModel
from evolve.evidence import Evidence
from evolve.web.pages import frame
from evolve.web.pages.jobs import begin
from evolve.web.pages.series import series_for
from evolve.web.pages.words import LABELS

router = APIRouter(route_class=frame.PageRoute)
LISTED: Final = 200
POINTS: Final = 500  # of a curve: more than a chart has columns for two


@dataclass(frozen=True, slots=True)
class Run:
    """One side. base: the address its figures open under; facts: what it was made of, by name; models: that have a part in it."""

    id: str
    name: str
    address: str
    kind: str
    data: DataCard | None
    figures: dict[str, Evidence]
    facts: dict[str, str]
    models: tuple[str, ...]
    curves: tuple[Curve, ...] = ()


async def run_of(request: Request, id: str) -> Run:
    """A model or an answer. Raises InvalidRequest for an id of neither."""
    try:
        return _of_model((await frame.told(request, GetModelInfo(model_id=id))).model_info)
    except UnknownModel as unknown:
        try:
            return _of_answer((await frame.told(request, GetAnswer(answer_id=id))).answer)
        except InvalidRequest:
            raise unknown from None


def _of_model(card: ModelCard) -> Run:
    facts = {
        _said(each.name): _value(getattr(card.recipe, each.name))
        for each in fields(Recipe)
        if each.name != "period_days"
    }
    facts |= {
        "Bars": f"{card.data.bars:,}, {card.data.first} to {card.data.last}",
        "Fingerprint": card.data.fingerprint[:12],
        "Built": card.created_at,
        "Code": card.code_version,
    }
    return Run(
        card.model_id, card.model_id, f"/models/{card.model_id}", "model", card.data,
        {item.name: item for item in card.metrics}, facts, (card.model_id,),
    )  # fmt: skip


def _of_answer(card: AnswerCard) -> Run:
    first = next((row for row in card.rows if row.model_id), card.rows[0] if card.rows else None)
    figures = dict(first.figures) if first else {item.name: item for item in card.figures}
    facts = {
        "Question": card.query,
        "First of the table": first.name if first else "",
        "Verdict": card.verdict or "",
        "Asked": card.created_at,
    }
    if card.trust:
        data = card.trust.data
        facts |= {
            "Bars": f"{data.bars:,}, {data.first} to {data.last}",
            "Fingerprint": data.fingerprint[:12],
            "Trials counted": str(card.trust.trials),
        }
    models = tuple(row.model_id for row in card.rows if row.model_id)[:1]
    data_card = card.trust.data if card.trust else None
    return Run(
        card.answer_id,
        card.query,
        f"/answers/{card.answer_id}",
        "answer",
        data_card,
        figures,
        facts,
        models,
        card.curves[:1],
    )


def _said(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in sorted(value.items())) or "defaults"
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in value) or "default set"
    return str(value)


@router.get("/compare")
async def compare_page(request: Request) -> Response:
    ids = [id for id in request.query_params.getlist("run") if id][:2]
    if len(ids) < 2:
        models, answers = await asyncio.gather(
            frame.told(request, ListModels(limit=LISTED)), frame.told(request, GetQueryHistory(limit=LISTED))
        )
        asked = [past for past in answers.history if past.answer_id]
        return frame.page(request, "compare_choose.html", models=models.models, answers=asked, chosen=ids)
    first, second = await asyncio.gather(*(run_of(request, id) for id in ids))
    names = [
        name
        for name in dict.fromkeys((*LABELS, *first.figures, *second.figures))
        if name in first.figures or name in second.figures
    ]
    facts = dict.fromkeys((*first.facts, *second.facts))
    both = first.models + second.models
    same_bars = bool(
        first.data
        and second.data
        and (first.data.symbol, first.data.timeframe) == (second.data.symbol, second.data.timeframe)
    )
    return frame.page(
        request, "compare.html", runs=(first, second), names=names, facts=list(facts), testable=same_bars and len(set(both)) == 2,
        same_bars=same_bars, both=both, series=f"/compare/series.json?{request.url.query}",
    )  # fmt: skip


@router.get("/compare/series.json")
async def compare_series(request: Request) -> Response:
    """Growth of both runs' models and of holding, each over its own tested stretch."""
    runs = await asyncio.gather(*(run_of(request, id) for id in request.query_params.getlist("run")[:2]))
    curves: list[dict[str, Any]] = []
    for number, run in enumerate(runs):
        for model in run.models:
            series = await series_for(request, model)
            last = len(series.tested) - 1
            picks = sorted({*range(0, last + 1, max(1, last // POINTS)), last})
            dates = [iso(series.tested[pick]) for pick in picks]
            for line in series.lines:
                held = line.kind == "baseline"
                name = f"buy and hold {series.symbol}" if held else f"{'A' if number == 0 else 'B'}: {model}"
                if not any(curve["name"] == name for curve in curves):
                    curves.append(
                        {
                            "name": name,
                            "dates": dates,
                            "equity": [line.equity[pick] for pick in picks],
                            "simulated": series.simulated,
                            "main": number == 0 and not held,
                        }
                    )
    return Response(orjson.dumps({"curves": curves}), media_type="application/json")


@router.post("/compare")
async def test_against(request: Request) -> Response:
    """On the same bars, costs and period, with a verdict."""
    form = await frame.form_of(request)
    ids = (form.get("first", ""), form.get("second", ""))
    order = CompareModels(model_ids=ids, symbol=None, timeframe=None, period=form.get("period") or "90d")
    return begin(request, order, title=f"{ids[0]} against {ids[1]}")
