"""Tune a family's hyperparameters without fooling ourselves: search the training part, charge for every trial, and doubt the winner.

The bars that a finished model is tested on are never shown to a trial. Each trial enters the ledger that deflates Sharpe ratios. The
defaults are the first trial; what beats them by no more than luck is not recommended, whatever it scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast

from evolve.agents.track_record import FOLDS, counted_on, first_train_bars, usable_history
from evolve.agents.tuned import best_known
from evolve.agents.tuning_result import Search, tuning_card
from evolve.agents.tuning_work import Progress, StudyWorker, Work
from evolve.cards import Recipe
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import DataUnavailable, EvolveError, InvalidRequest, nearest
from evolve.forecasting.base import Forecaster, HyperValue, check_horizon, forecaster
from evolve.forecasting.features import resolve, usable
from evolve.forecasting.learned import LearnedForecaster
from evolve.forecasting.tuning.objective import ForecastLoss, first_fold_bars
from evolve.forecasting.tuning.sampler import sampler, sampler_name
from evolve.forecasting.tuning.space import SearchSpace, Wanted, grid, search_space
from evolve.market.bars import Bars
from evolve.market.catalog import Catalog, data_card
from evolve.market.store import BarStore
from evolve.memory.canonical import recipe_hash
from evolve.memory.database import Database
from evolve.memory.studies import Studies, Study
from evolve.memory.trials import Trial
from evolve.settings import Settings
from evolve.tunings import AutoTuning, DatasetSize, Dimension, Method, StudyPlan, TrialCard, TunedParams, TuningCard
from evolve.version import code_version

WARM_POINTS = 3  # of earlier studies: more would be a tenth of fifty trials spent on what was good elsewhere
METHODS: tuple[Method, ...] = ("bayesian", "grid", "random")
SIZES: tuple[DatasetSize, ...] = ("small", "medium", "large")


@dataclass(frozen=True, slots=True)
class TuneOrder:
    """What to search. timeframe None: the finest with real bars; features empty: the default set; param_space empty: all that the
    family declares; stop_early: end when nothing was gained beyond noise; prune: give up trials that are surely worse."""

    model_type: str
    symbol: str
    timeframe: str | None
    param_space: Mapping[str, Wanted] | None = None
    optimization_method: str = "bayesian"
    n_trials: int = 50
    cv_folds: int = 5
    features: tuple[str, ...] = ()
    horizon_bars: int = 1
    seed: int = 0
    simulate: bool = False
    stop_early: bool = True
    prune: bool = True


class Crew(Protocol):
    """Who works on a study beside each other."""

    @property
    def workers(self) -> int:
        """At most how many."""
        ...

    def work(self, study_id: str, progress: Progress) -> None:
        """Returns once no trial of the study is left. Raises what ended the work of all."""
        ...


@dataclass(frozen=True)
class Alone:
    """All trials in this process, one after the other."""

    agent: MetaTunerAgent
    name: str
    workers: int = 1

    def work(self, study_id: str, progress: Progress) -> None:
        self.agent.work(study_id, f"{self.name}/", progress=progress)


class MetaTunerAgent:
    def __init__(
        self,
        catalog: Catalog,
        studies: Studies,
        *,
        clock: Clock = SYSTEM_CLOCK,
        default_simulate: bool = False,
    ) -> None:
        self._catalog = catalog
        self._studies = studies
        self._clock = clock
        self._simulate = default_simulate

    @classmethod
    def from_settings(cls, settings: Settings) -> MetaTunerAgent:
        database = Database.open(settings)
        return cls(Catalog(BarStore.open(settings)), Studies(database), default_simulate=settings.simulate)

    # --- one study ---

    def tune(self, order: TuneOrder, crew: Crew, *, request_id: str, progress: Progress) -> TuningCard:
        """What the study of this order found. A study that was begun before goes on where it was; one that is done is not done again.

        Raises InvalidRequest (model type, method, param_space, features), UnknownSymbol, DataUnavailable (too few bars, or not one
        trial with a score), MissingExtra.
        """
        progress("data", 0, 1, f"loading bars of {order.symbol}")
        bars, notes = usable_history(
            self._catalog.load(order.symbol, order.timeframe, simulate=order.simulate or self._simulate)
        )
        progress("data", 1, 1, f"{len(bars):,} bars of {bars.symbol} at {bars.timeframe}, to {bars.date(-1)}")
        family = forecaster(order.model_type)
        if isinstance(family, LearnedForecaster):
            family.require()
        plan, space, without = self._plan(order, family, bars, workers=crew.workers)
        wanted = 1 + plan.grid_points if plan.method == "grid" else order.n_trials  # the defaults, and the points
        warm, from_ = self._warm(plan, space) if plan.method == "bayesian" else ((), ())
        study = self._studies.open(plan, wanted=wanted, warm=warm, request_id=request_id)
        done = self._done(study)
        if done is not None:
            progress(f"tune {plan.model_type}", wanted, wanted, f"found study {study.study_id}: same space, same bars")
            return self._studies.keep(replace(done, found=True), request_id=request_id)
        # Trials of workers that will not come back: of a request that was cancelled, or of a run before this one.
        self._studies.release(study.study_id, but=f"{request_id}/")
        crew.work(study.study_id, progress)
        return self._conclude(study.study_id, bars, (*notes, *without), from_, request_id, progress)

    def work(self, study_id: str, worker: str, *, progress: Progress) -> int:
        """Try trials of a study until none is left for this worker; how many it finished. Raises DataUnavailable when the bars changed."""
        study = self._studies.get(study_id)
        bars = self._bars_of(study)
        plan, family = study.plan, forecaster(study.plan.model_type)
        space = space_of(plan)
        objective = ForecastLoss.of(
            family,
            bars.slice(0, plan.train_bars),
            first_fold_bars=plan.first_fold_bars,
            folds=plan.folds,
            features=plan.features,
            horizon_bars=plan.horizon_bars,
            seed=plan.seed,
        )
        points = grid(space, plan.grid_points) if plan.sampler == "grid" else ()
        chosen_by = sampler(plan.sampler, space, seed=plan.seed, points=points)
        work = Work(study, space, objective, chosen_by, lambda params: counted(plan, params, bars))
        return StudyWorker(work, self._studies, worker, progress).run()

    def release_all(self, study_id: str, *, but: str = "") -> int:
        """Free the trials of workers that died. Returns how many trials of the study are finished."""
        self._studies.release(study_id, but=but)
        return sum(trial.is_finished for trial in self._studies.trials(study_id))

    def is_over(self, study_id: str) -> bool:
        """Whether no trial of it is left to be tried."""
        study = self._studies.get(study_id)
        last = study.wanted if study.ends_at is None else min(study.wanted, study.ends_at)
        finished = sum(trial.is_finished for trial in self._studies.trials(study_id) if trial.number < last)
        return finished >= last

    def trials(self, study_id: str) -> tuple[TrialCard, ...]:
        """Every trial of a study, by number. Raises InvalidRequest with the nearest ids."""
        self._studies.get(study_id)
        return tuple(trial.card() for trial in self._studies.trials(study_id))

    def _plan(
        self, order: TuneOrder, family: Forecaster, bars: Bars, *, workers: int
    ) -> tuple[StudyPlan, SearchSpace, tuple[str, ...]]:
        method = method_named(order.optimization_method)
        space = search_space(family, order.param_space)
        resolve(order.features)
        check_horizon(order.horizon_bars)
        features, without = usable(bars, order.features)
        train = first_train_bars(len(bars), horizon_bars=order.horizon_bars)
        if train > len(bars):
            raise DataUnavailable(
                f"{len(bars)} bars of {bars.symbol} are too few to tune on; a model needs {train} to be trained on first"
            )
        first = first_fold_bars(
            family,
            space,
            bars.slice(0, train),
            features=features,
            folds=order.cv_folds,
            horizon_bars=order.horizon_bars,
        )
        plan = StudyPlan(
            model_type=family.family,
            symbol=bars.symbol,
            timeframe=bars.timeframe,
            simulated=bars.simulated,
            fingerprint=bars.fingerprint,
            features=features if family.reads_features else (),
            horizon_bars=order.horizon_bars,
            seed=order.seed,
            method=method,
            sampler=sampler_name(method, trials=order.n_trials, dear=family.dear),
            dimensions=space.dimensions,
            settled=dict(space.settled),
            defaults=dict(space.defaults),
            folds=order.cv_folds,
            first_fold_bars=first,
            train_bars=train,
            train_last=bars.date(train - 1),
            history_bars=len(bars),
            lag=lag_of(workers),
            stop_early=order.stop_early and method != "grid",
            prune=order.prune,
            grid_points=len(grid(space, order.n_trials)) if method == "grid" else 0,
            code_version=code_version(),
        )
        return plan, space, without

    def _warm(self, plan: StudyPlan, space: SearchSpace) -> tuple[tuple[dict[str, HyperValue], ...], tuple[str, ...]]:
        """Where to begin: what scored best in earlier studies of this family on like data, if it lies in the space.

        Like data: the same symbol first, then the same timeframe.
        """
        found = [
            card
            for card in self._studies.found(model_type=plan.model_type)
            if (card.timeframe, card.horizon_bars) == (plan.timeframe, plan.horizon_bars)
            and card.data.simulated == plan.simulated
        ]
        found.sort(key=lambda card: card.symbol != plan.symbol)
        points: list[dict[str, HyperValue]] = []
        from_: list[str] = []
        for card in found:
            point = cast("dict[str, HyperValue]", dict(card.best_params))
            if point not in points and point != dict(space.defaults) and space.holds(point):
                points.append(point)
                from_.append(card.study_id)
        return tuple(points[:WARM_POINTS]), tuple(from_[:WARM_POINTS])

    def _done(self, study: Study) -> TuningCard | None:
        found = self._studies.found(study_id=study.study_id, limit=1)
        if not found or (found[0].n_trials < study.wanted and study.ends_at is None):
            return None
        return found[0]

    def _conclude(
        self, study_id: str, bars: Bars, notes: Sequence[str], from_: Sequence[str], request_id: str, progress: Progress
    ) -> TuningCard:
        study = self._studies.get(study_id)
        progress(
            f"tune {study.plan.model_type}",
            study.wanted,
            study.wanted,
            "asking whether anything beats the defaults by more than luck",
        )
        trials = self._studies.trials(study_id)
        search = Search(study, space_of(study.plan), trials, tuple(notes), tuple(from_) if study.warm else ())
        card = tuning_card(search, data_card(bars, self._clock.now()), bars, now=self._clock.now())
        return self._studies.keep(card, request_id=request_id)

    def _bars_of(self, study: Study) -> Bars:
        plan = study.plan
        bars, _ = usable_history(self._catalog.load(plan.symbol, plan.timeframe, simulate=plan.simulated))
        if bars.fingerprint != plan.fingerprint:
            raise DataUnavailable(
                f"the bars of {plan.symbol} at {plan.timeframe} have changed since study {study.study_id} began; tune again to search those of now"
            )
        return bars

    # --- several studies, and what they found ---

    def auto_tune(
        self,
        model_types: Sequence[str],
        methods: Sequence[str],
        trials: int,
        order: TuneOrder,
        crew: Callable[[str], Crew],
        *,
        request_id: str,
        progress: Progress,
    ) -> AutoTuning:
        """One study per family and method, each of at most `trials`. A family that cannot be tuned is named with its reason.

        Raises InvalidRequest for a family or method there is not, and what the first study raised when none could be made.
        """
        for name in model_types:
            forecaster(name)
        for method in methods:
            method_named(method)
        cards: list[TuningCard] = []
        errors: list[tuple[str, EvolveError]] = []
        for model_type in dict.fromkeys(model_types):
            for method in dict.fromkeys(methods):
                own = f"{request_id}/{model_type}-{method}"
                each = replace(order, model_type=model_type, optimization_method=method, n_trials=trials)
                try:
                    cards.append(self.tune(each, crew(own), request_id=own, progress=progress))
                except (InvalidRequest, DataUnavailable) as error:
                    errors.append((f"{model_type} by {method}", error))
        if not cards:
            raise errors[0][1]
        gains = [card.improvement if card.verdict == "better" else 0.0 for card in cards]
        return AutoTuning(
            success=not errors,
            models_tuned=tuple(dict.fromkeys(card.model_type for card in cards)),
            overall_improvement=sum(gains) / len(gains),
            better=tuple(dict.fromkeys(card.model_type for card in cards if card.verdict == "better")),
            studies=tuple(cards),
            failed=tuple({"study": name, "code": error.code, "why": error.message} for name, error in errors),
        )

    def history(self, model_type: str, limit: int) -> tuple[TuningCard, ...]:
        """What studies of a family found, newest first. Raises InvalidRequest for a family there is not."""
        return self._studies.found(model_type=forecaster(model_type).family, limit=limit)

    def best_params(self, model_type: str, size: str) -> TunedParams:
        """Raises InvalidRequest for a family or a size there is not."""
        if size not in SIZES:
            raise InvalidRequest(f"dataset_size must be one of {', '.join(SIZES)}, not {size[:40]!r}")
        return best_known(forecaster(model_type), self._studies, size)


def method_named(name: str) -> Method:
    """Raises InvalidRequest with the nearest methods."""
    folded = name.strip().lower()
    if folded not in METHODS:
        near = nearest(folded, METHODS)
        suggestion = f"nearest: {', '.join(near)}; " if near else ""
        raise InvalidRequest(f"unknown optimization_method {name[:40]!r}; {suggestion}known: {', '.join(METHODS)}")
    return folded


def lag_of(workers: int) -> int:
    """After how many trials an outcome is used. One worker: at once. Several: late enough that one slow trial does not stop all."""
    return 1 if workers <= 1 else workers + workers // 2


def space_of(plan: StudyPlan) -> SearchSpace:
    dimensions: tuple[Dimension, ...] = plan.dimensions
    return SearchSpace(plan.model_type, dimensions, plan.settled, plan.defaults)


def counted(plan: StudyPlan, params: Mapping[str, HyperValue], bars: Bars) -> Trial:
    """What the ledger counts: the model that would be built of these hyperparameters. Building it later counts no second time.

    Its Sharpe ratio is unknown here: no trial sees the bars on which that is scored.
    """
    recipe = Recipe(
        model_type=plan.model_type,
        symbol=plan.symbol,
        timeframe=plan.timeframe,
        features=plan.features,
        hyperparameters=dict(params),
        horizon_bars=plan.horizon_bars,
        seed=plan.seed,
        folds=FOLDS,
        embargo_bars=plan.horizon_bars - 1,
        first_train_bars=plan.train_bars,
    )
    return Trial(counted_on(bars), recipe_hash(recipe), plan.fingerprint)
