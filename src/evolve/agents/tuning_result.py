"""What did a study find, and is it more than luck? From finished trials to a card with its figures, verdict and reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evolve.agents.tuning_work import tried_of
from evolve.cards import DataCard
from evolve.clock import iso
from evolve.errors import DataUnavailable
from evolve.evidence import Evidence, EvidenceBook
from evolve.forecasting.tuning.importance import importances
from evolve.forecasting.tuning.noise import PATIENCE, Finding, Tried, best_of, compare_with_defaults
from evolve.forecasting.tuning.sampler import Observed
from evolve.forecasting.tuning.space import SearchSpace
from evolve.market.bars import Bars
from evolve.memory.studies import Study, StudyTrial
from evolve.tunings import TunedVerdict, TuningCard, dataset_size

TOP = 5


@dataclass(frozen=True)
class Search:
    """A study whose trials are all finished. warm_from: the studies whose points it began with."""

    study: Study
    space: SearchSpace
    all_trials: Sequence[StudyTrial]
    notes: tuple[str, ...]
    warm_from: tuple[str, ...]

    @property
    def trials(self) -> list[StudyTrial]:
        """Those that count: trials begun while it was found out that the search had stalled do not."""
        ends_at = self.study.ends_at
        return [each for each in self.all_trials if ends_at is None or each.number < ends_at]


def tuning_card(search: Search, data: DataCard, bars: Bars, *, now: float) -> TuningCard:
    """Raises DataUnavailable when not one trial has a score, with the reason of the first."""
    plan, trials = search.study.plan, search.trials
    tried = [tried_of(each) for each in trials if each.state in ("complete", "pruned")]
    defaults = next((each for each in tried if each.number == 0), None)
    inside = [each for each in tried if each.number > 0 or search.space.holds(search.space.defaults)]
    best = best_of(inside)
    if defaults is None or best is None:
        raise _nothing_scored(search, trials)
    finding = compare_with_defaults(defaults, inside, horizon_bars=plan.horizon_bars)
    proven = best_of([each for each in inside if each.number in finding.better])
    by_number = {each.number: each for each in trials}
    verdict, reason = _judged(search, defaults, best, proven, finding)
    complete = sorted((each for each in trials if each.state == "complete"), key=lambda each: -(each.score or 0.0))
    observed = [
        Observed(each.number, {d.name: each.params[d.name] for d in search.space.dimensions}, each.worth)
        for each in trials
        if each.state in ("complete", "pruned") and each.number in {one.number for one in inside}
    ]
    return TuningCard(
        study_id=search.study.study_id,
        model_type=plan.model_type,
        symbol=plan.symbol,
        timeframe=plan.timeframe,
        optimization_method=plan.method,
        sampler=plan.sampler,
        best_score=best.score,
        best_params=dict(by_number[best.number].params),
        best_trial=best.number,
        default_score=defaults.score,
        improvement=(proven or best).score - defaults.score,
        p_value=finding.p,
        verdict=verdict,
        recommended_params=dict(by_number[proven.number].params if proven else search.space.defaults),
        reason=reason,
        n_trials=search.study.wanted,
        complete=sum(each.state == "complete" for each in trials),
        pruned=sum(each.state == "pruned" for each in trials),
        failed=sum(each.state == "failed" for each in trials),
        stopped_early=_stopped(search),
        cv_folds=plan.folds,
        horizon_bars=plan.horizon_bars,
        features=plan.features,
        train_bars=plan.train_bars,
        train_last=plan.train_last,
        dataset_size=dataset_size(plan.history_bars),
        importance=importances(search.space.dimensions, observed),
        data=data,
        figures=_figures(search, defaults, best, finding, bars),
        top=tuple(each.card() for each in complete[:TOP]),
        warm_started_from=search.warm_from,
        notes=search.notes,
        seed=plan.seed,
        created_at=iso(search.study.created_at),
        finished_at=iso(now),
        seconds=round(now - search.study.created_at, 3),
    )


def _judged(
    search: Search, defaults: Tried, best: Tried, proven: Tried | None, finding: Finding
) -> tuple[TunedVerdict, str]:
    tried = sum(each.state in ("complete", "pruned") for each in search.trials)
    p = "" if finding.p is None else f"p = {finding.p:.2f} for having tried {tried}"
    if proven is not None:
        return (
            "better",
            f"trial {proven.number} forecasts better than the defaults: R² {100 * proven.score:+.2f} % against {100 * defaults.score:+.2f} % inside the training part ({p})",
        )
    if finding.p is None:
        return (
            "defaults_as_good",
            f"none of {tried} trials forecasts differently from the defaults: R² {100 * defaults.score:+.2f} %",
        )
    if best.score <= defaults.score:
        return (
            "defaults_as_good",
            f"none of {tried} trials scored above the defaults: R² {100 * defaults.score:+.2f} % ({p})",
        )
    return (
        "defaults_as_good",
        f"the best of {tried} trials, R² {100 * best.score:+.2f} %, is above the defaults' {100 * defaults.score:+.2f} % by no more than luck ({p}): the defaults are as good",
    )


def _stopped(search: Search) -> str:
    ends_at = search.study.ends_at
    if ends_at is None:
        return ""
    return f"after {ends_at} of {search.study.wanted} trials: the last {PATIENCE} brought nothing beyond noise"


def _figures(search: Search, defaults: Tried, best: Tried, finding: Finding, bars: Bars) -> tuple[Evidence, ...]:
    plan, book = search.study.plan, EvidenceBook()
    how = (
        f"purged walk-forward over {plan.folds} folds, {len(defaults.losses):,} forecasts inside the first {plan.train_bars:,} bars, "
        "errors in units of volatility, against no change"
    )
    book.add(
        "best_score", plan.model_type, best.score, "fraction", computed=how, as_of=plan.train_last, source=bars.source
    )
    book.add(
        "default_score",
        plan.model_type,
        defaults.score,
        "fraction",
        computed=how,
        as_of=plan.train_last,
        source=bars.source,
    )
    book.add(
        "p_value", plan.model_type, finding.p, "probability", note="" if finding.p is not None else "no trial differs from the defaults",
        computed="superior predictive ability over all whole trials against the defaults (Hansen 2005)", as_of=plan.train_last, source=bars.source,
    )  # fmt: skip
    book.add(
        "trials",
        plan.model_type,
        len(search.trials),
        "count",
        computed="trials of the study; each is in the ledger",
        as_of=plan.train_last,
        source=bars.source,
    )
    return tuple(book)


def _nothing_scored(search: Search, trials: Sequence[StudyTrial]) -> DataUnavailable:
    plan = search.study.plan
    failed = [each for each in trials if each.error]
    first = failed[0].error if failed else "none was finished"
    if trials and trials[0].state == "failed" and len(failed) < len(trials):
        problem = "the defaults, which all is measured by, failed"
    else:
        problem = f"all {len(trials)} trials failed"
    return DataUnavailable(
        f"study {search.study.study_id} of {plan.model_type} on {plan.symbol}: {problem}; the first: {first}",
        study_id=search.study.study_id,
        failed=len(failed),
    )
