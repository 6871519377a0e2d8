"""What of a model that was built before: is it still good, and is it trained anew? The updater's part of a question in plain English."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evolve.agents.desk import Desk
from evolve.agents.question import Question
from evolve.cards import AliasMove, ModelCard, ReadyRequest
from evolve.errors import InvalidRequest
from evolve.updates import DriftCard

# "is it still good today?", "does my NVDA model still work?", "has it drifted?"; what follows "still" must be about quality, for
# "should I still buy NVDA" is about a trade.
_STILL = re.compile(
    r"\bstill\b[^?.!]*\b(good|fine|ok(ay)?|valid|work(s|ing)?|reliable|any use|useful|hold(s|ing)?( up)?|accurate|right|up to date|trust(worthy|ed)?)\b"
    r"|\b(drift(ed|ing|s)?|gone stale|out of date|outdated|decay(ed|ing)?)\b",
    re.IGNORECASE,
)
ABOUT_MODELS = ("model_evaluate", "model_build", "model_recommendation", "model_retrain", "hyperparameter_tune")
KNOWN = 1_000  # models that are looked through for the one that is meant


def asks_whether_still_good(question: Question) -> bool:
    """Whether a question about a model is about what became of it, not about how it was tested."""
    return question.routing.intent in ABOUT_MODELS[:3] and bool(_STILL.search(question.query))


def model_meant(question: Question, desk: Desk) -> str | None:
    """The id that was named; else the champion of the symbol, or its newest model, of the family and timeframe that were named."""
    named = question.model
    if named is not None and "-" in named and any(mark.isdigit() for mark in named):
        return named
    if question.symbol is None:
        return None
    about = {"symbol": question.symbol, "timeframe": question.timeframe}
    found = _ask(question, desk, "model_builder", "list_models", {**about, "limit": KNOWN})["models"]
    models: list[ModelCard] = [card for card in found if named in (None, card.recipe.model_type)]
    if not models:
        return None
    current: tuple[AliasMove, ...] = _ask(question, desk, "model_builder", "list_aliases", about)["current"]
    in_charge = {move.model_id for move in current if move.alias == "champion"}
    return next((card.model_id for card in models if card.model_id in in_charge), models[0].model_id)


def drift_now(question: Question, desk: Desk, model_id: str) -> DriftCard:
    """Raises Unavailable naming the updater when it is down, UnknownModel, DataUnavailable."""
    drift: DriftCard = _ask(question, desk, "updater", "check_drift", {"model_id": model_id})["drift"]
    return drift


def to_retrain(question: Question, desk: Desk) -> Question:
    """The question with the request that trains the model anew which it means. Raises InvalidRequest when there is none."""
    model_id = model_meant(question, desk)
    if model_id is None:
        about = question.symbol or "that"
        raise InvalidRequest(
            question.routing.question
            or f"no model of {about} is registered that could be trained anew: `evolve build ridge {question.symbol or 'AAPL'}` makes "
            "one, `evolve models` lists what there is"
        )
    request = ReadyRequest("updater", "retrain_model", {"model_id": model_id})
    return replace(question, routing=replace(question.routing, request=request))


def said_of_drift(drift: DriftCard) -> tuple[str, tuple[str, ...]]:
    """Headline and sentences."""
    words = {
        "steady": "still does what it did in its test",
        "drift": "no longer does what it did in its test",
        "too_early": "cannot be judged yet",
    }
    next_step = {
        "steady": f"`evolve evaluate {drift.model_id}` shows how good that is.",
        "drift": f"`evolve retrain {drift.model_id}` trains it anew; nothing is replaced before the new one has proved itself.",
        "too_early": f"`evolve evaluate {drift.model_id}` shows how its test went; new bars tell the rest.",
    }
    return f"{drift.model_id} {words[drift.state]}.", (
        f"{drift.reason[0].upper()}{drift.reason[1:]}.",
        next_step[drift.state],
    )


def _ask(question: Question, desk: Desk, service: str, wire_type: str, data: Mapping[str, Any]) -> dict[str, Any]:
    request = ReadyRequest(service, wire_type, {name: value for name, value in data.items() if value is not None})
    return desk.forward(replace(question.routing, request=request))
