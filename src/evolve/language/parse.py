"""What did the user ask? One query, with the turns before it, becomes a frame: intent, slots, and where each came from.

Deterministic and offline: the same query gives the same frame on every machine. Text that tries to give orders to the system is
cut out before anything is understood from it, so that it cannot change an intent or a slot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from evolve.language.dialogue import inherit, is_elliptical, symbols_slot
from evolve.language.frame import INTENTS, Frame, Intent, Origin, Side, Slot, SlotName
from evolve.language.gazetteer import gazetteer
from evolve.language.intents import SUGGESTIONS, Decision, decide, side_of, without_injection
from evolve.language.lexicon import rule_in
from evolve.language.numbers import LONGEST_PERIOD_DAYS
from evolve.language.reading import Reading, read
from evolve.language.topics import topic_of, universe_of

__all__ = ["INTENTS", "Frame", "Intent", "Origin", "Side", "Slot", "SlotName", "parse", "parse_as"]

TURNS_READ = 3  # earlier turns that a follow-up may lean on; more only cost time
TURN_CHARACTERS = 200


def parse(query: str, context: Sequence[str] = (), *, own: Iterable[str] = ()) -> Frame:
    """The frame of `query`. context: the user's earlier turns, oldest first; own: symbols that the user has bars of.

    Any text of any script gives a frame; what is not understood has the intent `unsupported` and example queries to try.
    """
    symbols = frozenset(symbol.upper() for symbol in own)
    previous: Frame | None = None
    for turn in context[-TURNS_READ:]:
        frame = _with_previous(turn[:TURN_CHARACTERS], previous, symbols)
        if frame.intent != "unsupported":
            previous = frame
    return _with_previous(query, previous, symbols)


def _with_previous(query: str, previous: Frame | None, own: frozenset[str]) -> Frame:
    reading, cut = without_injection(read(query, own))
    decision = decide(reading)
    frame = _frame(reading, decision)
    if previous is not None and not cut and is_elliptical(reading, decision, previous):
        frame = inherit(_slotted(frame, reading, previous), reading, decision, previous)
    if cut:
        frame = replace(frame, reasons=(*frame.reasons, "instructions to the system were cut out"))
    return frame


def parse_as(query: str, intent: Intent, context: Sequence[str] = (), *, own: Iterable[str] = ()) -> Frame:
    """The frame of a query whose intent somebody else has found; its slots are the grammar's."""
    frame = parse(query, context, own=own)
    reading, _ = without_injection(read(query, frozenset(symbol.upper() for symbol in own)))
    filled = _fill(Frame(intent=intent, confidence=frame.confidence), reading, with_side=intent == "trading_signal")
    if filled.symbols or not frame.symbols:
        return filled
    # The grammar took them from the turn before, which stands whatever is asked about them.
    return replace(
        filled,
        symbols=frame.symbols,
        symbol_slots=frame.symbol_slots,
        slots={**filled.slots, "symbols": frame.slots["symbols"]},
    )


def _slotted(frame: Frame, reading: Reading, previous: Frame) -> Frame:
    """The frame with its slots filled though its own words gave no intent ("on the 4h?") or no action ("the other side?")."""
    if frame.intent == "unsupported" or (previous.intent == "trading_signal" and frame.intent != "trading_signal"):
        return _fill(frame, reading, with_side=True)
    return frame


def _frame(reading: Reading, decision: Decision) -> Frame:
    frame = Frame(intent=decision.intent, confidence=decision.confidence, reasons=decision.reasons)
    if decision.intent == "unsupported":
        return replace(frame, suggestions=SUGGESTIONS)
    filled = _fill(frame, reading, with_side=decision.intent == "trading_signal")
    return replace(
        filled,
        question=_question(filled, reading, decision),
        topic=topic_of(reading, decision),
        universe=universe_of(reading),
    )


def _fill(frame: Frame, reading: Reading, *, with_side: bool) -> Frame:
    def slot(value: str | int, start: int, end: int, *, mended: bool = False) -> Slot:
        first, last = reading.tokens[start].start, reading.tokens[end - 1].end
        return Slot(value, "inferred" if mended else "stated", (first, last), reading.query[first:last])

    symbol_slots = []
    for symbol in reading.symbols:
        mention = next(m for m in reading.mentions if m.symbol == symbol and not m.excluded)
        symbol_slots.append(slot(symbol, mention.start, mention.end, mended=mention.fuzzy))
    slots: dict[SlotName, Slot] = {}
    if symbol_slots:
        slots["symbols"] = symbols_slot(tuple(symbol_slots))
    timeframe, period = reading.time.timeframe, reading.time.period
    if timeframe is not None:
        slots["timeframe"] = slot(timeframe.value, timeframe.start, timeframe.end)
    if period is not None:
        slots["period_days"] = slot(period.days, period.start, period.end)
    model = reading.named_models[0] if reading.named_models else None
    if model is not None:
        mended = not reading.mended.isdisjoint(range(model.start, model.end))
        slots["model"] = slot(model.name, model.start, model.end, mended=mended)
    models = tuple(dict.fromkeys(named.name for named in reading.named_models))
    side = side_of(reading) if with_side else None
    if side is not None:
        slots["side"] = slot(*side)
    return replace(
        frame,
        symbols=reading.symbols,
        timeframe=timeframe.value if timeframe else None,
        period_days=period.days if period else None,
        model=model.name if model else None,
        models=models,
        not_models=tuple(dict.fromkeys(named.name for named in reading.models if named.negated)),
        dates=_said(reading, reading.time.dated),
        foretells="FORECAST" in reading.concepts or (period is not None and period.future),
        rule=rule_in(reading.words),
        unusable=_unusable(reading),
        side=side[0] if side else None,
        slots=slots,
        symbol_slots=tuple(symbol_slots),
    )


def _said(reading: Reading, spans: Sequence[tuple[int, int]]) -> str | None:
    """The words of the first span."""
    if not spans:
        return None
    start, end = spans[0]
    return reading.query[reading.tokens[start].start : reading.tokens[end - 1].end]


def _unusable(reading: Reading) -> str | None:
    said = _said(reading, reading.time.impossible)
    if said is None:
        return None
    return f"“{said}” is no stretch of time that can be tested: name one from 1 day to {LONGEST_PERIOD_DAYS // 365} years, such as 90 days"


_AS_A_WISH: dict[Intent, str] = {
    "model_recommendation": "which model suits {symbol}",
    "trading_signal": "a trading signal for {symbol}",
    "market_analysis": "how {symbol} is doing",
    "general_query": "something in general",
    "model_build": "a new model for {symbol}",
    "model_evaluate": "how a model of {symbol} did",
    "model_retrain": "an existing model trained again",
    "hyperparameter_tune": "hyperparameters tuned",
    "research_search": "papers or repositories",
    "plot_request": "a chart of {symbol}",
}


def _question(frame: Frame, reading: Reading, decision: Decision) -> str | None:
    """One question, where the answer would change what is done; None where the reading is clear."""
    known = gazetteer()
    for mention in reading.mentions:
        if mention.excluded:
            continue
        name = known.instruments[mention.symbol].name if mention.symbol in known.instruments else mention.symbol
        said = reading.query[reading.tokens[mention.start].start : reading.tokens[mention.end - 1].end]
        if mention.fuzzy:
            return f"By “{said}”, do you mean {mention.symbol} ({name.title()})?"
        if mention.ambiguous:
            return f"By “{said}”, do you mean the instrument {mention.symbol} ({name.title()})?"
    if decision.rival is None or (decision.strong and decision.confidence >= 0.7):
        return None
    symbol = frame.symbols[0] if frame.symbols else "it"
    first, second = _AS_A_WISH[decision.intent].format(symbol=symbol), _AS_A_WISH[decision.rival].format(symbol=symbol)
    return (
        f"Do you want to know {first}, or {second}?"
        if "which" in first or "how" in first
        else f"Do you want {first}, or {second}?"
    )
