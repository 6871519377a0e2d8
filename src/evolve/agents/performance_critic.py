"""How good is a model out of sample, net of costs, and is it better than luck? The only place that gives a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evolve.agents.lookahead_audit import audit_model
from evolve.agents.strategy import Strategy
from evolve.agents.track_record import (
    FOLDS,
    JUDGED_METRICS,
    RESAMPLING_SEED,
    TrackRecord,
    check_metrics,
    counted_on,
    curve,
    figures,
    first_train_bars,
    folds_for,
    forecast_out_of_sample,
    forecasts_from,
    record_of_constant,
    record_of_forecasts,
    record_of_positions,
    trials_of,
    usable_history,
)
from evolve.backtest.gate import MIN_BARS, CandidateVerdict, Judgement, judge
from evolve.backtest.significance import backtest_overfitting, circular_shift_test
from evolve.cards import (
    AuditCard,
    ComparisonCard,
    Costs,
    EvaluationCard,
    ModelCard,
    RankedRow,
    Recipe,
    TrustCard,
    Winner,
)
from evolve.clock import SYSTEM_CLOCK, Clock, iso
from evolve.errors import InvalidRequest
from evolve.evidence import Evidence, EvidenceBook
from evolve.forecasting.base import BASELINES, restore
from evolve.forecasting.walk_forward import OutOfSample
from evolve.market.bars import Bars, Floats
from evolve.market.calendar import default_costs
from evolve.market.catalog import Catalog, data_card
from evolve.market.store import BarStore
from evolve.market.types import canonical_period, period_days
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.canonical import sha256_of
from evolve.memory.database import Database
from evolve.memory.evaluations import Evaluation, Evaluations
from evolve.memory.registry import Registry
from evolve.memory.trials import TrialLedger
from evolve.settings import Settings
from evolve.statistics.metric import Metric
from evolve.version import code_version

Progress = Callable[[str, int, int, str], None]

BASELINE_NAMES = ("buy_and_hold", "flat", "naive", "drift")
ROW_METRICS = (
    "sharpe", "total_return", "cagr", "volatility", "drawdown", "win_rate", "turnover_per_year", "exposure", "costs_paid",
    "decision", "skill_r2", "relative_mae", "dm_p_value", "direction", "band_coverage",
    "next_return", "up_probability", "horizon_bars",
)  # fmt: skip
PERIOD_METRICS = ("total_return", "sharpe", "drawdown")
# Errors, costs, risks and p-values; every other metric is better when it is higher.
SMALLER_IS_BETTER = frozenset(
    ("volatility", "drawdown_bars", "turnover_per_year", "costs_paid", "relative_mae", "dm_p_value", "alpha_p_value")
)
# overall_score = these weights of: probability that alpha is positive after all trials; probability that the forecast
# beats no change; 1 − |maximum drawdown|. Evidence weighs most, for the other two can be had by luck or by doing nothing.
SCORE_WEIGHTS = (0.6, 0.2, 0.2)
NOT_REFITTED = "a strategy given as code is not refitted, and who wrote it may have known these bars: for it they are not out of sample"


@dataclass(frozen=True, eq=False)
class _Bench:
    """Everything that is judged together: records of models and baselines over one tested stretch."""

    bars: Bars
    costs: Costs
    models: tuple[TrackRecord, ...]
    baselines: tuple[TrackRecord, ...]
    recipes: tuple[Recipe, ...]
    judgement: Judgement
    ledger_position: int
    notes: tuple[str, ...]

    @property
    def benchmark(self) -> Floats:
        return self.baselines[0].returns


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
            Catalog(BarStore(settings.home)),
            Registry(database, ArtifactStore.open(settings)),
            Evaluations(database),
            TrialLedger(database),
            workers=settings.service("performance_critic", "workers", 1),
            default_simulate=settings.simulate,
        )

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
        request_id: str,
        progress: Progress,
    ) -> EvaluationCard:
        """One model, walk-forward and net of costs, on its own bars or another symbol's.

        Raises UnknownModel, InvalidRequest (metrics), UnknownSymbol, DataUnavailable.
        """
        card = self._registry.get(model_id)
        names = [name for name in dict.fromkeys((*check_metrics(metrics), *ROW_METRICS)) if name not in JUDGED_METRICS]
        bench = self._cleared(
            self._bench([card], symbol, timeframe, simulate, progress, request_id, refit=refit), progress
        )
        record, book = bench.models[0], EvidenceBook()
        found = figures(record, bench.bars, book, names=names, benchmark=bench.benchmark, seed=RESAMPLING_SEED)
        found |= _judged_figures(bench.judgement.candidates[0], bench, book)
        stretch = self._in_period(record, bench, period, book)
        evaluation = EvaluationCard(
            evaluation_id=_evaluation_id(
                model_id, bench.bars.fingerprint, period_days(period), bench.ledger_position, code_version()
            ),
            model_id=model_id,
            symbol=bench.bars.symbol,
            timeframe=bench.bars.timeframe,
            period=canonical_period(period),
            overall_score=overall_score(found) if bench.judgement.bars >= MIN_BARS else None,
            metrics=found,
            in_period=stretch,
            trust=self._trust(bench, book, _again("evaluate", [model_id], bench.bars, period)),
            created_at=iso(self._clock.now()),
            curves=tuple(curve(each, bench.bars) for each in (record, *bench.baselines[:2])),
        )
        self._evaluations.record(
            Evaluation(
                model_id=model_id,
                request_id=request_id,
                symbol=evaluation.symbol,
                timeframe=evaluation.timeframe,
                evaluated_at=evaluation.created_at,
                code_version=code_version(),
                overall_score=evaluation.overall_score,
                figures=tuple(found.values()),
                trust=evaluation.trust,
                period_days=period_days(period),
            )
        )
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

    def bars_for(self, symbol: str, timeframe: str | None, *, simulate: bool) -> tuple[Bars, tuple[str, ...]]:
        """The bars that a strategy is tested on, and notes about them. Raises UnknownSymbol, DataUnavailable."""
        return usable_history(self._catalog.load(symbol, timeframe, simulate=simulate or self._simulate))

    def backtest(
        self,
        strategy: Strategy,
        decisions: Sequence[Any],
        bars: Bars,
        *,
        period: str,
        notes: tuple[str, ...] = (),
        request_id: str,
        progress: Progress,
    ) -> ComparisonCard:
        """A strategy given as code among the baselines, from its decisions at each bar; counted as a trial like any model.

        It sees all bars and is scored where a model would be, so that their figures can be compared. Raises InvalidRequest for a
        decision that is none, DataUnavailable for too few bars.
        """
        start = first_train_bars(len(bars), horizon_bars=1)
        recipe = strategy.recipe(bars, folds=FOLDS, first_bar=start)
        folds_for(bars, recipe)
        position = strategy.positions(decisions, bars)
        name = f"{strategy.name} (yours)" if strategy.name in BASELINE_NAMES else strategy.name
        record = record_of_positions(name, position[start:], start, bars, default_costs(bars.symbol))
        bench = self._judged([record], [recipe], bars, (*notes, NOT_REFITTED), progress, request_id)
        simulate = " --simulate" if bars.simulated else ""
        again = (
            f"evolve backtest --code FILE --symbol {bars.symbol} --timeframe {bars.timeframe} --period {period}{simulate}"
            f" (FILE: sha256 {strategy.code_sha256[:12]}…)"
        )
        card = self._compared(bench, period, progress, again)
        return replace(card, trust=replace(card.trust, folds=0))

    def _cleared(self, bench: _Bench, progress: Progress) -> _Bench:
        """The bench as it is, or without its winner where that looks ahead: only what is about to be recommended is audited.

        A strategy that ran bar by bar in the sandbox has no id here, and could not look ahead.
        """
        judgement = bench.judgement
        if judgement.winner is None or (model_id := bench.models[judgement.winner].model_id) is None:
            return bench
        progress("audit", 0, 1, f"changing the future behind bars of {bench.bars.symbol}")
        audit = audit_model(model_id, restore(self._registry.weights(model_id)), bench.bars)
        progress("audit", 1, 1, audit.reason)
        if audit.passed:
            return bench
        barred = replace(judgement, verdict="no_edge", winner=None, reason=f"No edge: {model_id} {audit.reason}")
        return replace(bench, judgement=barred)

    def _compared(self, bench: _Bench, period: str, progress: Progress, again: str) -> ComparisonCard:
        """Everyone on the bench, ranked, with the verdict. again: the command that gives the same figures."""
        bench = self._cleared(bench, progress)
        book = EvidenceBook()
        rows = []
        everyone = (*bench.models, *bench.baselines)
        for done, record in enumerate(everyone, start=1):
            found = figures(record, bench.bars, book, names=ROW_METRICS, seed=RESAMPLING_SEED)
            if record.kind == "model":
                found |= _judged_figures(bench.judgement.candidates[bench.models.index(record)], bench, book)
            found |= {f"period_{name}": item for name, item in self._in_period(record, bench, period, book).items()}
            rows.append((record, found))
            progress("score", done, len(everyone), f"{record.name} scored")
        rows.sort(key=lambda row: -_rank_key(row[1]))
        judgement = bench.judgement
        winner = None
        if judgement.winner is not None:
            winner = Winner(bench.models[judgement.winner].model_id or "", judgement.reason)
        return ComparisonCard(
            symbol=bench.bars.symbol,
            timeframe=bench.bars.timeframe,
            period=canonical_period(period),
            winner=winner,
            verdict=judgement.verdict,
            reason=judgement.reason,
            rows=tuple(
                RankedRow(rank, record.name, record.kind, record.model_id, found)
                for rank, (record, found) in enumerate(rows, start=1)
            ),
            trust=self._trust(bench, book, again),
            # Models first, the best first of all: a picture puts what comes first on top.
            curves=tuple(
                curve(record, bench.bars)
                for record, _ in sorted(rows, key=lambda row: row[0].kind != "model")
                if record.name not in ("flat", "naive")
            ),
        )

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

    def history(self, model_id: str, limit: int) -> tuple[EvaluationCard, ...]:
        """Past evaluations, newest first. Raises UnknownModel for an id that was never registered or evaluated."""
        past = self._evaluations.history(model_id, limit=limit)
        if not past:
            self._registry.get(model_id)
        return tuple(_card_of(each) for each in past)

    def best(self, symbol: str, timeframe: str, limit: int, metric: str) -> tuple[EvaluationCard, ...]:
        """The latest evaluation of each model of a symbol, best first by a metric or by overall_score; what is unknown comes last.

        Raises InvalidRequest for an unknown metric, or one that none of the evaluations holds.
        """
        cards = [_card_of(each) for each in self._evaluations.latest(symbol, timeframe)]
        if metric != "overall_score":
            metric = check_metrics([metric])[0]
            if cards and not any(metric in card.metrics for card in cards):
                raise InvalidRequest(
                    f"no evaluation of {symbol} at {timeframe} holds {metric!r}: evaluate the models with metrics=[{metric!r}] first"
                )
        sign = -1.0 if metric in SMALLER_IS_BETTER else 1.0

        def value(card: EvaluationCard) -> float:
            found = card.overall_score if metric == "overall_score" else _number(card.metrics.get(metric))
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
    ) -> _Bench:
        first = cards[0]
        simulate = simulate or self._simulate or (symbol in (None, first.recipe.symbol) and first.data.simulated)
        bars, notes = usable_history(
            self._catalog.load(symbol or first.recipe.symbol, timeframe or first.recipe.timeframe, simulate=simulate)
        )
        costs = default_costs(bars.symbol)
        records, recipes = [], []
        for done, card in enumerate(cards, start=1):
            recipe, forecasts = self._forecasts(card, bars, progress, refit)
            recipes.append(recipe)
            records.append(record_of_forecasts(_row_name(card, cards), forecasts, bars, costs, model_id=card.model_id))
            progress("backtest", done, len(cards), f"{records[-1].name} backtested with costs")
        return self._judged(
            records, recipes, bars, notes, progress, request_id, ledger_position=ledger_position, trials=trials
        )

    def _judged(
        self,
        records: list[TrackRecord],
        recipes: Sequence[Recipe],
        bars: Bars,
        notes: tuple[str, ...],
        progress: Progress,
        request_id: str,
        *,
        ledger_position: int = 0,
        trials: int = 0,
    ) -> _Bench:
        """Count them as trials, and judge them together beside the baselines."""
        costs = default_costs(bars.symbol)
        self._ledger.record(trials_of(records, recipes, bars), request_id=request_id)
        # All are judged where all have decided; a longer-trained model starts later, and the others wait for it.
        start = max(record.start for record in records)
        records = [_from(record, start) for record in records]
        baselines = self._baselines(recipes[0], start, bars, costs)
        position = ledger_position or self._ledger.position()
        trials = max(len(records), trials or self._ledger.count(counted_on(bars), as_of=position))
        progress("judge", 0, 1, f"testing {len(records)} candidates against luck, {trials} trials counted")
        judgement = judge(
            np.column_stack([record.returns for record in records]),
            baselines[0].returns,
            [record.name for record in records],
            horizon_bars=max(recipe.horizon_bars for recipe in recipes),
            trials=trials,
            bars_per_year=bars.bars_per_year,
            rng=np.random.default_rng(RESAMPLING_SEED),
        )
        progress("judge", 1, 1, f"verdict: {judgement.verdict}")
        return _Bench(bars, costs, tuple(records), baselines, tuple(recipes), judgement, position, notes)

    def _forecasts(self, card: ModelCard, bars: Bars, progress: Progress, refit: bool) -> tuple[Recipe, OutOfSample]:
        """The stored out-of-sample forecasts where the bars are the same; else the recipe walked forward on these bars."""
        if card.data.fingerprint == bars.fingerprint and not refit:
            return card.recipe, forecasts_from(self._registry.out_of_sample(card.model_id))
        recipe = card.recipe
        if card.data.fingerprint != bars.fingerprint:
            recipe = replace(
                recipe,
                symbol=bars.symbol,
                timeframe=bars.timeframe,
                first_train_bars=first_train_bars(len(bars), horizon_bars=recipe.horizon_bars),
            )

        def per_fold(done: int, total: int, message: str) -> None:
            progress("walk forward", done, total, message)

        return recipe, forecast_out_of_sample(bars, recipe, progress=per_fold, workers=self._workers)

    def _baselines(self, recipe: Recipe, start: int, bars: Bars, costs: Costs) -> tuple[TrackRecord, ...]:
        found = [
            record_of_constant("buy_and_hold", 1.0, start, bars, costs),
            record_of_constant("flat", 0.0, start, bars, costs),
        ]
        for name in BASELINES:
            plain = replace(recipe, model_type=name, features=(), hyperparameters={}, seed=0)
            forecasts = forecast_out_of_sample(bars, plain)
            record = record_of_forecasts(name, forecasts, bars, costs, model_id=None, kind="baseline")
            found.append(_from(record, start))
        return tuple(found)

    def _in_period(self, record: TrackRecord, bench: _Bench, period: str, book: EvidenceBook) -> dict[str, Evidence]:
        """What it did in the stretch shown: a picture, not evidence."""
        last = max(1, min(bench.bars.bars_within(period_days(period)), len(record.returns)))
        return figures(
            record, bench.bars, book, names=PERIOD_METRICS, last_bars=last, benchmark=None, seed=RESAMPLING_SEED
        )

    def _trust(self, bench: _Bench, book: EvidenceBook, reproduce: str) -> TrustCard:
        judgement = bench.judgement
        data = data_card(bench.bars, self._clock.now())
        caveats = [*bench.notes, *data.notes]
        if data.status == "stale":
            caveats.append(f"the bars end on {data.last}: nothing here speaks of today")
        if data.simulated:
            caveats.append(f"SIMULATED bars: no result on them is a view on the real {data.symbol}")
        as_of, source = data.last, data.source
        book.add(
            "spa_p_value", "all models", judgement.spa.value, "probability", as_of=as_of, source=source,
            computed="Hansen's SPA over the alphas of all candidates, stationary bootstrap", note=judgement.spa.note,
        )  # fmt: skip
        book.add("trials", bench.bars.symbol, judgement.trials, "count", as_of=as_of, source=source,
                 computed=f"distinct recipes tried on {bench.bars.symbol}, ledger position {bench.ledger_position}")  # fmt: skip
        book.add("out_of_sample_bars", bench.bars.symbol, judgement.bars, "bars", as_of=as_of, source=source,
                 computed="bars after the first training stretch")  # fmt: skip
        book.add("hurdle_sharpe", "all models", float(judgement.hurdle_sharpe), "ratio", as_of=as_of, source=source,
                 computed=f"annual Sharpe ratio that the best of {judgement.trials} lucky trials is expected to show")  # fmt: skip
        shifted, overfitted = _second_opinions(bench)
        book.add("circular_shift_p_value", "all models", shifted.value, "probability", as_of=as_of, source=source, note=shifted.note,
                 computed="largest t of position × (return − mean) over the candidates, against all circular shifts of the positions")  # fmt: skip
        book.add("pbo", "all models", overfitted.value, "probability", as_of=as_of, source=source, note=overfitted.note,
                 computed="probability of backtest overfitting, CSCV with 10 blocks, by Sharpe ratio")  # fmt: skip
        return TrustCard(
            verdict=judgement.verdict,
            reason=judgement.reason,
            data=data,
            costs=bench.costs,
            folds=bench.recipes[0].folds,
            out_of_sample_bars=judgement.bars,
            trials=judgement.trials,
            ledger_position=bench.ledger_position,
            baselines=BASELINE_NAMES,
            evidence=tuple(book),
            caveats=tuple(dict.fromkeys(caveats)),
            reproduce=reproduce,
        )


def _second_opinions(bench: _Bench) -> tuple[Metric, Metric]:
    """Shown beside the gate, never part of it: timing against circular shifts, and the odds that the best was picked by luck."""
    first = max(record.start for record in bench.models) + 1
    # What is filled at the open of a bar is held to the next open.
    moves = bench.bars.open[first + 1 :] / bench.bars.open[first:-1] - 1
    positions = np.column_stack([record.backtest.position[first:-1] for record in bench.models])
    shifted = circular_shift_test(positions, moves)
    traded = [record.returns for record in bench.models if np.ptp(record.returns) > 0]
    if len(traded) < 2:
        return shifted, Metric.undefined(len(moves), "fewer than two models traded, so none was picked from others")
    returns = np.column_stack(traded)
    if len(returns) < 20:
        return shifted, Metric.undefined(len(returns), "needs at least 20 bars")
    found = backtest_overfitting(returns)
    return shifted, Metric.of(found.probability, len(returns), f"{found.overfitted} of {found.splits} splits")


def overall_score(found: dict[str, Evidence]) -> float:
    """0 … 1. See SCORE_WEIGHTS; a figure that is undefined counts as 0.

    A model that never trades has no alpha, scores 0 there, and so can never lead one that has evidence.
    """
    real = _number(found["deflated_sharpe"]) or 0.0
    p = _number(found.get("dm_p_value"))
    skill = 0.0 if p is None else 1.0 - p
    drawdown = _number(found.get("drawdown"))
    calm = 0.0 if drawdown is None else 1.0 - min(1.0, abs(drawdown))
    return round(SCORE_WEIGHTS[0] * real + SCORE_WEIGHTS[1] * skill + SCORE_WEIGHTS[2] * calm, 6)


def _judged_figures(verdict: CandidateVerdict, bench: _Bench, book: EvidenceBook) -> dict[str, Evidence]:
    """What the gate computed about one candidate: alpha over both benchmarks, its t and p, and the deflated Sharpe ratio."""
    as_of, source = bench.bars.date(-1), bench.bars.source
    explained = "net returns regressed on buy-and-hold and vol-targeted buy-and-hold, HAC errors, annualised"
    named: list[tuple[str, Metric, str, str]] = [
        ("alpha", verdict.alpha, "fraction", explained),
        ("alpha_t", verdict.t, "ratio", f"t statistic of alpha; {explained}"),
        ("alpha_p_value", verdict.p, "probability", f"one-sided, this candidate alone; {explained}"),
        ("deflated_sharpe", verdict.deflated_sharpe, "probability",
         f"probability that the Sharpe ratio of alpha is positive after {bench.judgement.trials} trials (null variance 1/T)"),
    ]  # fmt: skip
    return {
        name: book.add(
            name, verdict.name, metric.value, unit, as_of=as_of, source=source, computed=how,  # type: ignore[arg-type]
            low=metric.low, high=metric.high, level=metric.level, note=metric.note if metric.value is None else "",
        )
        for name, metric, unit, how in named
    }  # fmt: skip


def _rank_key(found: dict[str, Evidence]) -> float:
    """Net Sharpe ratio over all tested bars; what never trades counts as 0, between what earned and what lost."""
    value = _number(found["sharpe"])
    return 0.0 if value is None else value


def _from(record: TrackRecord, start: int) -> TrackRecord:
    """The record seen from a later bar on."""
    if record.start == start:
        return record
    return replace(record, returns=record.returns[start - record.start :], start=start)


def _row_name(card: ModelCard, cards: Sequence[ModelCard]) -> str:
    """The family where that is unambiguous, else the model's id: a baseline has its family's name already."""
    family = card.recipe.model_type
    same = [other for other in cards if other.recipe.model_type == family]
    return family if len(same) == 1 and family not in BASELINES else card.model_id


def _number(item: Evidence | None) -> float | None:
    return float(item.value) if item is not None and isinstance(item.value, int | float) else None


def _evaluation_id(model_id: str, fingerprint: str, days: int | None, position: int, code: str) -> str:
    """What an evaluation came from: model, bars, stretch shown, trials counted and code."""
    return sha256_of([model_id, fingerprint, days, position, code])[:12]


def _again(command: str, model_ids: Sequence[str], bars: Bars, period: str) -> str:
    """The command that gives the same figures once more."""
    simulate = " --simulate" if bars.simulated else ""
    return f"evolve {command} {' '.join(model_ids)} --symbol {bars.symbol} --timeframe {bars.timeframe} --period {period}{simulate}"


def _card_of(past: Evaluation) -> EvaluationCard:
    metrics = {item.name: item for item in past.figures}
    return EvaluationCard(
        evaluation_id=_evaluation_id(
            past.model_id, past.trust.data.fingerprint, past.period_days, past.trust.ledger_position, past.code_version
        ),
        model_id=past.model_id,
        symbol=past.symbol,
        timeframe=past.timeframe,
        period=canonical_period(f"{past.period_days}d") if past.period_days else "all",
        overall_score=past.overall_score,
        metrics=metrics,
        in_period={},
        trust=past.trust,
        created_at=past.evaluated_at,
    )
