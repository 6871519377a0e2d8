"""How good is a model out of sample, net of costs, and is it better than luck? The only place that gives a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evolve.agents.bench import Bench, Progress, bench_of, forecasts_of, recipe_on, row_name
from evolve.agents.comparison import comparison_of
from evolve.agents.cross_validation import cross_validate
from evolve.agents.evaluation import SMALLER_IS_BETTER, evaluation_of, number, remembered, to_remember
from evolve.agents.figures import check_metrics
from evolve.agents.lookahead_audit import audit_model
from evolve.agents.strategy import Strategy
from evolve.agents.strategy_audit import Program, audit_strategy
from evolve.agents.track_record import (
    FOLDS,
    first_train_bars,
    folds_for,
    record_of_forecasts,
    record_of_positions,
    usable_history,
)
from evolve.agents.trust import BASELINE_NAMES
from evolve.cards import AuditCard, ComparisonCard, EvaluationCard, ModelCard
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import InvalidRequest
from evolve.evidence import Evidence
from evolve.forecasting.base import restore
from evolve.market.bars import Bars
from evolve.market.calendar import PAIR_SIGN, default_costs
from evolve.market.catalog import Catalog
from evolve.market.pair import Pair, pair_of_bars
from evolve.market.store import BarStore
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.database import Database
from evolve.memory.evaluations import Evaluations
from evolve.memory.registry import Registry
from evolve.memory.trials import TrialLedger
from evolve.settings import Settings

NOT_REFITTED = "a strategy given as code is not refitted, and who wrote it may have known these bars: for it they are not out of sample"


class PerformanceCriticAgent:
    def __init__(
        self,
        catalog: Catalog,
        registry: Registry,
        evaluations: Evaluations,
        ledger: TrialLedger,
        *,
        clock: Clock = SYSTEM_CLOCK,
        workers: int = 1,
        default_simulate: bool = False,
    ) -> None:
        self._catalog = catalog
        self._registry = registry
        self._evaluations = evaluations
        self._ledger = ledger
        self._clock = clock
        self._workers = workers
        self._simulate = default_simulate

    @classmethod
    def from_settings(cls, settings: Settings) -> PerformanceCriticAgent:
        database = Database.open(settings)
        return cls(
            Catalog(BarStore.open(settings)),
            Registry(database, ArtifactStore.open(settings)),
            Evaluations(database),
            TrialLedger(database),
            workers=settings.service("performance_critic", "workers", 1),
            default_simulate=settings.simulate,
        )

    # --- verdicts ---

    def evaluate(
        self,
        model_id: str,
        *,
        symbol: str | None,
        timeframe: str | None,
        period: str,
        metrics: Sequence[str],
        simulate: bool,
        refit: bool = False,
        cross_validated: bool = False,
        request_id: str,
        progress: Progress,
    ) -> EvaluationCard:
        """One model, walk-forward and net of costs, on its own bars or another symbol's.

        cross_validated: also along the paths of combinatorial cross-validation, with a refit per fold. Raises UnknownModel,
        InvalidRequest (metrics), UnknownSymbol, DataUnavailable.
        """
        card = self._registry.get(model_id)
        check_metrics(metrics)
        bench = self._bench([card], symbol, timeframe, simulate, progress, request_id, refit=refit)
        bench = self._cleared(bench, progress)
        more: tuple[Evidence, ...] = ()
        if cross_validated:
            more = cross_validate(bench.bars, recipe_on(card, bench.bars), workers=self._workers, progress=progress)
        evaluation = evaluation_of(
            bench,
            model_id,
            metrics=metrics,
            period=period,
            reproduce=_again("evaluate", [model_id], bench.bars, period) + " --cross-validate" * cross_validated,
            more=more,
            now=self._clock.now(),
        )
        self._evaluations.record(to_remember(evaluation, request_id=request_id))
        return evaluation

    def compare(
        self,
        model_ids: Sequence[str],
        *,
        symbol: str | None,
        timeframe: str | None,
        period: str,
        simulate: bool,
        refit: bool = False,
        ledger_position: int = 0,
        trials: int = 0,
        request_id: str,
        progress: Progress,
    ) -> ComparisonCard:
        """Models and baselines on the same bars and costs, best first; a winner only where the gate finds an edge.

        ledger_position: count trials as the ledger stood then; 0 means now. Raises as `evaluate` does.
        """
        if len(set(model_ids)) < len(model_ids):
            raise InvalidRequest("compare_models needs different models; one is named twice")
        cards = [self._registry.get(model_id) for model_id in model_ids]
        if symbol is None and len({card.recipe.symbol for card in cards}) > 1:
            named = ", ".join(f"{card.model_id} of {card.recipe.symbol}" for card in cards)
            raise InvalidRequest(
                f"these models are of different symbols ({named}): name the symbol on whose bars all are to be tested, "
                f"such as --symbol {cards[0].recipe.symbol}"
            )
        bench = self._bench(
            cards, symbol, timeframe, simulate, progress, request_id,
            refit=refit, ledger_position=ledger_position, trials=trials,
        )  # fmt: skip
        return self._compared(bench, period, progress, _again("compare", model_ids, bench.bars, period))

    def backtest(
        self,
        strategy: Strategy,
        decisions: Sequence[Any],
        bars: Bars,
        *,
        again: Sequence[Any],
        period: str,
        notes: tuple[str, ...] = (),
        request_id: str,
        progress: Progress,
    ) -> ComparisonCard:
        """A strategy given as code among the baselines, from its decisions at each bar; counted as a trial like any model.

        again: its decisions when it was run once more. Who was handed the bars one by one cannot have looked ahead, but a program
        that decides otherwise each time (a random seed, a clock) shows nothing that can be relied on: it is scored, and wins nothing.
        It sees all bars and is scored where a model would be, so that their figures can be compared. Raises InvalidRequest for a
        decision that is none, DataUnavailable for too few bars.
        """
        start = first_train_bars(len(bars), horizon_bars=1)
        recipe = strategy.recipe(bars, folds=FOLDS, first_bar=start)
        folds_for(bars, recipe)
        position = strategy.positions(decisions, bars)
        differs = strategy.differs(decisions, again, bars)
        name = f"{strategy.name} (yours)" if strategy.name in BASELINE_NAMES else strategy.name
        record = record_of_positions(name, position[start:], start, bars, default_costs(bars.symbol))
        bench = bench_of(
            [record],
            [recipe],
            bars,
            notes=(*notes, NOT_REFITTED, *((differs,) if differs else ())),
            ledger=self._ledger,
            request_id=request_id,
            progress=progress,
        )
        if differs and bench.judgement.winner is not None:
            bench = bench.barred(f"No edge: {differs}")
        simulate = " --simulate" if bars.simulated else ""
        command = (
            f"evolve backtest --code FILE --symbol {bars.symbol.replace(PAIR_SIGN, ' --second ')} --timeframe {bars.timeframe} --period {period}{simulate}"
            f" (FILE: sha256 {strategy.code_sha256[:12]}…)"
        )
        card = self._compared(bench, period, progress, command)
        return replace(card, trust=replace(card.trust, folds=0))

    # --- look-ahead ---

    def audit(
        self, model_id: str, *, symbol: str | None, timeframe: str | None, simulate: bool, progress: Progress
    ) -> AuditCard:
        """Whether a registered model, frozen as it is, looks ahead. Raises UnknownModel, UnknownSymbol, DataUnavailable."""
        card = self._registry.get(model_id)
        recipe = card.recipe
        simulate = simulate or self._simulate or (symbol in (None, recipe.symbol) and card.data.simulated)
        bars = self._catalog.load(symbol or recipe.symbol, timeframe or recipe.timeframe, simulate=simulate)
        progress("audit", 0, 1, f"changing the future behind bars of {bars.symbol}")
        found = audit_model(model_id, restore(self._registry.weights(model_id)), bars)
        progress("audit", 1, 1, found.reason)
        return found

    def audit_code(self, strategy: Strategy, program: Program, bars: Bars, *, progress: Progress) -> AuditCard:
        """Whether a program looks ahead, which is handed all bars at once or one after the other. Raises InvalidRequest."""
        return audit_strategy(strategy, program, bars, progress=progress)

    def bars_for(self, symbol: str, timeframe: str | None, *, simulate: bool) -> tuple[Bars, tuple[str, ...]]:
        """The bars that a strategy is tested on, and notes about them. Raises UnknownSymbol, DataUnavailable."""
        return usable_history(self._catalog.load(symbol, timeframe, simulate=simulate or self._simulate))

    def pair_for(
        self, symbol: str, second: str, timeframe: str | None, *, simulate: bool
    ) -> tuple[Pair, tuple[str, ...]]:
        """The bars of a pair that a strategy is tested on, and notes. Raises as `bars_for`, and InvalidRequest for what is no pair."""
        legs = [self._catalog.load(each, timeframe, simulate=simulate or self._simulate) for each in (symbol, second)]
        pair = pair_of_bars(*legs)
        bars, notes = usable_history(pair.bars)
        return pair.slice(len(pair.bars) - len(bars), len(pair.bars)), notes

    # --- what was found before ---

    def history(self, model_id: str, limit: int) -> tuple[EvaluationCard, ...]:
        """Past evaluations, newest first. Raises UnknownModel for an id that was never registered or evaluated."""
        past = self._evaluations.history(model_id, limit=limit)
        if not past:
            self._registry.get(model_id)
        return tuple(remembered(each) for each in past)

    def best(self, symbol: str, timeframe: str, limit: int, metric: str) -> tuple[EvaluationCard, ...]:
        """The latest evaluation of each model of a symbol, best first by a metric or by overall_score; what is unknown comes last.

        Raises InvalidRequest for an unknown metric, or one that none of the evaluations holds.
        """
        cards = [remembered(each) for each in self._evaluations.latest(symbol, timeframe)]
        if metric != "overall_score":
            metric = check_metrics([metric])[0]
            if cards and not any(metric in card.metrics for card in cards):
                raise InvalidRequest(
                    f"no evaluation of {symbol} at {timeframe} holds {metric!r}: evaluate the models with metrics=[{metric!r}] first"
                )
        sign = -1.0 if metric in SMALLER_IS_BETTER else 1.0

        def value(card: EvaluationCard) -> float:
            found = card.overall_score if metric == "overall_score" else number(card.metrics.get(metric))
            return -np.inf if found is None else sign * float(found)

        return tuple(sorted(cards, key=value, reverse=True)[:limit])

    # --- putting candidates on one bench ---

    def _bench(
        self,
        cards: Sequence[ModelCard],
        symbol: str | None,
        timeframe: str | None,
        simulate: bool,
        progress: Progress,
        request_id: str,
        *,
        refit: bool = False,
        ledger_position: int = 0,
        trials: int = 0,
    ) -> Bench:
        first = cards[0]
        simulate = simulate or self._simulate or (symbol in (None, first.recipe.symbol) and first.data.simulated)
        bars, notes = usable_history(
            self._catalog.load(symbol or first.recipe.symbol, timeframe or first.recipe.timeframe, simulate=simulate)
        )
        costs = default_costs(bars.symbol)
        records, recipes = [], []
        for done, card in enumerate(cards, start=1):
            recipe, forecasts = forecasts_of(
                card, bars, self._registry, refit=refit, workers=self._workers, progress=progress
            )
            recipes.append(recipe)
            records.append(record_of_forecasts(row_name(card, cards), forecasts, bars, costs, model_id=card.model_id))
            progress("backtest", done, len(cards), f"{records[-1].name} backtested with costs")
        return bench_of(
            records,
            recipes,
            bars,
            notes=notes,
            ledger=self._ledger,
            ledger_position=ledger_position,
            trials=trials,
            request_id=request_id,
            progress=progress,
        )

    def _cleared(self, bench: Bench, progress: Progress) -> Bench:
        """The bench as it is, or without its winner where that looks ahead: only what is about to be recommended is audited.

        A strategy that ran bar by bar in the sandbox has no id here, and could not look ahead.
        """
        winner = bench.judgement.winner
        if winner is None or (model_id := bench.models[winner].model_id) is None:
            return bench
        progress("audit", 0, 1, f"changing the future behind bars of {bench.bars.symbol}")
        audit = audit_model(model_id, restore(self._registry.weights(model_id)), bench.bars)
        progress("audit", 1, 1, audit.reason)
        return bench if audit.passed else bench.barred(f"No edge: {model_id} {audit.reason}")

    def _compared(self, bench: Bench, period: str, progress: Progress, again: str) -> ComparisonCard:
        bench = self._cleared(bench, progress)
        return comparison_of(bench, period, reproduce=again, now=self._clock.now(), progress=progress)


def _again(command: str, model_ids: Sequence[str], bars: Bars, period: str) -> str:
    """The command that gives the same figures once more."""
    simulate = " --simulate" if bars.simulated else ""
    return f"evolve {command} {' '.join(model_ids)} --symbol {bars.symbol} --timeframe {bars.timeframe} --period {period}{simulate}"
