"""A question in plain English, answered with evidence: decides what must be built, compared or looked up, and says what it means.

It asks other services through a `Desk` and never computes what one of them answers for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from evolve.agents.market_analyst import describe, rank_symbols, regime
from evolve.agents.model_builder import BuildOrder
from evolve.cards import (
    AnswerCard,
    ComparisonCard,
    Curve,
    DataCard,
    EvaluationCard,
    ModelCard,
    ParsedIntent,
    PastQuery,
    QueryResult,
    RankedRow,
    Recipe,
    Routing,
    SlotCard,
    TrustCard,
    Verdict,
)
from evolve.clock import SYSTEM_CLOCK, Clock, iso
from evolve.errors import BadRequest, EvolveError, InvalidRequest, MissingExtra, Unavailable, UnknownSymbol
from evolve.evidence import Evidence, EvidenceBook
from evolve.language import commentary
from evolve.market.bars import Bars
from evolve.market.catalog import Catalog, data_card
from evolve.market.store import BarStore
from evolve.market.types import (
    SPECIFIED_PERIODS,
    SPECIFIED_SYMBOLS,
    SPECIFIED_TIMEFRAMES,
    canonical_period,
    period_days,
)
from evolve.memory.answers import Answers, answer_id_of
from evolve.memory.canonical import from_json, sha256_of
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.settings import Settings
from evolve.version import code_version

CANDIDATES = ("ridge", "xgboost", "lstm")
DEFAULT_PERIOD = "90d"
SEED = 0
SURFACE = ("model_recommendation", "trading_signal", "market_analysis", "general_query")
CRYPTO = ("BTCUSDT", "ETHUSDT")
SESSION_TURNS = 5
EXAMPLES = (
    "Give me the best model for AAPL over 90 days",
    "Should I buy AAPL now?",
    "What's happening with ETHUSDT?",
)


class Desk(Protocol):
    """How the other services are asked. Each method raises their typed errors."""

    def understand(self, query: str, history: Sequence[str], symbols: Sequence[str] = ()) -> Routing: ...
    def build_all(self, orders: Sequence[BuildOrder]) -> list[ModelCard | EvolveError]: ...
    def compare(
        self, model_ids: Sequence[str], symbol: str, timeframe: str, period: str, *, simulate: bool, refit: bool, ledger_position: int, trials: int
    ) -> ComparisonCard: ...  # fmt: skip
    def evaluate(self, model_id: str, symbol: str | None, timeframe: str | None, period: str) -> EvaluationCard: ...
    def models(self) -> Sequence[ModelCard]: ...
    def evaluations(self, model_id: str) -> Sequence[EvaluationCard]: ...
    def forward(self, routing: Routing) -> dict[str, Any]: ...
    def progress(self, stage: str, done: int, total: int, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Question:
    """What was asked, after defaults. history: the turns before it; shown: the slots with where each came from."""

    query: str
    routing: Routing
    history: tuple[str, ...]
    symbols: tuple[str, ...]
    timeframe: str | None
    period: str
    model: str | None
    side: str | None
    simulate: bool
    shown: dict[str, SlotCard]

    @property
    def symbol(self) -> str | None:
        return self.symbols[0] if self.symbols else None


@dataclass(frozen=True, slots=True)
class _Earlier:
    """The answer to be reproduced: count trials as then, refit everything, and compare figure by figure."""

    answer: AnswerCard
    ledger_position: int


class QuantGptAgent:
    def __init__(
        self, catalog: Catalog, answers: Answers, log: DecisionLog, *, settings: Settings, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._catalog = catalog
        self._answers = answers
        self._log = log
        self._settings = settings
        self._clock = clock

    @classmethod
    def from_settings(cls, settings: Settings) -> QuantGptAgent:
        database = Database.open(settings)
        return cls(Catalog(BarStore(settings.home)), Answers(database), DecisionLog(database), settings=settings)

    # --- the one question everything is about ---

    def process(
        self,
        query: str,
        desk: Desk,
        *,
        request_id: str,
        session: str | None = None,
        simulate: bool = False,
        reproduce: str | None = None,
        document: dict[str, Any] | None = None,
    ) -> QueryResult:
        """The answer, or an inner error with suggestions. reproduce: an answer's id; document: such an answer, whole.

        Raises only what no rewording of the question would mend (a server that is gone).
        """
        now = self._clock.now()
        earlier = self._earlier(reproduce, document)
        if earlier is not None:
            query, simulate = earlier.answer.query, bool(earlier.answer.recipe.get("simulate"))
        if not query.strip():
            return _failed(query, now, "the question is empty", suggestions=EXAMPLES)
        try:
            desk.progress("understand", 0, 1, "reading the question")
            history = self._history(session) if earlier is None else earlier.answer.recipe.get("history") or []
            routing = desk.understand(query, history, self._own_symbols())
            desk.progress("understand", 1, 1, f"{routing.intent}: {_in_short(routing)}")
            question = self._question(query, routing, history, simulate or self._settings.simulate)
            answer = self._answer(question, desk, earlier, request_id)
        except (BadRequest, MissingExtra) as error:
            return _failed(query, now, error.message, code=error.code, suggestions=_suggest(error))
        except EvolveError as error:
            if isinstance(error, Unavailable):
                service = str(error.details.get("service") or "a service")
                missing = ({"service": service, "why": error.message},)
                return _failed(query, now, error.message, code=error.code, suggestions=EXAMPLES, missing=missing)
            if error.code == "data_unavailable":
                return _failed(query, now, error.message, code=error.code, suggestions=_suggest(error))
            raise
        if isinstance(answer, QueryResult):
            return answer
        return self._result(query, routing, answer, earlier, request_id, now)

    def _answer(
        self, question: _Question, desk: Desk, earlier: _Earlier | None, request_id: str
    ) -> AnswerCard | QueryResult:
        intent = question.routing.intent
        if intent == "unsupported":
            suggestions = tuple(question.routing.suggestions) or EXAMPLES
            said = question.routing.question or "this is not something Evolve answers"
            return _failed(question.query, self._clock.now(), said, code="invalid_request", suggestions=suggestions)
        if intent == "model_recommendation":
            return self._recommend(question, desk, earlier)
        if intent == "trading_signal":
            return self._signal(question, desk, earlier)
        if intent == "market_analysis":
            return self._analyse(question)
        if intent == "general_query":
            return self._general(question, desk, earlier)
        if intent == "model_evaluate":
            return self._evaluate(question, desk, earlier)
        return self._forward(question, desk)

    # --- one method per intent ---

    def _recommend(self, question: _Question, desk: Desk, earlier: _Earlier | None) -> AnswerCard:
        comparison, recipes, missing = self._compare(question, desk, earlier)
        said = [
            *commentary.on_others(comparison.symbol, question.symbols),
            *commentary.on_comparison(comparison),
            *commentary.on_data(comparison.trust.data)[:1],
        ]
        return self._card(
            question, commentary.headline(comparison), said, comparison=comparison, recipes=recipes, missing=missing
        )

    def _signal(self, question: _Question, desk: Desk, earlier: _Earlier | None) -> AnswerCard:
        if question.symbol is None:
            raise InvalidRequest("a signal needs a symbol: name a stock or coin, such as AAPL or BTCUSDT")
        comparison, recipes, missing = self._compare(question, desk, earlier)
        data = comparison.trust.data
        signal = None if data.status == "stale" else _side(comparison)
        said = [
            *commentary.on_signal(signal, comparison, data),
            *commentary.on_others(comparison.symbol, question.symbols),
            *commentary.on_comparison(comparison),
            *commentary.on_data(data)[:1],  # what else there is to know stands among the caveats
        ]
        first = f"{data.symbol}: {signal or 'no side'}"
        why = {"stale": f"the data end on {data.last}", "simulated": "SIMULATED data, no view on the stock"}.get(
            data.status, ""
        )
        head = (
            f"{first} ({why}). {commentary.headline(comparison)}"
            if why
            else f"{first}. {commentary.headline(comparison)}"
        )
        return self._card(
            question, head, said, comparison=comparison, recipes=recipes, missing=missing, extra={"signal": signal}
        )

    def _analyse(self, question: _Question) -> AnswerCard:
        if question.symbol is None:
            return self._cross_section(question)
        if len(question.symbols) > 1:
            named = [self._load(question, symbol) for symbol in question.symbols]
            return self._side_by_side(question, named, "Only the symbols named are ranked")
        bars = self._load(question)
        book = EvidenceBook()
        found = describe(bars, period_days(question.period), book)
        trend, volatility = regime(found)
        data = data_card(bars, self._clock.now())
        adjusted = any(note.startswith("prices are adjusted") for note in data.notes)
        said = [
            *commentary.on_market(bars.symbol, found, trend, volatility, adjusted=adjusted),
            *commentary.on_data(data)[:1],
        ]
        if data.status == "stale":
            said[0] = f"As of {data.last}: {said[0]}"
        if bars.simulated:
            said[0] = f"SIMULATED, no view on the real {bars.symbol}: {said[0]}"
        row = RankedRow(1, bars.symbol, "baseline", None, found)
        return self._card(
            question,
            said[0],
            said[1:],
            rows=(row,),
            figures=tuple(book),
            data=(data,),
            curves=(_price_curve(bars, period_days(question.period)),),
            extra={"trend": trend, "volatility": volatility},
        )

    def _general(self, question: _Question, desk: Desk, earlier: _Earlier | None) -> AnswerCard:
        text = question.query.lower()
        if "strategy" in text or "strategies" in text or "crypto" in text:
            symbol = question.symbol or (CRYPTO[0] if "crypto" in text or "coin" in text else "AAPL")
            origin = "stated" if question.symbol else "default"
            shown = {**question.shown, "symbol": SlotCard(symbol, cast("Any", origin))}
            return self._recommend(replace(question, symbols=(symbol,), shown=shown), desk, earlier)
        if any(word in text for word in ("performance", "result", "history", "evaluation", "leaderboard")):
            return self._latest_performance(question, desk)
        if any(
            word in text for word in ("stock", "symbol", "gainer", "loser", "performing", "market", "coins", "winner")
        ):
            return self._cross_section(question)
        return self._capabilities(question)

    def _latest_performance(self, question: _Question, desk: Desk) -> AnswerCard:
        """What the registered models did when they were last evaluated; from storage, nothing is computed."""
        rows: list[RankedRow] = []
        book = EvidenceBook()
        for model in desk.models()[:10]:
            past = desk.evaluations(model.model_id)
            given = past[0].metrics if past else {item.name: item for item in model.metrics}
            # Each evaluation numbers its own figures from e1, and calls every ridge "ridge".
            found = {name: book.adopt(replace(item, of=model.model_id)) for name, item in given.items()}
            shown = f"{model.model_id} SIMULATED" if model.data.simulated else model.model_id
            rows.append(RankedRow(len(rows) + 1, shown, "model", model.model_id, found))
        if not rows:
            raise InvalidRequest(
                'no model has been built yet: `evolve build ridge AAPL`, or ask "Give me the best model for AAPL over 90 days"'
            )
        head = f"The latest {len(rows)} models and how they did out of sample, net of costs."
        said = [
            "Newest first, each as of its own data; a figure is not a recommendation: `evolve evaluate ID` gives a verdict."
        ]
        if any(row.name.endswith("SIMULATED") for row in rows):
            said.append("What is marked SIMULATED is no view on the symbol.")
        return self._card(question, head, said, rows=tuple(rows), figures=tuple(book))  # fmt: skip

    def _cross_section(self, question: _Question) -> AnswerCard:
        """Every symbol with real bars, by return over the period."""
        listings = [listing for listing in self._catalog.listings() if listing.origin != "simulated"]
        # GOOGL is served from GOOG's series: ranking both would show one stock twice.
        distinct = {bars.close.tobytes(): bars for bars in (self._catalog.load(each.symbol) for each in listings[::-1])}
        everything = list(distinct.values())
        if not everything:
            raise InvalidRequest("there are no real bars here; import some: evolve data import FILE --symbol X")
        return self._side_by_side(question, everything, "Only symbols with real bars are ranked")

    def _side_by_side(self, question: _Question, everything: Sequence[Bars], which: str) -> AnswerCard:
        book = EvidenceBook()
        ranked = rank_symbols(everything, period_days(question.period), book)
        rows = tuple(
            RankedRow(rank, found["period_return"].of, "baseline", None, found) for rank, found in enumerate(ranked, 1)
        )
        now = self._clock.now()
        data = tuple(data_card(bars, now) for bars in everything)
        first, last = rows[0], rows[-1]
        head = f"Over the last {question.period} of the bars at hand {first.name} did best ({first.figures['period_return']}), {last.name} worst ({last.figures['period_return']})."  # fmt: skip
        said = [
            f"{which}: {', '.join(row.name for row in rows)}. What rose is not for that reason a buy.",
            *(
                f"SIMULATED: nothing here is a view on the real {card.symbol}."
                if card.simulated
                else f"{card.symbol}: as of {card.last}, nothing here speaks of today."
                for card in data
                if card.status != "current"
            ),
        ]
        return self._card(question, head, said, rows=rows, figures=tuple(book), data=data)

    def _capabilities(self, question: _Question) -> AnswerCard:
        head = "Evolve tests models on bars they have not seen, net of costs, against naive baselines, and says when there is no edge."
        said = [
            "It recommends models, gives signals with their evidence, describes markets, and builds and evaluates models.",
            "Ask for example: " + "; ".join(f'"{example}"' for example in EXAMPLES) + ".",
        ]
        return self._card(question, head, said)

    def _evaluate(self, question: _Question, desk: Desk, earlier: _Earlier | None) -> AnswerCard:
        if question.routing.request is not None and question.routing.request.type == "evaluate_model":
            evaluation = desk.evaluate(str(question.model), question.symbol, question.timeframe, question.period)
            row = RankedRow(1, evaluation.model_id, "model", evaluation.model_id, {**evaluation.metrics, **{f"period_{name}": item for name, item in evaluation.in_period.items()}})  # fmt: skip
            said = [*commentary.on_evaluation(evaluation), *commentary.on_data(evaluation.trust.data)]
            head = f"{evaluation.model_id} on {evaluation.symbol}: {evaluation.trust.verdict.replace('_', ' ')}."
            return self._card(
                question, head, said, rows=(row,), trust=evaluation.trust, figures=evaluation.trust.evidence,
                data=(evaluation.trust.data,), curves=evaluation.curves,
            )  # fmt: skip
        return self._recommend(question, desk, earlier)

    def _forward(self, question: _Question, desk: Desk) -> AnswerCard:
        """Build, retrain, tune, search, plot: carried out by the service they are for."""
        routing = question.routing
        # A request to ourselves would go round for ever: the router sends us what it lacks a model or symbol for.
        if routing.request is None or routing.request.service == "quant_gpt":
            raise InvalidRequest(
                routing.question or "say which model or symbol this is about; `evolve models` lists the models"
            )
        reply = desk.forward(routing)
        head = f"Done by {routing.request.service}: {reply.get('type', routing.request.type)}."
        said = []
        figures: tuple[Evidence, ...] = ()
        model = reply.get("model_info")
        if isinstance(model, ModelCard):
            head = f"Built {model.model_id}."
            figures = model.metrics
            found = {item.name: item for item in figures}
            said = [
                f"Out of sample, net of costs: Sharpe ratio {found['sharpe']}, return {found['total_return']}, maximum drawdown {found['drawdown']}; R² {found['skill_r2']} against no change.",
                *commentary.on_data(model.data),
                f"`evolve evaluate {model.model_id}` tests it against luck.",
            ]
            data: tuple[DataCard, ...] = (model.data,)
            used = {
                "model": model.recipe.model_type,
                "symbols": model.recipe.symbol,
                "timeframe": model.recipe.timeframe,
            }
            defaults = {name: SlotCard(value, "default") for name, value in used.items()}
            question = replace(question, shown={**defaults, **question.shown})
            return self._card(question, head, said, figures=figures, data=data, rows=(RankedRow(1, model.recipe.model_type, "model", model.model_id, found),), extra={"model_id": model.model_id})  # fmt: skip
        return self._card(question, head, said, figures=figures)

    # --- what several of them need ---

    def _compare(
        self, question: _Question, desk: Desk, earlier: _Earlier | None
    ) -> tuple[ComparisonCard, tuple[Recipe, ...], tuple[dict[str, str], ...]]:
        """Build the candidates and have them compared. A candidate that cannot be built is named in `missing`."""
        if question.symbol is None:
            raise InvalidRequest("name a stock or coin, such as AAPL or BTCUSDT")
        bars = self._load(question)
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

    def _orders(self, question: _Question, bars: Bars, earlier: _Earlier | None) -> list[BuildOrder]:
        if earlier is not None and earlier.answer.recipe.get("recipes"):
            recipes = _recipes_of(earlier.answer)
            return [
                BuildOrder(
                    recipe.model_type, recipe.symbol, recipe.timeframe, tuple(recipe.features), recipe.hyperparameters,
                    recipe.horizon_bars, recipe.seed, simulate=bars.simulated,
                )
                for recipe in recipes
            ]  # fmt: skip
        wanted = list(CANDIDATES)
        if question.model and question.model not in wanted and not any(ch.isdigit() for ch in question.model):
            wanted.insert(0, question.model)
        return [BuildOrder(name, bars.symbol, bars.timeframe, seed=SEED, simulate=bars.simulated) for name in wanted]

    def _load(self, question: _Question, symbol: str | None = None) -> Bars:
        return self._catalog.load(symbol or str(question.symbol), question.timeframe, simulate=question.simulate)

    def _question(self, query: str, routing: Routing, history: Sequence[str], simulate: bool) -> _Question:
        """Slots the user did not name get a default, shown as one."""
        arguments = routing.arguments
        shown = {name: slot for name, slot in routing.slots.items() if slot.value not in (None, "")}
        symbol = arguments.get("symbol")
        period = arguments.get("period")
        if not period:
            shown["period"] = SlotCard(DEFAULT_PERIOD, "default")
        timeframe = arguments.get("timeframe")
        if symbol and not timeframe:
            try:
                bars_at = self._catalog.load(symbol, None, simulate=simulate).timeframe
                shown["timeframe"] = SlotCard(bars_at, "default", "the finest with real bars")
            except EvolveError:
                pass  # said better where the bars are needed
        return _Question(
            query=query,
            routing=routing,
            history=tuple(history),
            symbols=tuple(arguments.get("symbols") or ()),
            timeframe=timeframe,
            period=canonical_period(period or DEFAULT_PERIOD),
            model=arguments.get("model_type"),
            side=arguments.get("side"),
            simulate=simulate,
            shown=shown,
        )

    def _card(
        self,
        question: _Question,
        head: str,
        said: Sequence[str],
        *,
        comparison: ComparisonCard | None = None,
        rows: tuple[RankedRow, ...] = (),
        trust: TrustCard | None = None,
        figures: tuple[Evidence, ...] = (),
        data: tuple[DataCard, ...] = (),
        curves: tuple[Curve, ...] = (),
        recipes: tuple[Recipe, ...] = (),
        missing: tuple[dict[str, str], ...] = (),
        extra: dict[str, Any] | None = None,
    ) -> AnswerCard:
        verdict: Verdict | None = None
        if comparison is not None:
            rows, trust, curves = comparison.rows, comparison.trust, comparison.curves
            figures, data, verdict = comparison.trust.evidence, (comparison.trust.data,), comparison.verdict
        elif trust is not None:
            verdict = trust.verdict
        fingerprints = [card.fingerprint for card in data]
        # Trials counted so far are part of the evidence: another count is another answer.
        counted = [f"trials:{trust.trials}"] if trust is not None else []
        # Nor is "and over a year?" the same question after another one.
        understood = sha256_of([question.routing.intent, question.routing.arguments])
        answer_id = answer_id_of(
            question.query,
            data_fingerprints=[*fingerprints, *counted, understood],
            recipes=recipes,
            seed=SEED,
            code_version=code_version(),
        )
        return AnswerCard(
            answer_id=answer_id,
            query=question.query,
            intent=question.routing.intent,
            headline=head,
            verdict=verdict,
            data_status=_worst(data),
            slots=question.shown,
            rows=rows,
            trust=trust,
            figures=figures,
            commentary=tuple(said),
            curves=curves,
            disclaimer=commentary.DISCLAIMER,
            # What was read from the registry, or from no data at all, has nothing to compute again.
            reproduce=f"evolve reproduce {answer_id}" if data else "",
            recipe={
                "question": question.query,
                "simulate": question.simulate,
                "recipes": [_plain(recipe) for recipe in recipes],
                "data": [
                    {"symbol": card.symbol, "timeframe": card.timeframe, "fingerprint": card.fingerprint}
                    for card in data
                ],
                "seed": SEED,
                "code_version": code_version(),
                **({"history": list(question.history)} if question.history else {}),
                **(extra or {}),
            },
            missing=missing,
            created_at=iso(self._clock.now()),
        )

    def _result(
        self, query: str, routing: Routing, answer: AnswerCard, earlier: _Earlier | None, request_id: str, now: float
    ) -> QueryResult:
        results: dict[str, Any] = {"action": routing.intent, "answer_id": answer.answer_id, "verdict": answer.verdict, "data_status": answer.data_status}  # fmt: skip
        results |= {
            name: answer.recipe[name] for name in ("signal", "model_id", "trend", "volatility") if name in answer.recipe
        }
        if earlier is not None:
            results["reproduction"] = compare_figures(earlier.answer, answer)
        else:
            answer = self._drawn(answer)
            position = answer.trust.ledger_position if answer.trust else 0
            self._answers.save(
                answer.answer_id,
                question=query,
                document=_plain(answer),
                trial_position=position,
                request_id=request_id,
            )
        return QueryResult(
            query=query,
            status="success",
            timestamp=now,
            parsed_intent=surface(routing),
            results=results,
            gpt_commentary=" ".join((answer.headline, *answer.commentary, answer.disclaimer)),
            answer=answer,
            missing=answer.missing,
        )

    def _drawn(self, answer: AnswerCard) -> AnswerCard:
        """The answer with its picture; where that cannot be written, the answer says so and stands without."""
        curves = answer.curves
        if not curves:
            return answer
        from evolve.charts.equity import equity_png

        data = answer.trust.data if answer.trust else None
        source = (
            f"{data.source}, {data.first} to {data.last}"
            if data
            else f"as of {answer.figures[-1].as_of}, {answer.figures[-1].source}"
        )
        path = self._settings.plots / f"answer_{answer.answer_id}.png"
        try:
            equity_png(curves, title=answer.query, source=source, path=path)
        except EvolveError as error:
            return replace(answer, missing=(*answer.missing, {"service": "charts", "why": error.message}))
        return replace(answer, plot=str(path))

    def _earlier(self, answer_id: str | None, document: dict[str, Any] | None) -> _Earlier | None:
        if document is not None:
            try:
                answer = from_json(AnswerCard, json.dumps(document))
                _recipes_of(answer)
            except Unavailable as error:
                raise InvalidRequest(f"this is no answer that can be reproduced: {error.message}") from None
            return _Earlier(answer, 0)
        if answer_id is None:
            return None
        stored = self._answers.get(answer_id)
        return _Earlier(from_json(AnswerCard, json.dumps(dict(stored.document))), stored.trial_position)

    def _own_symbols(self) -> list[str]:
        """Symbols with real bars: what the user may name exactly, however odd, and no speller should change."""
        return [listing.symbol for listing in self._catalog.listings() if listing.origin != "simulated"]

    # --- memory ---

    def stored(self, answer_id: str) -> AnswerCard:
        """An answer as it was given. Raises InvalidRequest listing the latest ids."""
        earlier = self._earlier(answer_id, None)
        if earlier is None:
            raise InvalidRequest("an answer's id is needed")
        return earlier.answer

    def history(self, limit: int, symbol: str | None) -> tuple[PastQuery, ...]:
        """Questions asked before, newest first."""
        found = []
        for decision in self._log.history(limit=limit, service="quant_gpt", symbol=symbol):
            outcome = cast("dict[str, Any]", decision.outcome)
            found.append(
                PastQuery(
                    at=iso(decision.finished_at),
                    query=str(outcome.get("query") or decision.inputs.get("query", "")),
                    intent=str(outcome.get("intent") or ""),
                    symbol=decision.symbols[0] if decision.symbols else None,
                    status=str(outcome.get("status") or decision.status),
                    answer_id=outcome.get("answer_id"),
                    headline=str(outcome.get("headline") or outcome.get("error") or ""),
                )
            )
        return tuple(found)

    def available(self) -> dict[str, Any]:
        """Symbols with their sources, timeframes, periods and model families."""
        from evolve.forecasting.base import families

        listings = self._catalog.listings()
        timeframes = dict.fromkeys((*SPECIFIED_TIMEFRAMES, "30m", "1w"))
        return {
            "symbols": tuple(listing.symbol for listing in listings),
            "timeframes": tuple(timeframes),
            "periods": SPECIFIED_PERIODS,
            "models": families(),
            "sources": {
                listing.symbol: "SIMULATED" if listing.origin == "simulated" else listing.origin for listing in listings
            },
        }

    def _history(self, session: str | None) -> list[str]:
        """Earlier questions of this session, oldest first."""
        if session is None:
            return []
        past = self._log.history(limit=100, service="quant_gpt")
        turns = [str(each.inputs.get("query", "")) for each in past if each.inputs.get("session") == session]
        return turns[:SESSION_TURNS][::-1]


def surface(routing: Routing) -> ParsedIntent:
    """The parse as the specification's four intents show it; the finer one is in `detail`."""
    arguments = routing.arguments
    outer = routing.intent if routing.intent in SURFACE else "general_query"
    return ParsedIntent(
        intent=outer,
        symbol=arguments.get("symbol"),
        symbols=tuple(arguments.get("symbols") or ()),
        timeframe=arguments.get("timeframe"),
        period=canonical_period(arguments["period"]) if arguments.get("period") else None,
        model_type=arguments.get("model_type"),
        side=arguments.get("side"),
        confidence=routing.confidence,
        detail=routing.intent if outer != routing.intent else None,
    )


def compare_figures(before: AnswerCard, after: AnswerCard) -> dict[str, Any]:
    """Did the same question give the same figures? The largest relative difference, and everything that differs."""
    old, new = _numbered(before.figures), _numbered(after.figures)
    differing, largest = [], 0.0
    for key in old.keys() | new.keys():
        difference = _difference(old.get(key), new.get(key))
        if difference > 0:
            differing.append(
                {"figure": f"{key[0]} of {key[1]}", "before": _value(old.get(key)), "now": _value(new.get(key))}
            )
            largest = max(largest, difference)
    circumstances = [
        f"{name}: {before.recipe.get(name)} then, {after.recipe.get(name)} now"
        for name in ("code_version", "data", "seed")
        if before.recipe.get(name) != after.recipe.get(name)
    ]
    return {
        "answer_id": before.answer_id,
        "identical": not differing and bool(old or new or before.headline == after.headline),
        "figures": len(old),
        "differing": sorted(differing, key=lambda each: str(each["figure"])),
        "largest_relative_difference": largest,
        "circumstances": circumstances,
    }


def _numbered(figures: Sequence[Evidence]) -> dict[tuple[str, str, int], Evidence]:
    """Figures by name and subject, and the how-manieth of these it is: an id shifts when a model before it is missing."""
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for item in figures:
        found[item.name, item.of, seen[item.name, item.of]] = item
        seen[item.name, item.of] += 1
    return found


def _difference(old: Evidence | None, new: Evidence | None) -> float:
    """Relative difference of value and interval; 1 for what is on one side only or is no number on one."""
    if old is None or new is None:
        return 1.0
    worst = 0.0
    for a, b in ((old.value, new.value), (old.low, new.low), (old.high, new.high)):
        if a == b:
            continue
        if isinstance(a, int | float) and isinstance(b, int | float):
            worst = max(worst, abs(a - b) / max(abs(a), abs(b)))
        else:
            worst = 1.0
    return worst


def _value(item: Evidence | None) -> object:
    return None if item is None else item.value


def _side(comparison: ComparisonCard) -> str:
    """BUY, SELL or HOLD: the winner's position at the last close, HOLD without a winner."""
    if comparison.winner is None:
        return "HOLD"
    row = next(row for row in comparison.rows if row.model_id == comparison.winner.model_id)
    decision = row.figures["decision"].value
    if not isinstance(decision, int | float) or decision == 0:
        return "HOLD"
    return "BUY" if decision > 0 else "SELL"


def _price_curve(bars: Bars, days: int) -> Curve:
    window = max(2, min(bars.bars_within(days) + 1, len(bars)))
    first = len(bars) - window
    base = float(bars.close[first])
    return Curve(
        name=bars.symbol,
        dates=tuple(bars.date(bar) for bar in range(first, len(bars))),
        equity=tuple(float(price) / base for price in bars.close[first:]),
        simulated=bars.simulated,
    )


def _worst(data: Sequence[DataCard]) -> Any:
    statuses = {card.status for card in data}
    return next((status for status in ("simulated", "stale", "current") if status in statuses), None)


def _in_short(routing: Routing) -> str:
    named = {name: str(slot.value) for name, slot in routing.slots.items() if slot.value not in (None, "")}
    if "period_days" in named:
        named["period_days"] += " days"
    return ", ".join(named.values()) or "no symbol named"


def _recipes_of(answer: AnswerCard) -> tuple[Recipe, ...]:
    """Raises Unavailable for recipes that this version cannot read."""
    recipes = from_json(tuple[Recipe, ...], json.dumps(answer.recipe.get("recipes") or []))
    if len(recipes) == 1:
        raise Unavailable("one recipe alone was never compared; an answer holds none, or two and more")
    return recipes


def _plain(value: object) -> Any:
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value)


def _failed(
    query: str,
    now: float,
    error: str,
    *,
    code: str | None = None,
    suggestions: Sequence[str] = (),
    missing: tuple[dict[str, str], ...] = (),
) -> QueryResult:
    return QueryResult(
        query=query,
        status="error",
        timestamp=now,
        error=error,
        code=code,
        suggestions=tuple(suggestions),
        missing=missing,
    )


def _suggest(error: EvolveError) -> tuple[str, ...]:
    # What is near an unknown model is a model, no symbol to ask about.
    near = [str(name) for name in error.details.get("nearest") or ()] if isinstance(error, UnknownSymbol) else []
    return (*(f"Give me the best model for {name} over 90 days" for name in near), *EXAMPLES)[:4]


__all__ = ["CANDIDATES", "SPECIFIED_SYMBOLS", "Desk", "QuantGptAgent", "compare_figures", "surface"]
