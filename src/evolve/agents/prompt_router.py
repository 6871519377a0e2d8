"""Which service is a sentence for, and with which request? Understands and prepares; runs nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from evolve.agents.interpreter import Interpreter, Reread
from evolve.cards import DetectedIntent, ParsedArguments, ReadyRequest, RoutedPrompt, Routing, SlotCard
from evolve.clock import iso
from evolve.errors import InvalidRequest, nearest
from evolve.language.intents import INTENTS
from evolve.language.parse import Frame, parse
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.settings import Settings

ASK_QUANT_GPT = ("model_recommendation", "trading_signal", "market_analysis", "general_query")
SLOTS = ("symbols", "timeframe", "period_days", "model", "side")


class PromptRouterAgent:
    def __init__(self, log: DecisionLog, interpreter: Interpreter | None = None) -> None:
        self._log = log
        self._interpreter = interpreter

    @classmethod
    def from_settings(cls, settings: Settings) -> PromptRouterAgent:
        return cls(DecisionLog(Database.open(settings)), Interpreter(settings))

    def route(
        self,
        prompt: str,
        *,
        history: Sequence[str] = (),
        available: Sequence[str] = (),
        symbols: Sequence[str] = (),
        replay: bool = False,
    ) -> Routing:
        """The service and a request ready to send. available: services to choose from; empty means all. symbols: those the
        user has bars of, which are read as named and never mended. replay: a language model is not asked, only what one said before.

        For what nobody can do the target is None, and `suggestions` say what can be asked.
        """
        read = self._read(prompt, history, symbols, replay=replay)
        frame = read.frame
        request = ready_request(frame, prompt)
        reasons = (*frame.reasons, *filter(None, (frame.unusable, read.why)))
        if request is not None and available and request.service not in available:
            reasons += (f"it is for {request.service}, which is not among the available agents",)
            request = None
        return Routing(
            intent=frame.intent,
            confidence=frame.confidence,
            target_agent=request.service if request else None,
            request=request,
            arguments=arguments_of(frame),
            slots=slots_of(frame),
            reasons=reasons,
            suggestions=tuple(frame.suggestions),
            question=frame.question,
            unusable=frame.unusable,
            parser=read.parser,
        )

    def detect(self, prompt: str, *, permitted: bool = True) -> DetectedIntent:
        """What a sentence wants. permitted: whether a language model may be asked, where one is configured."""
        read = self._read(prompt, permitted=permitted)
        reasons = (*read.frame.reasons, *filter(None, (read.why,)))
        return DetectedIntent(read.frame.intent, read.frame.confidence, reasons, read.parser)

    def arguments(self, prompt: str, intent: str, *, permitted: bool = True) -> ParsedArguments:
        """What the sentence names. Raises InvalidRequest for an intent there is not."""
        if intent not in INTENTS:
            close = nearest(intent, INTENTS) or INTENTS
            raise InvalidRequest(f"there is no intent {intent!r}; nearest: {', '.join(close)}", known=sorted(INTENTS))
        read = self._read(prompt, permitted=permitted)
        arguments, slots = arguments_of(read.frame), slots_of(read.frame)
        if intent != "trading_signal":  # only a question about an action has a side
            arguments["side"] = None
            slots.pop("side", None)
        return ParsedArguments(arguments, slots, read.parser)

    def _read(
        self,
        prompt: str,
        history: Sequence[str] = (),
        symbols: Sequence[str] = (),
        *,
        permitted: bool = True,
        replay: bool = False,
    ) -> Reread:
        frame = parse(prompt, history, own=symbols)
        if self._interpreter is None or not permitted:
            return Reread(frame)
        return self._interpreter.reread(prompt, history, frame, own=symbols, replay=replay)

    def history(self, intent: str | None, limit: int) -> tuple[RoutedPrompt, ...]:
        """Sentences routed before, newest first."""
        found = []
        for decision in self._log.history(limit=1000, service="prompt_router"):
            if decision.request_type != "route_prompt" or decision.status != "success":
                continue
            result = cast("dict[str, Any]", decision.outcome.get("result") or {})
            if intent is not None and result.get("intent") != intent:
                continue
            found.append(
                RoutedPrompt(
                    at=iso(decision.finished_at),
                    user_prompt=str(decision.inputs.get("user_prompt", "")),
                    intent=str(result.get("intent")),
                    target_agent=result.get("target_agent"),
                    confidence=float(result.get("confidence") or 0.0),
                    arguments=dict(result.get("arguments") or {}),
                )
            )
        return tuple(found[:limit])


def arguments_of(frame: Frame) -> dict[str, Any]:
    """What the sentence names; what it does not name is None."""
    return {
        "symbol": frame.symbols[0] if frame.symbols else None,
        "symbols": list(frame.symbols),
        "timeframe": frame.timeframe,
        "period": f"{frame.period_days}d" if frame.period_days else None,
        "model_type": frame.model,
        "side": frame.side,
        **({"models": list(frame.models)} if len(frame.models) > 1 else {}),
        **({"not_models": list(frame.not_models)} if frame.not_models else {}),
        **({"rule": frame.rule} if frame.rule else {}),
        **({"dates": frame.dates} if frame.dates else {}),
        **({"foretells": True} if frame.foretells else {}),
        **({"topic": frame.topic} if frame.topic not in (None, "documentation") else {}),
        **({"universe": frame.universe} if frame.universe else {}),
    }


def slots_of(frame: Frame) -> dict[str, SlotCard]:
    cards: dict[str, SlotCard] = {}
    for name, slot in frame.slots.items():
        value = ", ".join(slot.value) if isinstance(slot.value, tuple | list) else slot.value
        cards[name] = SlotCard(value, slot.origin, slot.text)
    if "model" in cards and len(frame.models) > 1:
        cards["model"] = replace(cards["model"], value=", ".join(frame.models))
    return cards


def ready_request(frame: Frame, prompt: str) -> ReadyRequest | None:
    """The request that carries the sentence out, or None for what is out of scope."""
    if frame.intent == "unsupported" or frame.unusable:
        return None
    symbol = {"symbol": frame.symbols[0]} if frame.symbols else {}
    # Null, not absent: the finest real one, or the model's own. Absent, the wire's default would be 1h of BTCUSDT.
    timeframe = {"timeframe": frame.timeframe}
    own_symbol = {"symbol": frame.symbols[0] if frame.symbols else None}
    period = {"period": f"{frame.period_days}d"} if frame.period_days else {}
    model = frame.model
    is_id = model is not None and any(mark in model for mark in "_-") and any(ch.isdigit() for ch in model)
    if frame.intent == "model_build":
        chosen = {"model_type": model} if model and not is_id else {}
        return ReadyRequest("model_builder", "build_model", {**chosen, **symbol, **timeframe, **period})
    if frame.intent == "model_evaluate" and is_id:
        return ReadyRequest(
            "performance_critic", "evaluate_model", {"model_id": model, **own_symbol, **timeframe, **period}
        )
    if frame.intent == "model_retrain" and is_id:
        return ReadyRequest("updater", "retrain_model", {"model_id": model})
    if frame.intent == "hyperparameter_tune" and model and not is_id:
        # Without a symbol the wire's defaults stand together; a symbol of the user's has its own finest bars.
        at = timeframe if symbol or frame.timeframe else {}
        return ReadyRequest(
            "meta_tuner", "tune_hyperparameters", {"model_type": model, **symbol, **at, **_search_named(prompt)}
        )
    if frame.intent == "research_search":
        wire = "search_github" if _about_code(prompt) else "search_arxiv"
        return ReadyRequest("research", wire, {"query": search_terms(prompt)})
    if frame.intent == "plot_request":
        source = model if is_id else ",".join(frame.symbols)
        wanted = {"plot_type": _plot_type(prompt, of_symbol=bool(frame.symbols) and not is_id)}
        return ReadyRequest("multimodal", "generate_plot", {**wanted, "data_source": source or "backtest_results"})
    # Everything else needs more than one service, or a model that only QuantGPT can find: it coordinates.
    return ReadyRequest("quant_gpt", "process_query", {"query": prompt})


_TRIALS = re.compile(r"\b(\d{1,5}) (?:trials?|tries|combinations?|attempts?|evaluations?)\b")


def _search_named(prompt: str) -> dict[str, Any]:
    """How a sentence wants a search done, as far as it says."""
    text = " ".join(prompt.lower().split())
    counted = _TRIALS.search(text)
    trials = {"n_trials": int(counted[1])} if counted and int(counted[1]) > 0 else {}
    if "random search" in text or "randomized search" in text or "randomised search" in text:
        return {"optimization_method": "random", **trials}
    return {"optimization_method": "grid", **trials} if "grid" in text else trials


# The first of these that the sentence holds says which chart is meant.
_PLOTS = (
    ("hyperparameter importance", "tuning_importance"), ("slices", "tuning_slices"), ("tuning", "tuning_history"), ("trials", "tuning_history"),
    ("correlation", "correlation_heatmap"), ("heat map", "correlation_heatmap"), ("heatmap", "correlation_heatmap"),
    ("monthly", "monthly_returns"), ("distribution", "return_distribution"), ("histogram", "return_distribution"),
    ("rolling", "rolling_metrics"), ("importance", "feature_importance"), ("walk", "walk_forward"), ("fan", "forecast_fan"),
    ("forecast", "forecast_fan"), ("equity", "equity_curve"), ("drawdown", "equity_curve"), ("compar", "model_comparison"),
)  # fmt: skip


def _plot_type(prompt: str, *, of_symbol: bool) -> str:
    """The chart a sentence names; unnamed, a symbol's bars, or how a model's account grew."""
    text = prompt.lower()
    return next((kind for word, kind in _PLOTS if word in text), "candlestick" if of_symbol else "equity_curve")


_ASKING = frozenset(
    """a about an and any are arxiv articles can code could do find for from get git github give have i implementation
    implementations in is latest library list look looking me new newest of on package paper papers please preprints publications recent repo
    repos repositories repository research scientific search show some studies study tell that the there to up us want what which with work you""".split()
)


def search_terms(prompt: str) -> str:
    """What a search engine should be asked: the sentence without the words that only ask for a search; all of it when none is left."""
    words = prompt.strip().rstrip("?.!").split()
    while words and words[0].lower().strip(",:;'\"") in _ASKING:
        words.pop(0)
    while words and words[-1].lower().strip(",:;'\"") in _ASKING:
        words.pop()
    return " ".join(words) or prompt.strip()


def _about_code(prompt: str) -> bool:
    return any(word in prompt.lower() for word in ("github", "repo", "code", "library", "package", "implementation"))
