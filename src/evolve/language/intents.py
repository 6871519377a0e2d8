"""What does the query ask for? Ordered rules over concepts; the first requested action wins.

Each clause is asked in turn. A rule says where in the clause its evidence stands and how strong it is: strong rules (a verb with
its object) compete by position, weak ones (a noun, a lone symbol) only speak when no strong one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from evolve.language import market_rules, model_rules
from evolve.language.clause import REFUSED, Clause, Trigger
from evolve.language.frame import INTENTS, Frame, Intent
from evolve.language.reading import Reading
from evolve.language.side import side_of

__all__ = ["INTENTS", "SUGGESTIONS", "Decision", "decide", "side_of", "surface_detail", "surface_intent", "target_service",
           "without_injection"]  # fmt: skip

SurfaceIntent = Literal["model_recommendation", "trading_signal", "market_analysis", "general_query"]
ServiceName = Literal[
    "quant_gpt", "model_builder", "performance_critic", "updater", "meta_tuner", "research", "multimodal"
]

_SERVICES: dict[Intent, ServiceName | None] = {
    "model_recommendation": "quant_gpt",
    "trading_signal": "quant_gpt",
    "market_analysis": "quant_gpt",
    "general_query": "quant_gpt",
    "model_build": "model_builder",
    "model_evaluate": "performance_critic",
    "model_retrain": "updater",
    "hyperparameter_tune": "meta_tuner",
    "research_search": "research",
    "plot_request": "multimodal",
    "unsupported": None,
}

SUGGESTIONS = (
    "Give me the best model for NVDA over 90 days",
    "Should I long TSLA this week?",
    "Analyze BTCUSDT market conditions",
    "Build me an LSTM model for Bitcoin prediction",
    "Which stocks are performing well?",
)


def target_service(intent: Intent) -> ServiceName | None:
    """The service that carries the intent out; None for what nobody does."""
    return _SERVICES[intent]


def surface_intent(frame: Frame) -> SurfaceIntent:
    """The intent as QuantGPT shows it: one of its four; everything else is a general query (see `surface_detail`)."""
    if frame.intent in ("model_recommendation", "trading_signal", "market_analysis"):
        return frame.intent
    return "general_query"


def surface_detail(frame: Frame) -> Intent | None:
    """The inner intent where the surface shows `general_query` in its place; None where the two agree."""
    return None if frame.intent == surface_intent(frame) else frame.intent


@dataclass(frozen=True, slots=True)
class Decision:
    """strong: a rule with a verb and its object fired; rival: the reading that came close, if any."""

    intent: Intent
    confidence: float
    reasons: tuple[str, ...]
    strong: bool
    rival: Intent | None = None


_CLAUSE_MARKS = frozenset(".?!;\n")


def decide(reading: Reading) -> Decision:
    """The intent of a reading from which injected parts have been cut (see `without_injection`)."""
    if not reading.tokens:
        return Decision("unsupported", 0.9, ("empty",), False)
    whole = Clause(reading)
    if whole.is_refused:
        return Decision(
            "unsupported", 0.95, ("refused: " + ", ".join(sorted(reading.concepts & REFUSED)).lower(),), True
        )
    clauses = [Clause(reading.slice(start, end)) for start, end in _clauses(reading)]
    if len(clauses) <= 1:
        clauses = [whole]
    best: Trigger | None = None
    rival: Intent | None = None
    for clause in clauses:
        triggers = sorted(_triggers(clause), key=lambda trigger: (-trigger.strength, trigger.at))
        if not triggers:
            continue
        first = triggers[0]
        if best is None or first.strength > best.strength:
            best = first
            others = [t.intent for t in triggers[1:] if t.intent != first.intent and t.strength == first.strength]
            rival = others[0] if others and first.strength < 3 else None
        if best.strength == 3 or (best.strength == 2 and clause.words[-1] == "?"):
            break
    if best is None:
        return _fallback(whole)
    confidence = (
        {3: 0.93, 2: 0.78, 1: 0.55}[best.strength] - (0.15 if rival else 0.0) - 0.05 * min(len(reading.mended), 3)
    )
    return Decision(best.intent, round(confidence, 2), (best.reason,), best.strength >= 2, rival)


def _fallback(clause: Clause) -> Decision:
    reading = clause.reading
    if "OOS" in reading.concepts or reading.unknown_words > 2:
        return Decision("unsupported", 0.8, ("out of scope",), False)
    if reading.symbols and reading.named_models:
        return Decision("model_build", 0.4, ("a model and a symbol, no verb",), False, "model_evaluate")
    if reading.symbols and "MODEL" in reading.concepts:
        return Decision("model_recommendation", 0.5, ("a model for a symbol, no verb",), False, "model_build")
    if reading.symbols:
        return Decision("market_analysis", 0.4, ("a symbol and no verb",), False, "trading_signal")
    if reading.unknown_words == 0 and reading.concepts & {"MARKET"}:
        return Decision("market_analysis", 0.4, ("a market and no verb",), False, "general_query")
    if reading.unknown_words == 0 and (
        reading.concepts & {"MODEL", "STRATEGY", "TRADED", "STOCKS", "PARAM", "PERF"} or reading.named_models
    ):
        return Decision("general_query", 0.4, ("a topic of ours and no verb",), False)
    return Decision("unsupported", 0.7, ("nothing of ours in it",), False)


def _clauses(reading: Reading) -> Iterator[tuple[int, int]]:
    start = 0
    for at, token in enumerate(reading.tokens):
        # A full stop inside "c3.ai" or "1." ends nothing: the next word stands apart from a real one.
        ends = token.folded in _CLAUSE_MARKS and (
            at + 1 >= len(reading.tokens)
            or reading.tokens[at + 1].before != ""
            or reading.tokens[at + 1].kind == "ideograph"
        )
        if ends:
            if at > start:
                yield start, at + 1
            start = at + 1
    if start < len(reading.tokens):
        yield start, len(reading.tokens)


def without_injection(reading: Reading) -> tuple[Reading, bool]:
    """The legitimate part of the query, and whether something was cut.

    Words that try to steer the system (new instructions, deletion, transfers) end the part that is read; when nothing legitimate
    stands before them, the sentences behind theirs get a chance.
    """
    first = next((mark for mark in reading.marks if mark.concepts & REFUSED), None)
    if first is None:
        return reading, False
    head = reading.slice(0, _clause_start(reading, first.start))
    if head.tokens and _is_legitimate(head):
        return head, True
    if "INJECT" not in first.concepts:
        return reading, False
    head = reading.slice(0, first.start)
    if head.tokens and _is_legitimate(head) and head.symbols:
        return head, True
    for start, end in _clauses(reading):
        if start <= first.start:
            continue
        part = reading.slice(start, end)
        if part.concepts & REFUSED:
            break
        if _is_legitimate(part):
            return part, True
    return reading, False


def _is_legitimate(reading: Reading) -> bool:
    decision = decide(reading)
    return decision.intent != "unsupported" and (decision.strong or bool(reading.symbols))


def _clause_start(reading: Reading, at: int) -> int:
    """Where the clause around token `at` begins: behind the last comma, stop, bracket or conjunction before it."""
    if reading.words[at] in "<[{(#|/\\":
        return at
    breaks = set('.?!;:,()[]{}<>"*#|/\\-+=~') | {
        "and",
        "then",
        "also",
        "y",
        "und",
        "et",
        "but",
        "plus",
        "afterwards",
        "然",
        "并",
    }
    for index in range(at - 1, -1, -1):
        if reading.words[index] in breaks:
            while index > 0 and reading.words[index - 1] in breaks:
                index -= 1
            return index
    return 0


def _triggers(clause: Clause) -> Iterator[Trigger]:
    if clause.is_out_of_scope:
        return
    for rule in _RULES:
        yield from rule(clause)


_Rule = Callable[[Clause], Iterator[Trigger]]
_RULES: tuple[_Rule, ...] = (
    market_rules.concepts_and_help,
    market_rules.across_the_market,
    model_rules.retrain,
    model_rules.build,
    model_rules.tune,
    model_rules.evaluate,
    market_rules.research,
    market_rules.plot,
    model_rules.recommend,
    market_rules.signal,
    market_rules.analyse,
)


# -- side --------------------------------------------------------------------------------------------------------------
