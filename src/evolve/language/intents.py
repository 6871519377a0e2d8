"""What does the query ask for? Ordered rules over concepts; the first requested action wins.

Each clause is asked in turn. A rule says where in the clause its evidence stands and how strong it is: strong rules (a verb with
its object) compete by position, weak ones (a noun, a lone symbol) only speak when no strong one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from evolve.language.frame import INTENTS, Frame, Intent, Side
from evolve.language.lexicon import Mark
from evolve.language.reading import Reading

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


@dataclass(frozen=True, slots=True)
class _Trigger:
    at: int
    intent: Intent
    reason: str
    strength: int  # 3 strong: competes by position; 2 middling; 1 weak


_REFUSED = frozenset({"INJECT", "DESTROY", "TRANSFER", "ORDER", "ILLEGAL"})
_CLAUSE_MARKS = frozenset(".?!;\n")


def decide(reading: Reading) -> Decision:
    """The intent of a reading from which injected parts have been cut (see `without_injection`)."""
    if not reading.tokens:
        return Decision("unsupported", 0.9, ("empty",), False)
    whole = _Clause(reading)
    if whole.is_refused:
        return Decision(
            "unsupported", 0.95, ("refused: " + ", ".join(sorted(reading.concepts & _REFUSED)).lower(),), True
        )
    clauses = [_Clause(reading.slice(start, end)) for start, end in _clauses(reading)]
    if len(clauses) <= 1:
        clauses = [whole]
    best: _Trigger | None = None
    rival: Intent | None = None
    for clause in clauses:
        triggers = sorted(clause.triggers(), key=lambda trigger: (-trigger.strength, trigger.at))
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


def _fallback(clause: _Clause) -> Decision:
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
    first = next((mark for mark in reading.marks if mark.concepts & _REFUSED), None)
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
        if part.concepts & _REFUSED:
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


class _Clause:
    """One clause and the questions that the rules ask of it."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.words = reading.words

    # -- vocabulary of the rules ---------------------------------------------------------------------------------------

    def at(self, *concepts: str) -> int | None:
        """Where the first of the concepts stands, None if none does."""
        wanted = set(concepts)
        for mark in self.reading.marks:
            if mark.concepts & wanted:
                return mark.start
        return None

    def marks(self, *concepts: str) -> Iterator[Mark]:
        wanted = set(concepts)
        return (mark for mark in self.reading.marks if mark.concepts & wanted)

    def has(self, *concepts: str) -> bool:
        return not self.reading.concepts.isdisjoint(concepts)

    def soon(self, start: int, within: int, *concepts: str) -> bool:
        """Whether one of the concepts begins in the next tokens."""
        return any(start <= mark.start < start + within for mark in self.marks(*concepts))

    def model_soon(self, start: int, within: int) -> bool:
        return self.soon(start, within, "MODEL") or any(
            start <= model.start < start + within for model in self.reading.named_models
        )

    @cached_property
    def has_symbol(self) -> bool:
        return bool(self.reading.symbols)

    @cached_property
    def has_family(self) -> bool:
        return bool(self.reading.models)

    @cached_property
    def has_id(self) -> bool:
        return any(model.identifier for model in self.reading.models)

    @cached_property
    def has_model(self) -> bool:
        return self.has("MODEL") or self.has_family

    @cached_property
    def definite_model(self) -> bool:
        """A particular existing model: an identifier, "my lstm", "the AAPL model"."""
        if self.has_id:
            return True
        ends = {*(m.start for m in self.marks("MODEL")), *(m.start for m in self.reading.models)}
        for end in ends:
            for back in range(max(0, end - 4), end):
                if self.words[back] in (
                    "my",
                    "our",
                    "the",
                    "that",
                    "this",
                    "mi",
                    "el",
                    "mein",
                    "das",
                    "unser",
                    "mon",
                    "le",
                ) or (self.words[back] == "我" or (self.words[back] == "s" and self.reading.tokens[back].is_clitic)):
                    return True
        return False

    @cached_property
    def is_question(self) -> bool:
        return self.has("SHOULD", "WHICH", "WHATIS", "HOWDO", "WHY") or "?" in self.words

    # -- refusals ------------------------------------------------------------------------------------------------------

    @cached_property
    def is_refused(self) -> bool:
        """Orders, transfers, destruction, crime, and instructions to the system."""
        if self.has("INJECT", "ILLEGAL"):
            return True
        if self.has("TRANSFER") and not (self.words and self.has("DEFINE")):
            return not self.has("BUILD", "EVAL", "PLOT", "TUNE")
        if self.has("DESTROY"):
            return True
        if self.has("ORDER") and not (self.has("DEFINE") and not self.has_symbol):
            return True
        return self._is_order()

    def _is_order(self) -> bool:
        """An imperative with a quantity: "buy 10 shares of AAPL", "sell $500 of bitcoin"."""
        act = self.at("BUY", "SELL", "SHORT", "LONG")
        if act is None or self.has("SHOULD", "WHICH", "WHATIS", "DEFINE", "EVAL", "WHY", "SIGNAL"):
            return False
        mark = next(mark for mark in self.marks("BUY", "SELL", "SHORT", "LONG"))
        polite = {"please", "pls", "now", "just", "go", "ahead", "and", "can", "could", "you", "hey", "evolve", "ok", "por", "favor",
                  "bitte", "kannst", "du", "s", "il", "vous", "plait", "请", "帮", "我", "i", "want", "to", "would", "like"}  # fmt: skip
        if any(
            word not in polite and self.reading.tokens[at].kind != "mark" for at, word in enumerate(self.words[:act])
        ):
            return False
        if "for" in self.words[mark.end :] and self.words[-2:-1] == ("for",) and self.words[-1] in ("me", "us"):
            return True
        for at in range(mark.end, min(mark.end + 3, len(self.words))):
            token = self.reading.tokens[at]
            if token.kind != "number" and self.words[at] not in (
                "half",
                "hundred",
                "ten",
                "five",
                "twenty",
                "fifty",
                "thousand",
            ):
                continue
            timed = any(period.start <= at < period.end for period in self.reading.time.periods) or any(
                frame.start <= at < frame.end for frame in self.reading.time.timeframes
            )
            named = any(mention.start <= at < mention.end for mention in self.reading.mentions)
            if not timed and not named:
                return True
        return False

    # -- rules ---------------------------------------------------------------------------------------------------------

    def triggers(self) -> Iterator[_Trigger]:
        if self._out_of_scope():
            return
        for rule in _RULES:
            yield from rule(self)

    def _out_of_scope(self) -> bool:
        if not self.has("OOS"):
            return False
        if self.has("RETRAIN", "TUNE", "EVAL") and self.has_model:
            return False
        if self.has("BUILD", "RECOMMEND", "PLOT", "BUY", "SELL", "LONG", "SHORT", "SIGNAL", "WHY") and self.has_symbol:
            oos = self.at("OOS")
            return oos is not None and oos <= 1
        return True


_Rule = Callable[[_Clause], Iterator[_Trigger]]


def _concepts_and_help(c: _Clause) -> Iterator[_Trigger]:
    """Definitions, help, capabilities, status, history: about the field or the system, not about an instrument."""
    define = c.at("DEFINE")
    about = c.has_symbol or c.has("MINE") or c.has_id
    if define is not None and not c.has("RESEARCH"):
        work = c.words[define : define + 2] in (("how", "does"), ("how", "do"), ("how", "can")) and c.has(
            "COMPARE", "PERF"
        )
        if not about and not work and not (c.has("MARKET") and c.has("STATE", "WHY")):
            yield _Trigger(max(0, define - 2), "general_query", "definition or how-to", 3)
        elif not c.has("WHY", "STATE", "INDICATOR", "BUILD", "EVAL", "PERF", "TUNE", "RETRAIN", "PLOT", "BUY", "SELL", "LONG", "SHORT",
                       "SIGNAL", "ANALYZE", "HOWDO", "COMPARE", "RECOMMEND", "BEST"):  # fmt: skip
            yield _Trigger(define, "general_query", "definition or how-to", 2)
    whatis = c.at("WHATIS")
    if whatis is not None and not about:
        mark = next(c.marks("WHATIS"))
        topic = c.soon(mark.end, 3, "INDICATOR", "PERF", "EVAL", "STRATEGY", "BUY", "SELL", "LONG", "SHORT", "SIGNAL", "TRADED", "TUNE",
                       "PARAM", "MODEL", "CHART") or any(mark.end <= m.start <= mark.end + 2 for m in c.reading.models)  # fmt: skip
        if (topic or c.has("MEAN")) and not c.has(
            "BEST", "MARKET", "LATEST", "SHOULD", "RESEARCH", "USE", "CROSS", "PLOT"
        ):
            yield _Trigger(whatis, "general_query", "what is …", 3)
        if c.has("STATE") and c.has("MEAN"):
            yield _Trigger(whatis, "general_query", "what is …", 3)
    help_at = c.at("HELP")
    if help_at is not None and not about:
        multi = any(mark.end - mark.start > 1 for mark in c.marks("HELP"))
        alone = len([t for t in c.reading.tokens if t.kind != "mark"]) <= 3
        if alone or (
            multi
            and not c.has(
                "BUILD", "EVAL", "PLOT", "TUNE", "RETRAIN", "RECOMMEND", "MODEL", "RESEARCH", "SIGNAL", "STATE"
            )
        ):
            yield _Trigger(help_at, "general_query", "help", 3)
        elif not c.reading.unknown_words:
            yield _Trigger(help_at, "general_query", "help", 1)
    supported = c.at("SUPPORTED")
    if supported is not None and not c.has("BUY", "SELL", "PLOT", "EVAL"):
        yield _Trigger(max(0, supported - 4), "general_query", "what is supported", 3)
    capability = c.at("CAPABILITY")
    if capability is not None and not about and not c.has_family and not c.has("BEST", "RESEARCH", "SHOULD", "IMAGE"):
        if c.has(
            "MODEL",
            "STOCKS",
            "TRADED",
            "PLOT",
            "CHART",
            "INDICATOR",
            "MARKET",
            "EVAL",
            "SIGNAL",
            "BUY",
            "STATE",
            "PARAM",
            "TUNE",
        ):
            yield _Trigger(0, "general_query", "capability", 3)
        elif not c.reading.unknown_words:
            yield _Trigger(capability, "general_query", "capability", 1)
    part = c.at("SYSTEM")
    if (
        part is not None
        and not about
        and (c.has("WHATIS", "DEFINE", "HOWDO", "WHICH", "HELP", "STATUS") or not c.reading.unknown_words)
    ):
        yield _Trigger(0, "general_query", "a part of the system", 3)
    status = c.at("STATUS")
    if (
        status is not None
        and not c.has_symbol
        and not c.has_model
        and not c.has("MARKET", "STRATEGY", "EVAL", "BUILD", "PLOT")
    ):
        if not c.reading.unknown_words or c.words[status] in (
            "status",
            "redis",
            "queue",
            "services",
            "service",
            "uptime",
        ):
            yield _Trigger(status, "general_query", "system status", 3)
    elif status is not None and c.words[status] == "status" and not c.has_symbol:
        yield _Trigger(status, "general_query", "system status", 2)
    for mark in c.marks("HISTORY"):
        if mark.end - mark.start > 1 or (c.has("MINE", "LIST", "SHOW") and not c.has_symbol and not c.has("STATE")):
            yield _Trigger(0, "general_query", "history", 3)
            break
    listed = c.at("LIST")
    if (
        listed is not None and c.has("MODEL", "STOCKS", "INDICATOR") and not about and not c.has("PARAM", "RESEARCH")
    ) or (listed is not None and c.has("MODEL") and c.has("MINE") and not c.has("EVAL", "RETRAIN", "TUNE")):
        yield _Trigger(listed, "general_query", "list", 3)
    if (
        c.has("MODEL")
        and c.has("PERF")
        and not about
        and not c.has_family
        and not c.has("STRATEGY", "EVAL", "COMPARE", "BEST", "WHICH")
    ):
        yield _Trigger(0, "general_query", "performance of the models at large", 2)
    exists = {"have", "has", "exist", "exists", "available", "take", "takes", "accept", "there", "tiene", "tienen", "hat", "gibt", "a",
              "does", "有", "are"} & set(c.words)  # fmt: skip
    asked = c.has("WHICH", "WHATIS", "LIST") and not c.has("BEST", "SHOULD", "USE", "TUNE", "WANT")
    if c.has("PARAM") and asked and exists:
        yield _Trigger(0, "general_query", "which hyperparameters exist", 3)


def _across_the_market(c: _Clause) -> Iterator[_Trigger]:
    """Questions over all instruments, and over strategies."""
    cross = c.at("CROSS")
    if cross is not None and not c.has("BUY", "SELL", "SHORT", "LONG", "RESEARCH"):
        if not c.has_symbol:
            yield _Trigger(cross, "general_query", "across the market", 3)
        else:
            yield _Trigger(cross, "market_analysis", "across named symbols", 1)
    strategy = c.at("STRATEGY")
    if strategy is not None and not c.has("RESEARCH"):
        if c.has("BEST", "WHICH", "WHATIS", "RECOMMEND", "WANT") and not c.has(
            "EVAL", "TEST", "BUILD", "MAKE", "TUNE", "PLOT", "MODEL"
        ):
            asked = c.at("BEST", "WHICH", "WHATIS", "RECOMMEND", "WANT")
            yield _Trigger(
                min(strategy, asked if asked is not None else strategy), "general_query", "which strategy", 3
            )
        elif not c.has_symbol:
            yield _Trigger(strategy, "general_query", "a strategy", 1)


def _retrain(c: _Clause) -> Iterator[_Trigger]:
    at = c.at("RETRAIN")
    if at is not None:
        yield _Trigger(at, "model_retrain", "retrain", 3)
    if (
        c.has_model
        and any(c.words[at : at + 3] == ("up", "to", "date") for at in range(len(c.words)))
        and {"bring", "get", "keep"} & set(c.words)
    ):
        yield _Trigger(0, "model_retrain", "bring up to date", 3)
    for mark in c.marks("UPDATE"):
        charted = c.soon(mark.end, 3, "CHART", "PLOT", "IMAGE")
        if c.has_model and not charted and c.words[mark.start - 1 : mark.start] not in (("an",), ("any",), ("latest",)):
            yield _Trigger(mark.start, "model_retrain", "update an existing model", 3)
    if c.has("BUILD") and c.has_model and "neu" in c.words and {"trainiere", "trainier", "trainieren"} & set(c.words):
        yield _Trigger(c.at("BUILD") or 0, "model_retrain", "train again", 3)


def _build(c: _Clause) -> Iterator[_Trigger]:
    for mark in c.marks("BUILD"):
        word = c.words[mark.start]
        trains = word.startswith(("train", "entren", "entrain", "fit", "训", "trein", "addestr"))
        if word == "fit" and c.words[mark.end : mark.end + 1] == ("for",):
            continue
        if c.soon(mark.end, 5, "CHART", "PLOT", "IMAGE") and not c.model_soon(mark.end, 5):
            continue
        if c.words[max(0, mark.start - 3) : mark.start] and {"how", "well", "was"} <= set(c.words[: mark.start]):
            continue
        if c.has_model or c.has("PREDICTOR") or (trains and c.has_symbol):
            yield _Trigger(mark.start, "model_build", "build a model", 3)
        elif c.has("STRATEGY", "TRADED") and c.has_symbol:
            yield _Trigger(mark.start, "model_build", "build for a symbol", 1)
        elif trains:
            yield _Trigger(mark.start, "model_build", "train", 1)
    for mark in c.marks("MAKE"):
        if c.model_soon(mark.end, 8) and not c.soon(mark.end, 6, "CHART", "PLOT", "IMAGE", "EVAL", "RESEARCH"):
            yield _Trigger(mark.start, "model_build", "make a model", 3)
    for mark in c.marks("NEWER"):
        near = c.model_soon(mark.end, 3) or (c.words[mark.start].startswith("新") and c.model_soon(mark.end, 3))
        if near and not c.has("RESEARCH", "RETRAIN", "UPDATE") and not c.has("EVAL", "PERF", "HOWDO"):
            yield _Trigger(mark.start, "model_build", "a new model", 3)


def _tune(c: _Clause) -> Iterator[_Trigger]:
    for mark in c.marks("TUNE"):
        if "portfolio" in c.words or "allocation" in c.words:
            yield _Trigger(mark.start, "general_query", "portfolio optimisation", 1)
        elif c.has("PARAM", "MODEL", "STRATEGY", "TRADED", "ANAPHOR") or c.has_family or c.has_symbol:
            yield _Trigger(mark.start, "hyperparameter_tune", "tune", 3)
        elif not c.reading.unknown_words:
            yield _Trigger(mark.start, "hyperparameter_tune", "tune", 1)
    for mark in c.marks("PARAM"):
        if c.has("BEST", "SHOULD", "WANT", "USE", "SEARCH", "RECOMMEND", "WHICH") and not c.has("DEFINE"):
            asked = c.at("BEST", "SHOULD", "WANT", "USE", "RECOMMEND", "WHICH")
            unit = (
                mark.end - mark.start > 1
                or "_" in c.words[mark.start]
                or c.words[mark.start].startswith(("hyper", "param", "hiper", "超", "参", "dropout"))
            )
            if unit or c.has("SHOULD"):
                yield _Trigger(min(mark.start, asked or 0), "hyperparameter_tune", "which parameters", 3)
        elif c.words[mark.start].startswith(("hyper", "hiper", "超")):
            yield _Trigger(mark.start, "hyperparameter_tune", "hyperparameters", 2)


_PAST_RESULT = frozenset("performed did was won scored had came worked fared beat has have gave made got".split())


def _evaluate(c: _Clause) -> Iterator[_Trigger]:
    for mark in c.marks("EVAL"):
        grounded = (
            c.has_model
            or c.has_symbol
            or c.has("STRATEGY", "PERF", "TRADED", "ANAPHOR", "MARKET", "STATE", "SIGNAL", "INDICATOR", "TEST")
        )
        if grounded or c.words[mark.start].startswith(("back", "walk", "回")) or not c.reading.unknown_words:
            company = c.words[mark.start] in (
                "assess",
                "evaluate",
                "assessing",
                "evaluating",
                "evalua",
                "bewerte",
                "评",
            ) and (c.has_symbol and c.has("STATE") and not c.has_model and not c.has("STRATEGY"))
            if company:
                yield _Trigger(mark.start, "market_analysis", "assess the state of a symbol", 3)
            else:
                yield _Trigger(mark.start, "model_evaluate", "evaluate", 3)
    for mark in c.marks("TEST"):
        if (c.has_model or c.has("STRATEGY")) and not c.has("RESEARCH"):
            noun = c.words[mark.start - 1 : mark.start] in (("the",), ("a",), ("latest",))
            yield _Trigger(mark.start, "model_evaluate", "test a model", 2 if noun else 3)
    compare = c.at("COMPARE")
    named = {model.name for model in c.reading.named_models}
    if compare is not None:
        if len(named) >= 2 or c.has("MODEL", "STRATEGY") or (c.has_family and len(c.reading.symbols) < 2):
            yield _Trigger(compare, "model_evaluate", "compare models", 3)
        elif c.has_symbol:
            yield _Trigger(compare, "market_analysis", "compare symbols", 3)
        elif c.has_model:
            yield _Trigger(compare, "model_evaluate", "compare models", 2)
        elif not c.reading.unknown_words:
            yield _Trigger(compare, "market_analysis", "compare", 1)
    against = {"vs", "versus", "against", "gegen", "contre", "contra"} & set(c.words)
    if len(named) >= 2 and against and not c.has("BEST", "SHOULD", "WHICH", "RECOMMEND"):
        yield _Trigger(c.reading.named_models[0].start, "model_evaluate", "model against model", 2)
    concrete = c.has_model and (c.definite_model or c.has_family or c.has_symbol or c.has("MINE"))
    strategic = c.has("STRATEGY") and (c.has_symbol or c.has("MINE"))
    asks_which = c.has("WHICH") and c.has("MODEL") and not c.has_id
    if (
        (concrete or strategic)
        and not c.has("SUIT")
        and not (c.has("BEST") and not c.has_id and not c.definite_model)
        and not asks_which
    ):
        perf = c.at("PERF")
        if perf is not None and (c.has_family or c.has_symbol or c.has("MINE") or strategic):
            yield _Trigger(
                min(perf, c.at("WHATIS", "HOWDO", "SHOW", "WANT") or perf),
                "model_evaluate",
                "performance of a model",
                3,
            )
        howdo = c.at("HOWDO")
        if (
            howdo is not None
            and c.has("DOING", "BEST", "BEAT", "STATE")
            and (c.has_symbol or c.definite_model or c.has("MINE"))
        ):
            yield _Trigger(howdo, "model_evaluate", "how does a model do", 3)
        beat = c.at("BEAT")
        if beat is not None and (c.definite_model or "beat" in c.words[beat] or "outperform" in c.words[beat]):
            yield _Trigger(0, "model_evaluate", "is a model any good", 3)
        doing = c.at("DOING")
        if (
            doing is not None
            and c.definite_model
            and not c.has("SHOULD", "WHICH")
            and c.words[doing].startswith(("perform", "work", "hold"))
        ):
            yield _Trigger(doing, "model_evaluate", "does a model work", 2)
    if asks_which:
        model_at = c.at("MODEL") or 0
        after = set(c.words[model_at + 1 : model_at + 3])
        if (
            "would" not in after
            and after & _PAST_RESULT
            and (c.has("PERF", "BEST", "DOING", "STATE", "BEAT") or after & {"won"})
        ):
            yield _Trigger(0, "model_evaluate", "which model did best", 3)


def _research(c: _Clause) -> Iterator[_Trigger]:
    for mark in c.marks("RESEARCH"):
        verb = c.at("WANT", "SHOW", "ANALYZE", "RECOMMEND")
        yield _Trigger(
            mark.start if verb is None else min(verb, mark.start), "research_search", "papers and repositories", 3
        )
        break
    at = c.at("RESEARCH_VERB")
    if at is not None and not c.has("RESEARCH"):
        if c.has_symbol:
            yield _Trigger(at, "market_analysis", "research a symbol", 2)
        else:
            yield _Trigger(at, "research_search", "research", 2)


def _plot(c: _Clause) -> Iterator[_Trigger]:
    grounded = c.has_symbol or c.has_model or c.has("STATE", "PERF", "CHART", "INDICATOR", "TRADED", "EVAL", "IMAGE", "MARKET", "STRATEGY",
                                                   "STOCKS", "SIGNAL", "PARAM", "ANAPHOR", "BACKTEST_NOUN")  # fmt: skip
    for mark in c.marks("PLOT"):
        if _is_location(c, mark):
            continue
        if grounded or not c.reading.unknown_words:
            yield _Trigger(mark.start, "plot_request", "draw", 3)
    for mark in c.marks("CHART"):
        if _is_location(c, mark) or c.has("ON_CHART"):
            continue
        verb = next((m.start for m in c.marks("SHOW", "WANT", "MAKE", "BUILD", "USE") if m.start < mark.start), None)
        commanded = mark.start <= 1 and c.words[mark.start] in ("chart", "charts") and (c.has_symbol or c.has_model)
        if verb is not None and not c.has("SHOULD") and not c.model_soon(verb, mark.start - verb):
            yield _Trigger(verb, "plot_request", "show a chart", 3)
        elif commanded:
            yield _Trigger(mark.start, "plot_request", "chart", 3)
        elif not c.is_question and c.words[mark.start] not in ("figure", "dashboard", "candlesticks", "candlestick"):
            yield _Trigger(mark.start, "plot_request", "a kind of chart", 2)
        else:
            yield _Trigger(mark.start, "plot_request", "a kind of chart", 1)
    for mark in c.marks("IMAGE"):
        file = c.words[mark.start] in ("png", "jpg", "jpeg", "webp")
        if file or not c.reading.unknown_words or (grounded and c.has("CHART", "STATE", "TRADED", "ANALYZE", "PLOT")):
            yield _Trigger(0 if file else mark.start, "plot_request", "an image", 3)
    backtested = c.at("BACKTEST_NOUN")
    if backtested is not None and not c.has("PLOT", "CHART"):
        yield _Trigger(backtested, "model_evaluate", "backtest results", 2)


def _is_location(c: _Clause, mark: Mark) -> bool:
    """ "on the 1h chart": where one looks, not what one wants drawn."""
    lead = c.words[max(0, mark.start - 4) : mark.start]
    for back in range(len(lead) - 1, -1, -1):
        word = lead[back]
        if word in ("on", "in", "from", "auf", "im", "en", "sur", "dans", "at"):
            return True
        if word in ("a", "an", "una", "un", "einem", "einen", "une") and c.has("SHOW", "WANT", "MAKE", "PLOT"):
            return False
        position = mark.start - len(lead) + back
        timed = any(f.start <= position < f.end for f in c.reading.time.timeframes)
        symbol = any(m.start <= position < m.end for m in c.reading.mentions)
        if not (
            timed
            or symbol
            or word
            in ("the", "its", "this", "that", "a", "my", "el", "dem", "le", "der", "daily", "weekly", "hourly", "s")
        ):
            return False
    return False


def _recommend(c: _Clause) -> Iterator[_Trigger]:
    best, which, model = c.at("BEST"), c.at("WHICH", "WHATIS"), c.at("MODEL")
    families = {m.name for m in c.reading.named_models if not m.identifier}
    if c.has_id and not c.has("RECOMMEND"):
        return
    general = c.has("CAPABILITY", "LIST") and not c.has("BEST", "SHOULD", "USE", "RECOMMEND") and not c.has_symbol
    if model is not None and not general:
        if best is not None:
            yield _Trigger(
                min(best, model, which if which is not None else model), "model_recommendation", "best model", 3
            )
        elif which is not None and model - which <= 4:
            yield _Trigger(which, "model_recommendation", "which model", 3)
        elif c.has("SHOULD") and c.has("USE"):
            yield _Trigger(c.at("SHOULD") or 0, "model_recommendation", "which model to use", 3)
        elif c.has("WANT") and not c.definite_model:
            want = next(c.marks("WANT"))
            if want.start < model and model - want.end <= 6 and not c.has("NEWER", "RESEARCH"):
                yield _Trigger(want.start, "model_recommendation", "a model is wanted", 3)
    for mark in c.marks("RECOMMEND"):
        if model is not None or families:
            yield _Trigger(mark.start, "model_recommendation", "recommend a model", 3)
        elif c.has("STRATEGY", "CROSS", "STOCKS") or (c.has("MARKET") and not c.has_symbol):
            yield _Trigger(mark.start, "general_query", "recommend across the market", 2)
        elif c.has("PARAM"):
            yield _Trigger(mark.start, "hyperparameter_tune", "recommend parameters", 3)
        elif c.has_symbol:
            yield _Trigger(mark.start, "model_recommendation", "recommend something for a symbol", 2)
    if families and not c.has("EVAL", "PARAM", "STRATEGY") and not c.has_id:
        at = c.reading.named_models[0].start
        if best is not None and not c.definite_model:
            yield _Trigger(min(best, at), "model_recommendation", "is this model better", 3)
        elif c.has("SUIT"):
            yield _Trigger(at, "model_recommendation", "is this model suitable", 3)
        elif c.has("SHOULD") and (c.has("USE") or len(families) >= 2):
            yield _Trigger(min(c.at("SHOULD") or 0, at), "model_recommendation", "should this model be used", 3)
        elif len(families) >= 2 and c.has("OR") and not c.has("PERF", "COMPARE"):
            yield _Trigger(at, "model_recommendation", "this model or that", 2)
        elif (
            c.has("BEAT")
            and not c.definite_model
            and c.words[c.at("BEAT") or 0] in ("good", "any", "decent", "gut", "bon")
        ):
            yield _Trigger(at, "model_recommendation", "is this model suitable", 2)
        elif c.has("USE") and (c.has("WHICH") or "?" in c.words) and best is None and "OR" in c.reading.concepts:
            yield _Trigger(at, "model_recommendation", "which to use", 2)
    if model is None and not families and c.has_symbol and not c.has("STRATEGY", "PARAM"):
        superlative = best is not None and c.words[best] in ("best", "mejor", "beste", "besten", "mieux", "optimal")
        if (
            best is not None
            and superlative
            and c.has("DOING", "USE", "WHICH", "WHATIS")
            and not c.has("CROSS", "STOCKS")
        ):
            yield _Trigger(best, "model_recommendation", "what works best", 1)
        if c.has("USE") and which is not None and not c.has("INDICATOR", "SIGNAL", "CHART"):
            yield _Trigger(which, "model_recommendation", "what to use", 1)


_WEAK_ACTS = frozenset(
    """add adding enter exit exiting trim trimming dump dumping position positions stop stops bail keep get invest investing tp entry
    entries signal signals bought sold enter compra venta achat vente short long shorts longs""".split()
)


def _signal(c: _Clause) -> Iterator[_Trigger]:
    anchored = c.has_symbol or c.has("MARKET", "STOCKS", "ANAPHOR", "CROSS", "SIGNAL")
    alone = not c.reading.unknown_words
    if not (anchored or alone):
        return
    lead = c.at("SHOULD")
    for mark in c.marks("BUY", "SELL", "LONG", "SHORT", "SIGNAL"):
        added = c.words[mark.start] in ("add", "adding") and mark.end - mark.start == 1
        if (
            added
            and not c.has("SHOULD", "SELL", "WAIT", "SIGNAL")
            and not ({"worth", "time", "position", "would", "smart", "wise", "idea", "sense", "good"} & set(c.words))
        ):
            continue
        if (
            c.words[mark.start] in ("stop", "stops")
            and mark.end - mark.start == 1
            and not (c.has_symbol or c.has("LONG", "SHORT", "SHOULD"))
        ):
            continue
        if _is_declined(c, mark):
            continue
        start = mark.start if lead is None else min(lead, mark.start)
        weak = c.words[mark.start] in _WEAK_ACTS and mark.end - mark.start == 1 and lead is None and not c.is_question
        yield _Trigger(start, "trading_signal", "an action is asked about", 2 if weak else 3)
        break
    wait = c.at("WAIT")
    if wait is not None and (c.has("SHOULD", "OR") or "to" in c.words[:wait]) and not c.has_model:
        yield _Trigger(wait if lead is None else lead, "trading_signal", "hold or wait", 3)
    elif wait is not None and c.has_symbol and wait <= 2 and not c.has_model:
        yield _Trigger(wait, "trading_signal", "hold", 1)
    if lead is not None and (c.has_symbol or c.has("MARKET", "STOCKS")) and not c.has_model:
        yield _Trigger(lead, "trading_signal", "whether to act", 1)
    if (
        lead is not None
        and c.has_symbol
        and {"do", "hacer", "tun", "machen", "faire"} & set(c.words)
        and not c.has_model
    ):
        yield _Trigger(lead, "trading_signal", "what to do", 2)
    if (
        c.has("TRADED")
        and lead is not None
        and c.has_symbol
        and {"trade", "trading", "invest"} & set(c.words)
        and not c.has_model
    ):
        yield _Trigger(lead, "trading_signal", "whether to trade", 2)


def _is_declined(c: _Clause, act: Mark) -> bool:
    """ "I don't want to buy it": no action is asked about."""
    return any(
        act.start - 3 <= mark.end <= act.start
        and c.words[mark.start] not in ("isn", "isnt", "aren", "no")
        and not c.has("SHOULD", "WHY")
        for mark in c.marks("NOT")
    )


def _analyse(c: _Clause) -> Iterator[_Trigger]:
    market = c.has("MARKET") or (c.has("STOCKS") and not c.has("CROSS"))
    topic = c.has_symbol or market
    if len(c.reading.symbols) >= 2 and {"vs", "versus", "or", "oder", "ou", "o"} & set(c.words) and not c.has_model:
        yield _Trigger(_LAST, "market_analysis", "one symbol against another", 2)
    why = c.at("WHY")
    if why is not None and (topic or c.has("STATE")) and not c.has_model:
        yield _Trigger(why, "market_analysis", "why", 3)
    for mark in c.marks("ANALYZE"):
        if topic and not (c.has_model and c.definite_model and not c.has_symbol):
            yield _Trigger(mark.start, "market_analysis", "analyse", 3)
        elif c.has_model:
            yield _Trigger(mark.start, "model_evaluate", "analyse a model", 2)
        elif not c.reading.unknown_words:
            yield _Trigger(mark.start, "market_analysis", "analyse", 1)
        break
    forecast = c.at("FORECAST")
    if forecast is not None and topic and not c.has("MODEL"):
        yield _Trigger(forecast, "market_analysis", "forecast", 3 if forecast <= 2 else 2)
    howdo = c.at("HOWDO")
    if howdo is not None and topic and not c.has_model:
        yield _Trigger(howdo, "market_analysis", "how does it do", 3)
    if c.has("OPINION") and topic:
        yield _Trigger(c.at("OPINION") or 0, "market_analysis", "an opinion", 2)
    for concept, reason in (
        ("STATE", "state of a symbol"),
        ("INDICATOR", "an indicator"),
        ("DOING", "how it does"),
        ("PERF", "its returns"),
    ):
        at = c.at(concept)
        if at is None:
            continue
        # A noun gives way to any other reading of the same strength, wherever that stands.
        if topic or (concept == "INDICATOR" and c.reading.unknown_words <= 1):
            yield _Trigger(_LAST + at, "market_analysis", reason, 2)
        elif concept == "STATE" and not c.reading.unknown_words and not c.has_model:
            yield _Trigger(at, "market_analysis", reason, 1)


_LAST = 10_000

_RULES: tuple[_Rule, ...] = (
    _concepts_and_help,
    _across_the_market,
    _retrain,
    _build,
    _tune,
    _evaluate,
    _research,
    _plot,
    _recommend,
    _signal,
    _analyse,
)


# -- side --------------------------------------------------------------------------------------------------------------

_SIDES: tuple[tuple[str, Side], ...] = (("BUY", "buy"), ("SELL", "sell"), ("LONG", "long"), ("SHORT", "short"))
_EITHER = frozenset("or / oder o ou u versus vs 或 者 还 是".split())
_POSITION_OF = frozenset("my our his her your mi mein meine meinen mon ma the a an existing current open".split())


def side_of(reading: Reading) -> tuple[Side, int, int] | None:
    """The side of the action that a trading question asks about and the tokens it stands at; None for either/or or no side."""
    found: list[tuple[Side, int, int]] = []
    for mark in reading.marks:
        for concept, side in _SIDES:
            if concept in mark.concepts:
                found.append((side, mark.start, mark.end))
                break
    if not found:
        return None
    kinds = {side for side, _, _ in found}
    if len(kinds) == 1:
        return found[0]
    for left, right in pairwise(found):
        between = reading.words[left[2] : right[1]]
        if left[0] != right[0] and (not between or _EITHER & set(between)):
            return None
    # "exit my long": the action counts, the position it ends does not
    return found[0]
