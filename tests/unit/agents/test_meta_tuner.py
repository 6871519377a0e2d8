"""The meta tuner: searches inside the training part, charges every trial, and recommends only what is more than luck."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from desks import Desk, autoregressive, next_id, noise, silent

from evolve.agents.meta_tuner import Alone, MetaTunerAgent, TuneOrder, lag_of
from evolve.agents.tuning_work import StudyWorker, Work
from evolve.errors import Cancelled, DataUnavailable, InvalidRequest
from evolve.forecasting.base import HyperValue
from evolve.forecasting.tuning.objective import ForecastLoss
from evolve.forecasting.tuning.sampler import sampler
from evolve.forecasting.tuning.space import Range, SearchSpace
from evolve.market.bars import FIELDS
from evolve.memory.database import Database
from evolve.memory.studies import Studies, StudyTrial
from evolve.memory.trials import TrialLedger
from evolve.tunings import Dimension, StudyPlan, TuningCard

SHORT = {"n_trials": 4, "cv_folds": 2, "features": ("return_1",)}


@pytest.fixture
def tuner(desk: Desk) -> MetaTunerAgent:
    desk.store.save(noise(1_600))
    desk.store.save(autoregressive(1_600))
    return MetaTunerAgent(desk.catalog, Studies(Database.open(desk.settings), clock=desk.clock), clock=desk.clock)


def tune(tuner: MetaTunerAgent, model_type: str = "ridge", symbol: str = "NOISE", *, request_id: str | None = None, **options: object) -> TuningCard:  # fmt: skip
    own = request_id or next_id()
    order = TuneOrder(model_type, symbol, "1d", **{**SHORT, **options})  # type: ignore[arg-type]
    return tuner.tune(order, Alone(tuner, own), request_id=own, progress=silent)


# --- what is searched, on which bars ---


def test_the_defaults_are_the_first_trial_and_stay_recommended_where_nothing_is_to_be_found(
    tuner: MetaTunerAgent,
) -> None:
    card = tune(tuner, n_trials=6)

    assert (card.complete + card.pruned, card.failed, card.n_trials) == (6, 0, 6)
    assert tuner.trials(card.study_id)[0].params == {"alpha": 0.0}
    assert (card.verdict, card.recommended_params) == ("defaults_as_good", {"alpha": 0.0})
    assert card.best_score >= card.default_score or card.best_trial > 0


def test_no_trial_sees_a_bar_that_a_model_is_tested_on(desk: Desk, tuner: MetaTunerAgent) -> None:
    """Everything after the training part is changed: same hyperparameters, same scores."""
    before = tune(tuner)
    first_tested = desk.build("ridge", "NOISE").card.recipe.first_train_bars
    assert before.train_bars <= first_tested
    bars = noise(1_600)
    changed = {
        name: np.concatenate([getattr(bars, name)[:first_tested], 2 * getattr(bars, name)[first_tested:]])
        for name in FIELDS
    }
    desk.store.save(replace(bars, symbol="OTHER", **changed))

    after = tune(tuner, symbol="OTHER")

    assert [trial.score for trial in tuner.trials(after.study_id)] == [
        trial.score for trial in tuner.trials(before.study_id)
    ]
    assert before.data.fingerprint != after.data.fingerprint


def test_every_trial_enters_the_ledger_and_building_its_model_counts_no_second_time(
    desk: Desk, tuner: MetaTunerAgent
) -> None:
    ledger = TrialLedger(Database.open(desk.settings))
    tune(tuner, optimization_method="random", prune=False)
    assert ledger.count("NOISE") == 4

    desk.build("ridge", "NOISE", features=("return_1",))

    assert ledger.count("NOISE") == 4  # the defaults were the first trial


def test_a_window_too_long_for_the_folds_and_a_history_too_short_are_refused(desk: Desk, tuner: MetaTunerAgent) -> None:
    desk.store.save(noise(500, symbol="SHORT"))

    with pytest.raises(DataUnavailable, match="bars of SHORT at 1d lie before the first that a model is tested on"):
        tune(tuner, symbol="SHORT")


@pytest.mark.parametrize(
    ("model_type", "options", "said"),
    [
        ("lightgbm", {}, "unknown model type 'lightgbm'"),
        ("ridge", {"optimization_method": "bayes"}, "unknown optimization_method 'bayes'; nearest: bayesian"),
        ("ridge", {"param_space": {"alfa": [1, 2]}}, "unknown hyperparameter 'alfa' in param_space; nearest: alpha"),
        ("ridge", {"param_space": {"alpha": Range(-1, 2)}}, "ridge: alpha must be a number from 0 to 1e+06, not -1"),
        ("ridge", {"param_space": {"alpha": [1, 2, 3, 4, 5]}, "optimization_method": "grid"}, "this grid has 5 combinations and n_trials is 4"),
        ("ridge", {"features": ("close", "moon")}, "moon"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_in_a_sentence(
    tuner: MetaTunerAgent, model_type: str, options: dict, said: str
) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidRequest) as refused:
        tune(tuner, model_type, **options)
    assert said in refused.value.message


def test_a_grid_tries_each_of_its_points_once_after_the_defaults(tuner: MetaTunerAgent) -> None:
    card = tune(tuner, param_space={"alpha": [3.0, 30.0, 300.0]}, optimization_method="grid", prune=False)

    tried = [trial.params["alpha"] for trial in tuner.trials(card.study_id)]
    assert (tried[0], sorted(tried[1:])) == (0.0, [3.0, 30.0, 300.0])
    assert card.best_params["alpha"] in (3.0, 30.0, 300.0)  # of the space that was asked for


# --- going on ---


def test_a_search_that_was_stopped_goes_on_with_the_trials_it_had(tuner: MetaTunerAgent) -> None:
    def stop_at_the_third(stage: str, done: int, total: int, message: str = "") -> None:
        if message.startswith("trial 3 "):
            raise Cancelled("enough")

    order = TuneOrder("ridge", "NOISE", "1d", **SHORT)  # type: ignore[arg-type]
    with pytest.raises(Cancelled):
        tuner.tune(order, Alone(tuner, "r1"), request_id="r1", progress=stop_at_the_third)
    resumed = tuner.tune(order, Alone(tuner, "r2"), request_id="r2", progress=silent)

    assert [trial.runs for trial in tuner.trials(resumed.study_id)] == [1, 1, 2, 1]


def test_the_same_search_again_is_found_and_more_trials_go_on_from_it(tuner: MetaTunerAgent) -> None:
    first = tune(tuner, stop_early=False)
    again, more = tune(tuner, stop_early=False), tune(tuner, n_trials=6, stop_early=False)

    assert (again.found, again.best_score, again.finished_at) == (True, first.best_score, first.finished_at)
    assert (more.found, more.study_id, more.n_trials) == (False, first.study_id, 6)
    assert tuner.trials(more.study_id)[:4] == tuner.trials(first.study_id)[:4]


def test_a_search_on_like_data_begins_where_an_earlier_one_ended_well(tuner: MetaTunerAgent) -> None:
    first = tune(tuner, param_space={"alpha": [40.0, 50.0]}, optimization_method="grid")

    second = tune(tuner, symbol="EDGY", param_space={"alpha": Range(1.0, 100.0)})

    assert second.warm_started_from == (first.study_id,)
    assert tuner.trials(second.study_id)[1].params == first.best_params


def test_a_change_of_the_bars_under_a_running_study_is_refused(desk: Desk, tuner: MetaTunerAgent) -> None:
    card = tune(tuner)
    desk.store.save(noise(1_700, seed=9))

    with pytest.raises(DataUnavailable, match="have changed since study"):
        tuner.work(card.study_id, "late", progress=silent)


# --- objectives that fail ---


@dataclass(frozen=True)
class Surface:
    """Losses that a test writes down: of hyperparameter x, in folds of one bar each."""

    of: Callable[[float], float]
    folds: int = 1

    def losses(self, params: Mapping[str, HyperValue], fold: int, *, progress: object = None) -> np.ndarray:
        return np.array([self.of(float(params["x"]))])

    def score(self, losses: np.ndarray) -> float:
        return -float(losses.mean())


LINE = SearchSpace("line", (Dimension("x", "float", 0.0, 1.0),), {}, {"x": 0.5})


@dataclass
class Bench:
    """A study of a surface, and workers for it."""

    studies: Studies
    surface: Surface
    wanted: int = 12
    lag: int = 1
    method: str = "bayesian"
    waited: list[float] = field(default_factory=list)

    def worker(self, name: str = "w/0") -> StudyWorker:
        study = self.studies.open(self.plan(), wanted=self.wanted, warm=(), request_id="r")
        chooser = sampler("tpe" if self.method == "bayesian" else "random", LINE, seed=0)
        return StudyWorker(
            Work(study, LINE, self.surface, chooser, lambda _: None),
            self.studies,
            name,
            silent,
            wait=self.waited.append,
        )

    def plan(self) -> StudyPlan:
        return StudyPlan(
            "line", "X", "1d", False, "f", (), 1, 0, self.method, "tpe", LINE.dimensions, {}, {"x": 0.5}, 1, 300, 800,  # type: ignore[arg-type]
            "2004-01-01", 3000, self.lag, False, False, 0, "1",
        )  # fmt: skip

    def trials(self) -> tuple[StudyTrial, ...]:
        return self.studies.trials(self.worker().work.study.study_id)


@pytest.fixture
def studies(desk: Desk) -> Studies:
    return Studies(Database.open(desk.settings), clock=desk.clock)


def test_a_score_that_is_no_number_fails_its_trial_and_not_the_study(studies: Studies) -> None:
    bench = Bench(studies, Surface(lambda x: float("nan") if x > 0.6 else (x - 0.2) ** 2), wanted=20)

    assert bench.worker().run() == 20

    failed = [trial for trial in bench.trials() if trial.state == "failed"]
    assert failed
    assert {trial.error for trial in failed} == {"the score of fold 1 is not a finite number"}
    assert all(trial.params["x"] > 0.6 for trial in failed)


def test_hyperparameters_that_cannot_be_fitted_fail_their_trial_with_the_reason(studies: Studies) -> None:
    def refuse(x: float) -> float:
        if x != 0.5:
            raise DataUnavailable("too few bars for this window")
        return x

    bench = Bench(studies, Surface(refuse), wanted=3)
    bench.worker().run()

    assert [trial.error for trial in bench.trials()] == [None, *["too few bars for this window"] * 2]


def test_a_search_in_which_every_trial_fails_says_so_with_the_first_reason(
    tuner: MetaTunerAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ForecastLoss, "losses", lambda *_, **__: np.array([np.nan]))

    with pytest.raises(DataUnavailable) as refused:
        tune(tuner)
    assert "all 4 trials failed; the first: the score of fold 1 is not a finite number" in refused.value.message


def test_a_mistake_of_ours_ends_the_search_and_is_no_failed_trial(studies: Studies) -> None:
    def mistaken(x: float) -> float:
        raise KeyError("x")

    bench = Bench(studies, Surface(mistaken))
    with pytest.raises(KeyError):
        bench.worker().run()
    assert [trial.state for trial in bench.trials()] == ["running"]


# --- several workers ---


def test_a_worker_that_died_leaves_a_study_equal_to_one_where_nobody_did(desk: Desk, studies: Studies) -> None:
    """The same points are tried in the same order, whoever tried them and however often."""
    whole = Bench(studies, Surface(lambda x: (x - 0.2) ** 2), lag=3)
    whole.worker().run()
    expected = [(trial.number, trial.params, trial.score) for trial in whole.trials()]

    calls = 0

    def dies(x: float) -> float:
        nonlocal calls
        calls += 1
        if calls in (3, 7, 8):
            raise SystemExit("killed")
        return (x - 0.2) ** 2

    with Database.open(desk.settings.model_copy(update={"home": desk.settings.home / "other"})) as other:
        bench = Bench(Studies(other, clock=desk.clock), Surface(dies), lag=3)
        for life in range(4):
            worker = bench.worker(f"w/{life % 2}")
            bench.studies.release(worker.work.study.study_id)
            if life < 3:
                with pytest.raises(SystemExit):
                    worker.run()
            else:
                worker.run()
        found = [(trial.number, trial.params, trial.score) for trial in bench.trials()]
        runs = [trial.runs for trial in bench.trials()]

    assert found == expected
    assert sum(runs) == 12 + 3


def test_a_worker_that_waits_in_vain_for_another_gives_its_place_away(
    studies: Studies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evolve.agents.tuning_work.LOOK_S", 3.0)
    bench = Bench(studies, Surface(lambda x: x), lag=1)
    studies.draw(bench.worker().work.study.study_id, "elsewhere/0")

    assert bench.worker().run() == 0
    assert sum(bench.waited) >= 30


def test_one_worker_knows_all_outcomes_and_several_leave_room_for_a_slow_one() -> None:
    assert [lag_of(workers) for workers in (1, 2, 4)] == [1, 3, 6]


# --- what is found, and where it goes ---


def forced(card: TuningCard, params: dict[str, object], **changed: object) -> TuningCard:
    return replace(card, verdict="better", recommended_params=params, reason="made for a test", **changed)  # type: ignore[arg-type]


def test_a_build_without_hyperparameters_takes_what_a_study_found_better_and_says_so(desk: Desk, tuner: MetaTunerAgent, studies: Studies) -> None:  # fmt: skip
    card = tune(tuner)
    plain = desk.build("ridge", "NOISE", features=("return_1",)).card
    studies.keep(forced(card, {"alpha": 77.0}), request_id="found")

    tuned = desk.build("ridge", "NOISE", features=("return_1",)).card
    given = desk.build("ridge", "NOISE", features=("return_1",), hyperparameters={"alpha": 5.0}).card
    without = desk.build("ridge", "NOISE", features=("return_1",), tuned=False).card

    assert (plain.recipe.hyperparameters, plain.hyperparameters_from) == ({"alpha": 0.0}, "defaults")
    assert (tuned.recipe.hyperparameters, tuned.hyperparameters_from) == ({"alpha": 77.0}, f"study {card.study_id}")
    assert any(card.study_id in note for note in tuned.notes)
    assert (given.recipe.hyperparameters, given.hyperparameters_from) == ({"alpha": 5.0}, "caller")
    assert without.model_id == plain.model_id


@pytest.mark.parametrize(
    ("options", "symbol"),
    [({"features": ("return_2",)}, "NOISE"), ({"features": ("return_1",), "horizon_bars": 3}, "NOISE"), ({"features": ("return_1",)}, "EDGY")],
)  # fmt: skip
def test_a_study_of_something_else_is_not_used(desk: Desk, tuner: MetaTunerAgent, studies: Studies, options: dict, symbol: str) -> None:  # type: ignore[type-arg]  # fmt: skip
    studies.keep(forced(tune(tuner), {"alpha": 77.0}), request_id="found")

    assert desk.build("ridge", symbol, **options).card.hyperparameters_from == "defaults"


def test_a_study_that_saw_bars_on_which_the_model_is_tested_is_not_used(desk: Desk, tuner: MetaTunerAgent, studies: Studies) -> None:  # fmt: skip
    late = forced(tune(tuner), {"alpha": 77.0}, train_last="2099-01-01")
    studies.keep(late, request_id="found")

    card = desk.build("ridge", "NOISE", features=("return_1",)).card

    assert card.recipe.hyperparameters == {"alpha": 0.0}
    assert any("which this model is tested on: the defaults are used instead" in note for note in card.notes)


def test_the_best_known_parameters_are_the_defaults_until_a_study_of_that_size_proves_others(tuner: MetaTunerAgent, studies: Studies) -> None:  # fmt: skip
    untuned = tuner.best_params("ridge", "medium")
    card = tune(tuner)
    doubted = tuner.best_params("ridge", "medium")
    studies.keep(forced(card, {"alpha": 77.0}), request_id="found")
    proven, large = tuner.best_params("ridge", "medium"), tuner.best_params("ridge", "large")

    assert (untuned.origin, untuned.params) == ("defaults", {"alpha": 0.0})
    assert "was not tuned on medium data yet" in untuned.reason
    assert (doubted.origin, doubted.params) == ("defaults", {"alpha": 0.0})
    assert card.study_id in doubted.reason
    assert (proven.origin, proven.params, proven.study_id) == ("study", {"alpha": 77.0}, card.study_id)
    assert large.origin == "defaults"
    with pytest.raises(InvalidRequest, match="dataset_size must be one of small, medium, large"):
        tuner.best_params("ridge", "huge")


def test_several_families_are_tuned_after_each_other_and_one_that_cannot_be_is_named(tuner: MetaTunerAgent) -> None:
    order = TuneOrder("ridge", "NOISE", "1d", cv_folds=2, param_space=None)

    found = tuner.auto_tune(
        ("ridge", "ets"),
        ("random", "grid"),
        3,
        order,
        lambda own: Alone(tuner, own),
        request_id="auto",
        progress=silent,
    )

    assert (found.models_tuned, len(found.studies), found.failed) == (("ridge", "ets"), 4, ())
    assert found.overall_improvement == 0.0
    assert [card.model_type for card in tuner.history("ridge", 10)] == ["ridge", "ridge"]
    with pytest.raises(InvalidRequest, match="unknown model type"):
        tuner.auto_tune(
            ("ridge", "oracle"), ("random",), 3, order, lambda own: Alone(tuner, own), request_id="a2", progress=silent
        )


def test_hyperparameters_that_matter_are_found_where_the_defaults_are_bad(desk: Desk, tuner: MetaTunerAgent) -> None:
    """The defaults are made for markets where little can be known: fifty cautious trees say too little of one that mostly repeats itself."""
    desk.store.save(autoregressive(3_000, coefficient=0.8, symbol="STRONG"))

    card = tune(
        tuner, "xgboost", "STRONG", n_trials=5, cv_folds=3, optimization_method="random", prune=False,
        param_space={"learning_rate": Range(0.05, 0.2), "n_estimators": Range(60, 120), "min_child_weight": 20.0},
    )  # fmt: skip

    assert card.verdict == "better"
    assert card.default_score < card.best_score
    assert card.recommended_params["min_child_weight"] == 20.0
    assert card.p_value is not None
    assert card.p_value < 0.05
