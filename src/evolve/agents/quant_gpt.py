"""A question in plain English, answered with evidence: decides what must be built, compared or looked up, and says what it means.

It asks other services through a `Desk` and never computes what one of them answers for.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from evolve.agents.aftercare import asks_whether_still_good, drift_now, model_meant, said_of_drift, to_retrain
from evolve.agents.answer import plain, with_picture, worst_status, write_answer
from evolve.agents.carried_out import told
from evolve.agents.desk import Desk
from evolve.agents.interpreter import Interpreter
from evolve.agents.market_report import MarketReport
from evolve.agents.prompt_router import PromptRouterAgent
from evolve.agents.question import Question, question_of
from evolve.agents.recommendation import Recommendation
from evolve.agents.reference import EXAMPLES, Reference
from evolve.agents.reproduction import Earlier, compare_figures, recipes_of
from evolve.cards import (
    AnswerCard,
    DataCard,
    EvaluationCard,
    ModelCard,
    ParsedIntent,
    PastQuery,
    QueryResult,
    RankedRow,
    Routing,
    SlotCard,
)
from evolve.clock import SYSTEM_CLOCK, Clock, iso
from evolve.errors import BadRequest, EvolveError, InvalidRequest, MissingExtra, Unavailable, UnknownSymbol
from evolve.evidence import EvidenceBook
from evolve.language import commentary
from evolve.language.dialogue import forgets
from evolve.language.gazetteer import gazetteer
from evolve.market.catalog import Catalog, status_now
from evolve.market.store import BarStore
from evolve.market.types import SPECIFIED_PERIODS, SPECIFIED_TIMEFRAMES, canonical_period
from evolve.memory.answers import Answers
from evolve.memory.canonical import from_json
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.settings import Settings
from evolve.tunings import TuningCard

SURFACE = ("model_recommendation", "trading_signal", "market_analysis", "general_query")
CRYPTO = ("BTCUSDT", "ETHUSDT")
SESSION_TURNS = 5
# Without a model these still have a part that the bars answer.
NEED_MODELS = ("model_recommendation", "trading_signal", "model_evaluate")


class QuantGptAgent:
    def __init__(
        self, catalog: Catalog, answers: Answers, log: DecisionLog, *, settings: Settings, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._catalog = catalog
        self._answers = answers
        self._log = log
        self._settings = settings
        self._clock = clock
        self._recommendation = Recommendation(catalog, clock)
        self._report = MarketReport(catalog, clock)
        self._interpreter = Interpreter(settings, clock=clock)
        self._reference = Reference(answers, lambda limit: self.history(limit, None), clock)

    @classmethod
    def from_settings(cls, settings: Settings) -> QuantGptAgent:
        database = Database.open(settings)
        return cls(Catalog(BarStore.open(settings)), Answers(database), DecisionLog(database), settings=settings)

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
        replay: bool = False,
    ) -> QueryResult:
        """The answer, or an inner error with suggestions. reproduce: an answer's id; document: such an answer, whole.
        replay: of a language model only what it said before is used.

        Raises only what no rewording of the question would mend (a server that is gone).
        """
        now = self._clock.now()
        earlier = self._earlier(reproduce, document)
        if earlier is not None:
            query, simulate = earlier.answer.query, bool(earlier.answer.recipe.get("simulate"))
            replay = True
        if not query.strip():
            return _failed(query, now, "the question is empty", suggestions=EXAMPLES)
        if earlier is None and forgets(query):
            return _forgotten(query, now)
        try:
            desk.progress("understand", 0, 1, "reading the question")
            history = self._history(session) if earlier is None else earlier.answer.recipe.get("history") or []
            routing, missing = self._understood(query, history, desk, replay=replay)
            desk.progress("understand", 1, 1, f"{routing.intent}: {_in_short(routing)}")
            question = question_of(query, routing, history, self._catalog, simulate=simulate or self._settings.simulate)
            answer = self._answer_or_part(question, desk, earlier, request_id)
        except (BadRequest, MissingExtra) as error:
            return _failed(query, now, error.message, code=error.code, suggestions=_suggest(error))
        except EvolveError as error:
            if isinstance(error, Unavailable):
                service = str(error.details.get("service") or "a service")
                gap = ({"service": service, "why": error.message},)
                return _failed(query, now, error.message, code=error.code, suggestions=EXAMPLES, missing=gap)
            if error.code == "data_unavailable":
                return _failed(query, now, error.message, code=error.code, suggestions=_suggest(error))
            raise
        if isinstance(answer, QueryResult):
            return answer
        answer = replace(answer, missing=(*missing, *answer.missing))
        answer = self._interpreter.comment(answer, action=answer.recipe.get("signal"), replay=replay)
        return self._result(query, routing, answer, earlier, request_id, now)

    def _understood(
        self, query: str, history: Sequence[str], desk: Desk, *, replay: bool
    ) -> tuple[Routing, tuple[dict[str, str], ...]]:
        """What the router says; while it is down, the same grammar reads the question here."""
        try:
            return desk.understand(query, history, self._own_symbols(), replay=replay), ()
        except Unavailable as error:
            routing = PromptRouterAgent(self._log).route(query, history=history, symbols=self._own_symbols())
            why = f"{error.message}; the question was understood without it"
            return routing, ({"service": str(error.details.get("service") or "prompt_router"), "why": why},)

    def _answer_or_part(
        self, question: Question, desk: Desk, earlier: Earlier | None, request_id: str
    ) -> AnswerCard | QueryResult:
        """The answer; with a service down that it needs, what the bars alone say, and what is missing."""
        try:
            return self._answer(question, desk, earlier, request_id)
        except Unavailable as error:
            if question.symbol is None or question.routing.intent not in NEED_MODELS or earlier is not None:
                raise
            service = str(error.details.get("service") or "a service")
            part = self._report.describe(question)
            head = f"{service} does not answer, so no model was tested and no side is taken. The bars alone say: {part.headline}"
            gap = {"service": service, "why": error.message}
            # Asked again once the service is back, it is another answer.
            return replace(part, headline=head, missing=(gap,), reproduce="")

    def _answer(
        self, question: Question, desk: Desk, earlier: Earlier | None, request_id: str
    ) -> AnswerCard | QueryResult:
        intent = question.routing.intent
        if intent == "unsupported":
            suggestions = tuple(question.routing.suggestions) or EXAMPLES
            said = question.routing.question or "this is not something Evolve answers"
            return _failed(question.query, self._clock.now(), said, code="invalid_request", suggestions=suggestions)
        if asks_whether_still_good(question) and (meant := model_meant(question, desk)) is not None:
            return self._still_good(question, desk, meant)
        if intent == "model_recommendation":
            return self._recommendation.recommend(question, desk, earlier)
        if intent == "trading_signal":
            return self._recommendation.signal(question, desk, earlier)
        if intent == "market_analysis":
            return self._report.describe(question)
        if intent == "general_query":
            return self._general(question, desk, earlier)
        if intent == "model_evaluate":
            return self._evaluate(question, desk, earlier)
        return self._forward(question, desk)

    # --- one method per intent ---

    def _general(self, question: Question, desk: Desk, earlier: Earlier | None) -> AnswerCard:
        match question.topic:
            case "cross_section":
                return self._report.cross_section(question)
            case "strategy":
                return self._strategy(question, desk, earlier)
            case "model_performance":
                return self._latest_performance(question, desk)
            case "models":
                return self._reference.list_models(question, desk)
            case "history":
                return self._reference.list_history(question)
            case "supported":
                return self._supported(question)
            case _:
                return self._reference.look_up(question, desk)

    def _strategy(self, question: Question, desk: Desk, earlier: Earlier | None) -> AnswerCard:
        """Fresh tests on one symbol, with what earlier evaluations of others found: never an opinion."""
        symbol = question.symbol or (CRYPTO[0] if question.universe == "coins" else "AAPL")
        origin = "stated" if question.symbol else "default"
        shown = {**question.shown, "symbol": SlotCard(symbol, cast("Any", origin))}
        answer = self._recommendation.recommend(replace(question, symbols=(symbol,), shown=shown), desk, earlier)
        return replace(answer, commentary=(*answer.commentary, *self._elsewhere(symbol, desk)))

    def _elsewhere(self, symbol: str, desk: Desk) -> list[str]:
        """A sentence about the newest stored evaluation of each other symbol of the same kind."""
        known = gazetteer()
        newest: dict[str, EvaluationCard] = {}
        for model in desk.models():
            other = model.recipe.symbol
            if other != symbol and other not in newest and known.is_coin(other) == known.is_coin(symbol):
                past = desk.evaluations(model.model_id)
                if past:
                    newest[other] = past[0]
        return [
            f"Evaluated before on {'SIMULATED bars of ' if past.trust.data.simulated else ''}{other}: {past.model_id}, "
            f"Sharpe ratio {past.metrics['sharpe']}, {past.trust.verdict.replace('_', ' ')} (data to {past.trust.data.last})."
            for other, past in newest.items()
            if "sharpe" in past.metrics
        ]

    def _supported(self, question: Question) -> AnswerCard:
        found = self.available()
        simulated = [symbol for symbol, source in found["sources"].items() if source == "SIMULATED"]
        real = [symbol for symbol in found["symbols"] if symbol not in simulated]
        said = [
            f"Symbols with real bars: {', '.join(real) or 'none'}; SIMULATED only: {', '.join(simulated) or 'none'}.",
            f"Timeframes: {', '.join(found['timeframes'])}; periods: {', '.join(found['periods'])} and others from 1d on.",
            f"Model families: {', '.join(found['models'])}.",
            "Other symbols: `evolve data import FILE --symbol X`.",
        ]
        return self._answer_with(
            question, "What can be named in a question, from the registry and the bars of this home.", said
        )

    def _latest_performance(self, question: Question, desk: Desk) -> AnswerCard:
        """What the registered models did when they were last evaluated; from storage, nothing is computed."""
        rows: list[RankedRow] = []
        book = EvidenceBook()
        models = desk.models()[:10]
        for model in models:
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
        now = self._clock.now()
        status = worst_status(status_now(model.data, now) for model in models)
        return self._answer_with(question, head, said, rows=tuple(rows), figures=tuple(book), status=status)

    def _evaluate(self, question: Question, desk: Desk, earlier: Earlier | None) -> AnswerCard:
        if question.routing.request is not None and question.routing.request.type == "evaluate_model":
            evaluation = desk.evaluate(str(question.model), question.symbol, question.timeframe, question.period)
            row = RankedRow(1, evaluation.model_id, "model", evaluation.model_id, {**evaluation.metrics, **{f"period_{name}": item for name, item in evaluation.in_period.items()}})  # fmt: skip
            said = [*commentary.on_evaluation(evaluation), *commentary.on_data(evaluation.trust.data)]
            head = f"{evaluation.model_id} on {evaluation.symbol}: {evaluation.trust.verdict.replace('_', ' ')}."
            return self._answer_with(
                question, head, said, rows=(row,), trust=evaluation.trust, figures=evaluation.trust.evidence,
                data=(evaluation.trust.data,), curves=evaluation.curves,
            )  # fmt: skip
        return self._recommendation.recommend(question, desk, earlier)

    def _still_good(self, question: Question, desk: Desk, model_id: str) -> AnswerCard:
        """What the bars since its training say about a model."""
        drift = drift_now(question, desk, model_id)
        head, said = said_of_drift(drift)
        return self._answer_with(question, head, said, figures=drift.figures, extra={"model_id": model_id})

    def _forward(self, question: Question, desk: Desk) -> AnswerCard:
        """Build, retrain, tune, search, plot: carried out by the service they are for."""
        if question.routing.intent == "model_retrain":
            question = to_retrain(question, desk)
        routing = question.routing
        # A request to ourselves would go round for ever: the router sends us what it lacks a model or symbol for.
        if routing.request is None or routing.request.service == "quant_gpt":
            raise InvalidRequest(
                routing.question or "say which model or symbol this is about; `evolve models` lists the models"
            )
        reply = desk.forward(routing)
        done = told(routing.request.service, reply)
        model, tuned = reply.get("model_info"), reply.get("result")
        if isinstance(tuned, TuningCard):
            used = {"model": tuned.model_type, "symbols": tuned.symbol, "timeframe": tuned.timeframe}
            defaults = {name: SlotCard(value, "default") for name, value in used.items()}
            question = replace(question, shown={**defaults, **question.shown})
            return self._answer_with(
                question, done.headline, done.sentences, figures=tuned.figures, data=(tuned.data,), extra={"study_id": tuned.study_id}
            )  # fmt: skip
        if not isinstance(model, ModelCard):
            return self._answer_with(question, done.headline, done.sentences)
        data: tuple[DataCard, ...] = (model.data,)
        used = {"model": model.recipe.model_type, "symbols": model.recipe.symbol, "timeframe": model.recipe.timeframe}
        defaults = {name: SlotCard(value, "default") for name, value in used.items()}
        question = replace(question, shown={**defaults, **question.shown})
        found = {item.name: item for item in model.metrics}
        row = RankedRow(1, model.recipe.model_type, "model", model.model_id, found)
        return self._answer_with(
            question, done.headline, done.sentences, figures=model.metrics, data=data, rows=(row,), extra={"model_id": model.model_id}
        )  # fmt: skip

    def _answer_with(self, question: Question, head: str, said: Sequence[str], **parts: Any) -> AnswerCard:
        return write_answer(question, head, said, clock=self._clock, **parts)

    def _result(
        self, query: str, routing: Routing, answer: AnswerCard, earlier: Earlier | None, request_id: str, now: float
    ) -> QueryResult:
        results: dict[str, Any] = {"action": routing.intent, "answer_id": answer.answer_id, "verdict": answer.verdict, "data_status": answer.data_status}  # fmt: skip
        results |= {
            name: answer.recipe[name]
            for name in ("signal", "size", "model_id", "trend", "volatility")
            if name in answer.recipe
        }
        if earlier is not None:
            results["reproduction"] = compare_figures(earlier.answer, answer)
        else:
            answer = with_picture(answer, self._settings.plots)
            position = answer.trust.ledger_position if answer.trust else 0
            self._answers.save(
                answer.answer_id,
                question=query,
                document=plain(answer),
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

    def _earlier(self, answer_id: str | None, document: dict[str, Any] | None, *, again: bool = True) -> Earlier | None:
        if document is not None:
            try:
                answer = from_json(AnswerCard, json.dumps(document))
                recipes_of(answer)
            except Unavailable as error:
                raise InvalidRequest(f"this is no answer that can be reproduced: {error.message}") from None
            return Earlier(answer, 0)
        if answer_id is None:
            return None
        stored = self._answers.get(answer_id)
        answer = from_json(AnswerCard, json.dumps(dict(stored.document)))
        if again and not answer.reproduce:
            raise InvalidRequest(
                f"answer {answer_id} was read from what is stored, so there is nothing to compute again; ask once more: “{answer.query}”"
            )
        return Earlier(answer, stored.trial_position)

    def _own_symbols(self) -> list[str]:
        """Symbols with real bars: what the user may name exactly, however odd, and no speller should change."""
        return [listing.symbol for listing in self._catalog.listings() if listing.origin != "simulated"]

    # --- memory ---

    def stored(self, answer_id: str) -> AnswerCard:
        """An answer as it was given. Raises InvalidRequest listing the latest ids."""
        earlier = self._earlier(answer_id, None, again=False)
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
        """Earlier questions of this session since it was last told to forget, oldest first; they survive every restart."""
        if session is None:
            return []
        past = self._log.history(
            limit=10 * SESSION_TURNS, service="quant_gpt", request_type="process_query", session=session
        )
        turns = [str(each.inputs.get("query", "")) for each in past if each.inputs.get("session") == session]
        kept = itertools.takewhile(lambda turn: not forgets(turn), turns)
        return list(itertools.islice(kept, SESSION_TURNS))[::-1]


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


def _forgotten(query: str, now: float) -> QueryResult:
    said = (
        "Forgotten: the next question inherits nothing from the ones before it. What was asked stays in the decision log, "
        "which is the record of what was decided (`evolve history`)."
    )
    return QueryResult(query=query, status="success", timestamp=now, results={"action": "forget"}, gpt_commentary=said)


def _in_short(routing: Routing) -> str:
    named = {name: str(slot.value) for name, slot in routing.slots.items() if slot.value not in (None, "")}
    if "period_days" in named:
        named["period_days"] += " days"
    return ", ".join(named.values()) or "no symbol named"


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
    return tuple(dict.fromkeys((*(f"Give me the best model for {name} over 90 days" for name in near), *EXAMPLES)))[:4]
