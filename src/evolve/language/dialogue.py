"""Is this a new question or the continuation of the last one, and what does it take from there?

Elliptical follow-ups ("what about MSFT?", "and over a year?", "should I buy it?") inherit every slot they do not restate. A complete
new question inherits nothing, whatever was said before.
"""

from __future__ import annotations

from dataclasses import replace

from evolve.language.frame import Frame, Intent, Origin, Slot
from evolve.language.intents import Decision
from evolve.language.reading import Reading
from evolve.language.text import fold

_MODEL_INTENTS: frozenset[Intent] = frozenset(
    {"model_recommendation", "model_build", "model_evaluate", "model_retrain", "hyperparameter_tune"}
)
# "is it a good time to buy NVDA": the "it" stands for nothing
_EMPTY_IT_AFTER = frozenset(
    "a time worth going better possible too safe still true wise smart ok okay likely the an".split()
)
_ADDS = frozenset(
    {"compare", "add", "include", "versus", "vs", "against", "compara", "vergleiche", "comparer", "also", "too", "plus"}
)
_SHORT_ELLIPSIS = 6  # tokens; longer ones say what they are about


_FORGETS = frozenset(
    fold(phrase)
    for phrase in (
        "forget it", "forget that", "forget this", "forget everything", "forget all that", "forget all of that", "forget what i said",
        "forget about it", "forget the conversation", "never mind", "nevermind", "start over", "start again", "new conversation",
        "new topic", "clear the conversation", "vergiss es", "vergiss das", "vergiss alles", "olvidalo", "olvida eso", "olvida todo",
        "oublie ca", "oublie tout", "laisse tomber", "算了", "忘了吧", "忘掉",
    )
)  # fmt: skip


def forgets(query: str) -> bool:
    """Whether the query, whole, asks that nothing said before shall count any longer."""
    words = "".join(character if character.isalnum() or character == " " else " " for character in fold(query)).split()
    polite = [word for word in words if word not in ("please", "ok", "okay", "bitte", "por", "favor")]
    return " ".join(polite) in _FORGETS


def points_back(reading: Reading) -> bool:
    """Whether a word of the query stands for something said before: it, that one, the same."""
    for mark in reading.marks:
        if "ANAPHOR" not in mark.concepts:
            continue
        word = reading.words[mark.start]
        after = reading.words[mark.end] if mark.end < len(reading.words) else ""
        before = reading.words[mark.start - 1] if mark.start else ""
        if word == "it" and mark.end - mark.start == 1:
            if before in ("is", "was", "will", "would", "does") and after in _EMPTY_IT_AFTER and reading.symbols:
                continue
            if after == "s" or (before == "is" and after in ("going", "raining")):
                continue
        if word in ("they", "them", "their", "its") and reading.symbols:
            continue
        return True
    return False


def is_elliptical(reading: Reading, decision: Decision, previous: Frame) -> bool:
    """Whether the query cannot stand alone and leans on the turn before."""
    if "HELP" in reading.concepts and decision.intent == "general_query":
        return False
    size = sum(token.kind != "mark" for token in reading.tokens)
    named = bool(reading.symbols or reading.time.timeframe or reading.time.period or reading.named_models)
    complete = decision.strong and decision.intent not in ("unsupported",)
    if decision.intent == "unsupported" and decision.strong:
        return False
    follow = next((mark for mark in reading.marks if "FOLLOW" in mark.concepts), None)
    if follow is not None and (follow.start <= 2 or reading.words[follow.start] in ("instead", "same", "呢", "as")):
        # "make it a candlestick chart of NVDA" restates everything only when it names verb and symbol without a pointer back
        return not (
            complete and reading.symbols and reading.words[follow.start] in ("now", "make") and not points_back(reading)
        )
    if decision.intent == "general_query" and complete:
        return False
    if points_back(reading):
        return True
    lead = next((mark for mark in reading.marks if "LEAD" in mark.concepts and mark.start == 0), None)
    if not complete:
        return (
            (named or lead is not None or decision.intent != "unsupported")
            and (size <= 8 or lead is not None)
            and (reading.unknown_words <= 1)
        )
    if reading.symbols or previous.intent == "unsupported":
        return False
    if decision.intent in ("research_search", "general_query"):
        return False
    about_something = bool(
        reading.concepts & {"MARKET", "STOCKS", "CROSS", "STRATEGY"}
        or any(model.identifier for model in reading.models)
    )
    if about_something:
        return False
    if lead is not None:
        return True
    if decision.intent in ("trading_signal", "market_analysis", "plot_request"):
        return size <= _SHORT_ELLIPSIS
    if decision.intent in ("model_recommendation", "model_evaluate", "model_retrain"):
        return size <= _SHORT_ELLIPSIS and not reading.named_models
    return False


def inherit(frame: Frame, reading: Reading, decision: Decision, previous: Frame) -> Frame:
    """The follow-up completed from the frame before it."""
    intent = _intent(frame, reading, decision, previous)
    if intent == "unsupported":
        return frame
    slots = dict(frame.slots)
    symbol_slots = frame.symbol_slots
    adds = bool(frame.symbols) and bool(_ADDS & set(reading.words)) and _refers_to_symbol(reading)
    if not frame.symbols or adds:
        taken = [s for s in previous.symbols if s not in reading.excluded_symbols and s not in frame.symbols]
        symbol_slots = (*(_inherited(symbol) for symbol in taken), *symbol_slots)
    symbols = tuple(str(slot.value) for slot in symbol_slots)
    if symbols:
        slots["symbols"] = symbols_slot(symbol_slots)
    timeframe, period, model, side = frame.timeframe, frame.period_days, frame.model, frame.side
    if timeframe is None and previous.timeframe is not None:
        timeframe = previous.timeframe
        slots["timeframe"] = _inherited(timeframe)
    if period is None and previous.period_days is not None:
        period = previous.period_days
        slots["period_days"] = _inherited(period)
    negated = {model.name for model in reading.models if model.negated}
    if model is None and previous.model is not None and previous.model not in negated:
        model = previous.model
        slots["model"] = _inherited(model)
    if intent != "trading_signal":
        side = None
        slots.pop("side", None)
    elif side is None and previous.side is not None and not reading.concepts & {"BUY", "SELL", "LONG", "SHORT"}:
        side = previous.side
        slots["side"] = _inherited(side)
    return replace(
        frame,
        intent=intent,
        symbols=symbols,
        timeframe=timeframe,
        period_days=period,
        model=model,
        models=frame.models or ((model,) if model else ()),
        side=side,
        confidence=round(min(max(frame.confidence, 0.6), previous.confidence), 2),
        slots=slots,
        symbol_slots=symbol_slots,
        reasons=(*frame.reasons, "follow-up of the turn before"),
        suggestions=(),
        question=None,
    )


_CLAIMS: tuple[Origin, ...] = ("stated", "inferred", "inherited", "default")  # strongest first


def symbols_slot(parts: tuple[Slot, ...]) -> Slot:
    """All symbols as one slot: the origin is the strongest claim among its parts, the span reaches from first to last."""
    stated = [slot for slot in parts if slot.span is not None]
    origins = [slot.origin for slot in parts]
    spans = [slot.span for slot in stated if slot.span is not None]
    return Slot(
        value=tuple(str(slot.value) for slot in parts),
        origin=min(origins, key=_CLAIMS.index),
        span=(spans[0][0], spans[-1][1]) if spans else None,
        text=", ".join(slot.text for slot in stated),
    )


def _intent(frame: Frame, reading: Reading, decision: Decision, previous: Frame) -> Intent:
    if previous.intent == "unsupported":
        return frame.intent
    did = bool(reading.concepts & {"HOWDO", "DOING", "PERF"}) and not reading.concepts & {
        "ANALYZE",
        "STATE",
        "WHY",
        "INDICATOR",
    }
    if (decision.intent == "market_analysis" or not decision.strong) and did and previous.intent in _MODEL_INTENTS:
        return "model_evaluate"
    if not decision.strong:
        return previous.intent
    follows = any("FOLLOW" in mark.concepts and mark.start <= 1 for mark in reading.marks)
    if follows and decision.intent in ("market_analysis", "general_query") and not reading.concepts & {
        "ANALYZE", "STATE", "WHY", "INDICATOR", "FORECAST", "CROSS", "DEFINE"
    }:  # fmt: skip
        return previous.intent
    return decision.intent


def _refers_to_symbol(reading: Reading) -> bool:
    words = set(reading.words)
    return bool(words & {"it", "them", "that", "add", "include", "also", "too", "lo", "es", "le", "la", "both"})


def _inherited(value: str | int) -> Slot:
    return Slot(value=value, origin="inherited", span=None, text="")
