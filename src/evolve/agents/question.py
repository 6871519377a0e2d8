"""What was asked, once every slot that the user did not name has a default that is shown as one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evolve.cards import Routing, SlotCard
from evolve.errors import EvolveError, InvalidRequest
from evolve.market.bars import Bars
from evolve.market.catalog import Catalog
from evolve.market.types import canonical_period

DEFAULT_PERIOD = "90d"
# What these answer depends on the stretch; a search for papers "since 2020" does not.
OVER_A_STRETCH = ("model_recommendation", "trading_signal", "market_analysis", "model_evaluate")


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, after defaults. history: the turns before it; shown: the slots with where each came from.

    topic: what a general question is about; universe: stocks or coins, where it spans only one of them.
    """

    query: str
    routing: Routing
    history: tuple[str, ...]
    symbols: tuple[str, ...]
    timeframe: str | None
    period: str
    model: str | None
    models: tuple[str, ...]
    not_models: tuple[str, ...]
    rule: str | None
    foretells: bool
    side: str | None
    simulate: bool
    shown: dict[str, SlotCard]
    topic: str | None = None
    universe: str | None = None

    @property
    def symbol(self) -> str | None:
        return self.symbols[0] if self.symbols else None


def question_of(query: str, routing: Routing, history: Sequence[str], catalog: Catalog, *, simulate: bool) -> Question:
    """Slots the user did not name get a default, shown as one. Raises InvalidRequest for one that was named and cannot be."""
    if routing.unusable:
        raise InvalidRequest(routing.unusable)
    arguments = routing.arguments
    if arguments.get("dates") and routing.intent in OVER_A_STRETCH:
        raise InvalidRequest(
            f"“{arguments['dates']}” names calendar dates, and the stretch that an answer shows ends with the last bar: "
            "name its length, such as 90 days or 2 years (models are tested on all history either way)"
        )
    shown = {name: slot for name, slot in routing.slots.items() if slot.value not in (None, "")}
    symbol = arguments.get("symbol")
    period = arguments.get("period")
    if not period:
        shown["period"] = SlotCard(DEFAULT_PERIOD, "default")
    timeframe = arguments.get("timeframe")
    if symbol and not timeframe:
        try:
            bars_at = catalog.load(symbol, None, simulate=simulate).timeframe
            shown["timeframe"] = SlotCard(bars_at, "default", "the finest with real bars")
        except EvolveError:
            pass  # said better where the bars are needed
    return Question(
        query=query,
        routing=routing,
        history=tuple(history),
        symbols=tuple(arguments.get("symbols") or ()),
        timeframe=timeframe,
        period=canonical_period(period or DEFAULT_PERIOD),
        model=arguments.get("model_type"),
        models=tuple(arguments.get("models") or ()),
        not_models=tuple(arguments.get("not_models") or ()),
        rule=arguments.get("rule"),
        foretells=bool(arguments.get("foretells")),
        side=arguments.get("side"),
        simulate=simulate,
        shown=shown,
        topic=arguments.get("topic"),
        universe=arguments.get("universe"),
    )


def load(question: Question, catalog: Catalog, symbol: str | None = None) -> Bars:
    """The bars that the question is about, or those of another symbol at its timeframe."""
    return catalog.load(symbol or str(question.symbol), question.timeframe, simulate=question.simulate)
