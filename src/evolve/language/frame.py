"""What was understood of one query: an intent and the slots the user named, each with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # the market's types import pydantic, which would triple the load time of a parse
    from evolve.market.types import Timeframe

Intent = Literal[
    "model_recommendation",
    "trading_signal",
    "market_analysis",
    "general_query",
    "model_build",
    "model_evaluate",
    "model_retrain",
    "hyperparameter_tune",
    "research_search",
    "plot_request",
    "unsupported",
]
INTENTS: tuple[Intent, ...] = get_args(Intent)
Side = Literal["long", "short", "buy", "sell"]
SlotName = Literal["symbols", "timeframe", "period_days", "model", "side"]
Origin = Literal["stated", "inherited", "default", "inferred"]


@dataclass(frozen=True, slots=True)
class Slot:
    """One value and its origin. span: its place in the query, None when it does not stand there; text: the words it came from.

    stated: in the query as written; inferred: a typo mended; inherited: from an earlier turn; default: chosen by whoever answers.
    """

    value: str | int | tuple[str, ...]
    origin: Origin
    span: tuple[int, int] | None
    text: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The parse of one query. A slot that the user did not name is None (or an empty tuple), never a guess.

    slots: one per slot that is filled; `symbols` as a whole there, each symbol with its own origin and span in `symbol_slots`.
    confidence: how far to trust the intent, 0 to 1; reasons: the rules that fired, in order; suggestions: example queries, given
    when the query is unsupported; question: what to ask back when two readings are close. models: every model named, the first of
    them in `model`; rule: a trading rule that is named but is no model ("moving average crossover"); unusable: a sentence about a
    slot that was named but has no possible value ("0 days"), so that nobody answers with a default in its place; topic: what a
    general query is about (`topics`), and universe whether it spans only stocks or only coins.
    """

    intent: Intent
    symbols: tuple[str, ...] = ()
    timeframe: Timeframe | None = None
    period_days: int | None = None
    model: str | None = None
    side: Side | None = None
    confidence: float = 0.0
    slots: Mapping[SlotName, Slot] = field(default_factory=dict)
    symbol_slots: tuple[Slot, ...] = ()
    reasons: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    question: str | None = None
    models: tuple[str, ...] = ()
    not_models: tuple[str, ...] = ()
    rule: str | None = None
    dates: str | None = None
    foretells: bool = False
    unusable: str | None = None
    topic: str | None = None
    universe: str | None = None
