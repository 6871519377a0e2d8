"""Which model is worth trusting on a symbol, and which side would it take now? Candidates are built, compared and judged by others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evolve.agents.answer import SEED, write_answer
from evolve.agents.desk import Desk
from evolve.agents.model_builder import BuildOrder
from evolve.agents.question import Question, load
from evolve.agents.reproduction import Earlier, recipes_of
from evolve.cards import AnswerCard, ComparisonCard, ModelCard, Recipe
from evolve.clock import Clock
from evolve.errors import EvolveError, InvalidRequest
from evolve.language import commentary
from evolve.market.bars import Bars
from evolve.market.catalog import Catalog

# The dearest first: two are built at a time, and the last one to begin should be the quickest.
CANDIDATES = ("ensemble", "transformer", "tcn", "lstm", "xgboost", "ridge", "ets")
ALWAYS_COMPARED = ("naive", "drift")  # baselines: every comparison holds them, none is built


class Recommendation:
    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock

    def recommend(self, question: Question, desk: Desk, earlier: Earlier | None) -> AnswerCard:
        comparison, recipes, missing = self._compare(question, desk, earlier)
        chosen = question.shown.get("symbol")
        said = [
            *commentary.on_default(comparison.symbol, chosen.origin if chosen else "stated"),
            *commentary.on_others(comparison.symbol, question.symbols),
            *commentary.on_comparison(comparison),
            *commentary.on_data(comparison.trust.data)[:1],
        ]
        return self._answer(
            question, commentary.headline(comparison), said, comparison=comparison, recipes=recipes, missing=missing
        )

    def signal(self, question: Question, desk: Desk, earlier: Earlier | None) -> AnswerCard:
        if question.symbol is None:
            raise InvalidRequest("a signal needs a symbol: name a stock or coin, such as AAPL or BTCUSDT")
        comparison, recipes, missing = self._compare(question, desk, earlier)
        data = comparison.trust.data
        signal = None if data.status == "stale" else _side(comparison)
        said = [
            *commentary.on_signal(signal, comparison, data),
            *commentary.on_outlook(comparison),
            *commentary.on_others(comparison.symbol, question.symbols),
            *commentary.on_comparison(comparison),
            *commentary.on_data(data)[:1],  # what else there is to know stands among the caveats
        ]
        first = f"{data.symbol}: {signal or 'no side'}"
        why = {"stale": f"the data end on {data.last}", "simulated": "SIMULATED data"}.get(data.status, "")
        head = (
            f"{first} ({why}). {commentary.headline(comparison)}"
            if why
            else f"{first}. {commentary.headline(comparison)}"
        )
        return self._answer(
            question,
            head,
            said,
            comparison=comparison,
            recipes=recipes,
            missing=missing,
            extra={"signal": signal, "size": _size(comparison) if signal in ("BUY", "SELL") else 0.0},
        )

    def _compare(
        self, question: Question, desk: Desk, earlier: Earlier | None
    ) -> tuple[ComparisonCard, tuple[Recipe, ...], tuple[dict[str, str], ...]]:
        """Build the candidates and have them compared. A candidate that cannot be built is named in `missing`."""
        if question.symbol is None:
            raise InvalidRequest("name a stock or coin, such as AAPL or BTCUSDT")
        bars = load(question, self._catalog)
        orders = self._orders(question, bars, earlier)
        desk.progress("build", 0, len(orders), f"building {', '.join(order.model_type for order in orders)}")
        built = desk.build_all(orders)
        cards = [card for card in built if isinstance(card, ModelCard)]
        missing = tuple(
            {"service": "model_builder", "model_type": order.model_type, "why": error.message}
            for order, error in zip(orders, built, strict=True)
            if isinstance(error, EvolveError)
        )
        if len(cards) < 2:
            failed = next(error for error in built if isinstance(error, EvolveError))
            raise failed
        comparison = desk.compare(
            [card.model_id for card in cards],
            bars.symbol,
            bars.timeframe,
            question.period,
            simulate=bars.simulated,
            refit=earlier is not None,
            ledger_position=earlier.ledger_position if earlier else 0,
            trials=earlier.answer.trust.trials if earlier and earlier.answer.trust else 0,
        )
        return comparison, tuple(card.recipe for card in cards), missing

    def _orders(self, question: Question, bars: Bars, earlier: Earlier | None) -> list[BuildOrder]:
        if earlier is not None and earlier.answer.recipe.get("recipes"):
            recipes = recipes_of(earlier.answer)
            return [
                BuildOrder(
                    recipe.model_type, recipe.symbol, recipe.timeframe, tuple(recipe.features), recipe.hyperparameters,
                    recipe.horizon_bars, recipe.seed, simulate=bars.simulated,
                )
                for recipe in recipes
            ]  # fmt: skip
        # Those that were named, and no others: each further candidate is a trial that the verdict must pay for.
        named = [name for name in question.models if name not in ALWAYS_COMPARED and not _is_id(name)]
        wanted = named if len(named) >= 2 else [name for name in CANDIDATES if name not in question.not_models]
        if question.model and question.model not in (*wanted, *ALWAYS_COMPARED) and not _is_id(question.model):
            wanted.insert(0, question.model)
        return [BuildOrder(name, bars.symbol, bars.timeframe, seed=SEED, simulate=bars.simulated) for name in wanted]

    def _answer(self, question: Question, head: str, said: Sequence[str], **parts: Any) -> AnswerCard:
        return write_answer(question, head, [*commentary.on_rule(question.rule), *said], clock=self._clock, **parts)


def _side(comparison: ComparisonCard) -> str:
    """BUY, SELL or HOLD: the winner's position at the last close, HOLD without a winner."""
    if comparison.winner is None:
        return "HOLD"
    row = next(row for row in comparison.rows if row.model_id == comparison.winner.model_id)
    decision = row.figures["decision"].value
    if not isinstance(decision, int | float) or decision == 0:
        return "HOLD"
    return "BUY" if decision > 0 else "SELL"


def _size(comparison: ComparisonCard) -> float:
    """The winner's target position at the last close, as a fraction of equity; what `signal` says, 0 without a winner."""
    winner = comparison.winner.model_id if comparison.winner else None
    row = next((row for row in comparison.rows if row.model_id == winner and winner is not None), None)
    decision = row.figures["decision"].value if row else None
    return float(decision) if isinstance(decision, int | float) else 0.0


def _is_id(model: str) -> bool:
    return any(character.isdigit() for character in model)
