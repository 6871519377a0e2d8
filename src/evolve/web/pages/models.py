"""Which models are there, which did best, and what happened to one since it was built?"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from evolve.cards import AliasMove, EvaluationCard, ModelCard
from evolve.contracts.model_builder import BuildModel, DeleteModel, GetModelInfo, ListAliases, ListModels, MoveAlias
from evolve.contracts.performance_critic import AuditModel, EvaluateModel, GetBestModels, GetEvaluationHistory
from evolve.contracts.quant_gpt import GetAvailableSymbols
from evolve.contracts.updater import CheckDrift, GetUpdateHistory, ReplaceModel, RetrainModel, RollBack
from evolve.errors import InvalidRequest, UnknownModel
from evolve.evidence import Evidence
from evolve.market.types import TIMEFRAMES, Timeframe
from evolve.messaging.messages import Request as Message
from evolve.web.pages import frame
from evolve.web.pages.evidence import evidence_page, one_of
from evolve.web.pages.jobs import begin
from evolve.web.pages.series import months_of, series_for, series_response

router = APIRouter(route_class=frame.PageRoute)
LISTED: Final = 500
PAIRS: Final = 12  # of symbol and timeframe whose verdicts are looked up: one question each
ANCESTORS: Final = 8
BOARD: Final = ("sharpe", "total_return", "drawdown", "skill_r2", "dm_p_value", "band_coverage")
FIRST: Final = (
    "sharpe",
    "total_return",
    "drawdown",
    "skill_r2",
    "dm_p_value",
    "band_coverage",
    "turnover_per_year",
    "costs_paid",
)
LESS_IS_BETTER: Final = ("dm_p_value",)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the leaderboard. aliases: what the model is in charge of."""

    card: ModelCard
    figures: dict[str, Evidence]
    verdict: str | None
    aliases: tuple[str, ...]


@router.get("/models")
async def leaderboard(request: Request) -> Response:
    query = request.query_params
    symbol, timeframe = query.get("symbol", "").strip().upper() or None, checked_timeframe(query.get("timeframe"))
    sort = query.get("sort", "sharpe")
    if sort not in BOARD:
        raise InvalidRequest(f"models can be sorted by {', '.join(BOARD)}, not by {sort[:40]!r}")
    listed, aliases, available = await asyncio.gather(
        frame.told(request, ListModels(symbol=symbol, timeframe=timeframe, limit=LISTED)),
        frame.told(request, ListAliases(symbol=symbol, timeframe=timeframe)),
        frame.told(request, GetAvailableSymbols()),
    )
    verdicts = await _verdicts(request, listed.models)
    held = _held(aliases.current)
    rows = [
        Row(card, {item.name: item for item in card.metrics}, verdicts.get(card.model_id), held.get(card.model_id, ()))
        for card in listed.models
    ]
    rows.sort(key=lambda row: _place(row.figures.get(sort), sort))
    return frame.page(
        request, "models.html", rows=rows, columns=BOARD, sort=sort, symbol=symbol or "", timeframe=timeframe or "",
        timeframes=TIMEFRAMES, families=available.models, symbols=available.symbols, sources=available.sources,
    )  # fmt: skip


def _place(item: Evidence | None, sort: str) -> float:
    """Where it stands in order: unknown comes last."""
    if item is None or not isinstance(item.value, int | float):
        return math.inf
    return float(item.value) if sort in LESS_IS_BETTER else -float(item.value)


def _held(moves: tuple[AliasMove, ...]) -> dict[str, tuple[str, ...]]:
    held: dict[str, tuple[str, ...]] = {}
    for move in moves:
        if move.model_id:
            held[move.model_id] = (*held.get(move.model_id, ()), move.alias)
    return held


async def _verdicts(request: Request, cards: tuple[ModelCard, ...]) -> dict[str, str]:
    """Of each model's latest evaluation."""
    pairs = list(dict.fromkeys((card.recipe.symbol, card.recipe.timeframe) for card in cards))[:PAIRS]
    asked = [
        GetBestModels(symbol=symbol, timeframe=checked_timeframe(timeframe) or "1d", limit=LISTED)
        for symbol, timeframe in pairs
    ]
    found = await asyncio.gather(*(frame.told(request, each) for each in asked))
    return {card.model_id: card.trust.verdict for reply in found for card in reply.models}


def checked_timeframe(text: str | None) -> Timeframe | None:
    """Raises InvalidRequest."""
    if not text:
        return None
    if text not in TIMEFRAMES:
        raise InvalidRequest(f"{text[:20]!r} is not a timeframe; use one of {', '.join(TIMEFRAMES)}")
    found: Timeframe = TypeAdapter(Timeframe).validate_python(text)
    return found


@router.post("/models/build")
async def build(request: Request) -> Response:
    form = await frame.form_of(request)
    order = BuildModel(
        model_type=form.get("model_type", ""), symbol=form.get("symbol", ""), timeframe=checked_timeframe(form.get("timeframe")),
        simulate=form.get("simulate") == "1",
    )  # fmt: skip
    return begin(request, order, title=f"Build {order.model_type} for {order.symbol}")


# --- one model ---


async def card_of(request: Request, model_id: str) -> ModelCard:
    return (await frame.told(request, GetModelInfo(model_id=model_id))).model_info


@router.get("/models/{model_id}")
async def model_page(request: Request, model_id: str) -> Response:
    info = await frame.told(request, GetModelInfo(model_id=model_id))
    card = info.model_info
    timeframe = checked_timeframe(card.recipe.timeframe)
    evaluations, aliases, updates, siblings, ancestors = await asyncio.gather(
        frame.told(request, GetEvaluationHistory(model_id=model_id, limit=5)),
        frame.told(request, ListAliases(symbol=card.recipe.symbol, timeframe=timeframe)),
        frame.told(request, GetUpdateHistory(model_id=model_id, limit=20)),
        frame.told(request, ListModels(symbol=card.recipe.symbol, timeframe=timeframe, limit=LISTED)),
        _ancestors(request, card),
    )
    figures = {item.name: item for item in card.metrics}
    latest: EvaluationCard | None = evaluations.history[0] if evaluations.history else None
    return frame.page(
        request, "model.html", card=card, figures=figures, first=[figures[name] for name in FIRST if name in figures],
        rest=[item for item in card.metrics if item.name not in FIRST], evaluations=evaluations.history, latest=latest,
        aliases=_held(aliases.current).get(model_id, ()), champion=_holder(aliases.current, "champion"), moves=aliases.history,
        updates=updates.history, ancestors=ancestors, children=[each for each in siblings.models if each.parent == model_id],
        others=[each for each in siblings.models if each.model_id != model_id], document=info.document,
    )  # fmt: skip


async def _ancestors(request: Request, card: ModelCard) -> list[str]:
    """The models it was trained anew from, the nearest first; the last may be deleted."""
    found: list[str] = []
    parent = card.parent
    while parent is not None and len(found) < ANCESTORS:
        found.append(parent)
        try:
            parent = (await card_of(request, parent)).parent
        except UnknownModel:
            break
    return found


def _holder(moves: tuple[AliasMove, ...], alias: str) -> str | None:
    return next((move.model_id for move in moves if move.alias == alias), None)


@router.get("/models/{model_id}/series.json")
async def model_series(request: Request, model_id: str) -> Response:
    return series_response(await series_for(request, model_id))


@router.get("/models/{model_id}/months")
async def model_months(request: Request, model_id: str) -> Response:
    return frame.piece("months_piece.html", **await months_of(request, model_id))


@router.get("/models/{model_id}/evidence/{evidence_id}")
async def model_evidence(request: Request, model_id: str, evidence_id: str) -> Response:
    card = await card_of(request, model_id)
    item = one_of((*card.metrics, *card.outlook), evidence_id)
    base = f"/models/{model_id}"
    return evidence_page(request, item, base=base, back=base, name=model_id, data=card.data)


@router.get("/models/{model_id}/evaluations/{evaluation_id}/evidence/{evidence_id}")
async def evaluation_evidence(request: Request, model_id: str, evaluation_id: str, evidence_id: str) -> Response:
    past = await frame.told(request, GetEvaluationHistory(model_id=model_id, limit=LISTED))
    found = [card for card in past.history if card.evaluation_id == evaluation_id]
    figures = [
        item for card in found for item in (*card.metrics.values(), *card.in_period.values(), *card.trust.evidence)
    ]
    base = f"/models/{model_id}"
    return evidence_page(
        request, one_of(figures, evidence_id), base=f"{base}/evaluations/{evaluation_id}", back=base, name=model_id,
        data=found[0].trust.data if found else None,
    )  # fmt: skip


# --- what can be done with one ---


@router.post("/models/{model_id}/do/{work}")
async def work_on(request: Request, model_id: str, work: str) -> Response:
    """What changes nobody's charge: look, test, train beside."""
    orders: dict[str, tuple[Message[Any], str]] = {
        "drift": (CheckDrift(model_id=model_id), "Check drift of"),
        "evaluate": (EvaluateModel(model_id=model_id, symbol=None, timeframe=None), "Evaluate"),
        "audit": (AuditModel(model_id=model_id), "Audit"),
        "retrain": (RetrainModel(model_id=model_id), "Retrain"),
    }
    if work not in orders:
        raise InvalidRequest(f"a model can be asked to {', '.join(orders)}, not to {work[:40]!r}")
    order, title = orders[work]
    return begin(request, order, title=f"{title} {model_id}")


@router.get("/models/{model_id}/{change}")
async def confirm(request: Request, model_id: str, change: str) -> Response:
    """What is about to change, before it does."""
    if change not in ("promote", "rollback", "delete"):
        raise InvalidRequest(f"a model can be promoted, rolled back or deleted; there is no {change[:40]!r}")
    card = await card_of(request, model_id)
    aliases = await frame.told(
        request, ListAliases(symbol=card.recipe.symbol, timeframe=checked_timeframe(card.recipe.timeframe))
    )
    previous = next(
        (move.previous for move in aliases.history if move.alias == "champion" and move.model_id == model_id), None
    )
    return frame.page(
        request,
        "confirm.html",
        card=card,
        change=change,
        champion=_holder(aliases.current, "champion"),
        previous=previous,
    )


@router.post("/models/{model_id}/promote")
async def promote(request: Request, model_id: str) -> Response:
    """In charge of its symbol: at once where nobody is, else where the evidence lets it take the champion's place."""
    form = await frame.form_of(request)
    card = await card_of(request, model_id)
    timeframe = checked_timeframe(card.recipe.timeframe)
    reason = form.get("reason", "").strip() or "promoted on its page"
    aliases = await frame.told(request, ListAliases(symbol=card.recipe.symbol, timeframe=timeframe))
    champion = _holder(aliases.current, "champion")
    if champion == model_id:
        raise InvalidRequest(f"{model_id} is the champion of {card.recipe.symbol} already")
    if champion is None:
        move = MoveAlias(
            alias="champion",
            model_id=model_id,
            symbol=card.recipe.symbol,
            timeframe=timeframe or "1d",
            expected=None,
            reason=reason,
        )
        await frame.told(request, move)
        return frame.see(f"/models/{model_id}")
    order = ReplaceModel(old_model_id=champion, new_model_id=model_id, reason=reason, force=form.get("force") == "1")
    return begin(request, order, title=f"Put {model_id} in the place of {champion}")


@router.post("/models/{model_id}/rollback")
async def roll_back(request: Request, model_id: str) -> Response:
    form = await frame.form_of(request)
    card = await card_of(request, model_id)
    back = RollBack(
        symbol=card.recipe.symbol, timeframe=checked_timeframe(card.recipe.timeframe) or "1d", reason=form.get("reason", "").strip() or "rolled back on its page"
    )  # fmt: skip
    reply = await frame.told(request, back)
    return frame.see(f"/models/{reply.move.model_id or model_id}")


@router.post("/models/{model_id}/delete")
async def delete(request: Request, model_id: str) -> Response:
    await frame.told(request, DeleteModel(model_id=model_id))
    return frame.see("/models")
