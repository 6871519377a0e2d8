"""The meta tuner: searches hyperparameters on the training part, several replicas at one study, and says what is more than luck."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from evolve.contracts.meta_tuner import (
    AutoTune,
    AutoTuneCompleted,
    BestHyperparameters,
    GetBestParams,
    GetStudyTrials,
    GetTuningHistory,
    HyperparametersTuned,
    ParamRange,
    ParamSpace,
    StudyTrials,
    StudyWorkedOn,
    TuneHyperparameters,
    TuningHistory,
    WorkOnStudy,
)
from evolve.errors import EvolveError, JobDied
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, handles
from evolve.services.base import BaseService, Facts

if TYPE_CHECKING:
    from evolve.agents.meta_tuner import Crew, MetaTunerAgent
    from evolve.agents.tuning_work import Progress
    from evolve.forecasting.tuning.space import Wanted

# Without a word from the operator: more at once learn less from each other, and a study of fifty trials gains little from more.
MOST_WORKERS = 4
FRUITLESS_ROUNDS = 3


class MetaTunerService(BaseService):
    name = "meta_tuner"
    preload = ("evolve.agents.meta_tuner", "optuna", "optuna.samplers")

    def setup(self) -> None:
        from evolve.agents.meta_tuner import MetaTunerAgent

        self.agent = MetaTunerAgent.from_settings(self.settings)

    @handles
    def tune_hyperparameters(self, request: TuneHyperparameters, job: Job) -> HyperparametersTuned:
        from evolve.agents.meta_tuner import TuneOrder

        order = TuneOrder(
            request.model_type, request.symbol, request.timeframe, wanted_of(request.param_space), request.optimization_method,
            request.n_trials, request.cv_folds, request.features, request.horizon_bars, request.seed, request.simulate,
            request.stop_early, request.prune,
        )  # fmt: skip
        crew = self._crew(job, job.request_id, request.workers)
        return HyperparametersTuned(
            result=self.agent.tune(order, crew, request_id=job.request_id, progress=job.progress)
        )

    @handles
    def work_on_study(self, request: WorkOnStudy, job: Job) -> StudyWorkedOn:
        finished = self.agent.work(request.study_id, request.worker, progress=job.progress)
        return StudyWorkedOn(study_id=request.study_id, finished=finished)

    @handles
    def auto_tune(self, request: AutoTune, job: Job) -> AutoTuneCompleted:
        from evolve.agents.meta_tuner import TuneOrder

        order = TuneOrder(
            request.model_types[0], request.symbol, request.timeframe, cv_folds=request.cv_folds, horizon_bars=request.horizon_bars,
            seed=request.seed, simulate=request.simulate,
        )  # fmt: skip
        result = self.agent.auto_tune(
            request.model_types, request.optimization_methods, request.max_trials_per_model, order,
            lambda own: self._crew(job, own, request.workers), request_id=job.request_id, progress=job.progress,
        )  # fmt: skip
        return AutoTuneCompleted(result=result)

    @handles
    def get_tuning_history(self, request: GetTuningHistory, job: Job) -> TuningHistory:
        return TuningHistory(
            history=self.agent.history(request.model_type, request.limit), model_type=request.model_type
        )

    @handles
    def get_best_params(self, request: GetBestParams, job: Job) -> BestHyperparameters:
        best = self.agent.best_params(request.model_type, request.dataset_size)
        return BestHyperparameters(
            best_params=best.params, model_type=request.model_type, dataset_size=request.dataset_size, origin=best.origin,
            reason=best.reason, study_id=best.study_id, score=best.score, symbol=best.symbol, timeframe=best.timeframe,
        )  # fmt: skip

    @handles
    def get_study_trials(self, request: GetStudyTrials, job: Job) -> StudyTrials:
        trials = self.agent.trials(request.study_id)
        return StudyTrials(study_id=request.study_id, trials=trials, count=len(trials))

    def _crew(self, job: Job, name: str, workers: int) -> Crew:
        from evolve.agents.meta_tuner import Alone

        configured = self.settings.service(self.name, "workers", min(os.cpu_count() or 1, MOST_WORKERS), at_least=1)
        workers = workers or configured
        return Alone(self.agent, name) if workers == 1 else BusCrew(job, self.agent, name, workers)

    def facts(self, request: Request[Any], outcome: Reply | EvolveError) -> Facts:
        if isinstance(outcome, HyperparametersTuned):
            card = outcome.result
            return Facts((card.symbol,), card.data.fingerprint, card.seed)
        return super().facts(request, outcome)


class BusCrew:
    """Workers of a study are requests like any other: whichever replica has room takes one, and takes over from one that died."""

    def __init__(self, job: Job, agent: MetaTunerAgent, name: str, workers: int) -> None:
        self._job, self._agent, self._name, self.workers = job, agent, name, workers

    def work(self, study_id: str, progress: Progress) -> None:
        """Raises JobDied when workers die again and again without a trial finished between, else what a worker raised."""
        finished, round_, fruitless = self._agent.release_all(study_id, but=f"{self._name}/"), 0, 0
        while True:
            # The same names when this runs again after a crash: the workers' requests are then found, not sent twice.
            asked = [
                WorkOnStudy(study_id=study_id, worker=f"{self._name}/{round_}.{number}")
                for number in range(self.workers)
            ]
            problems = [each for each in self._job.ask_all(asked) if isinstance(each, BaseException)]
            for problem in problems:
                if not isinstance(problem, JobDied):
                    raise problem
            # A worker whose process died was given up by the bus; so was one that waited too long for another's trial.
            before, finished = finished, self._agent.release_all(study_id)
            if self._agent.is_over(study_id):
                return
            fruitless = fruitless + 1 if problems and finished == before else 0
            if fruitless == FRUITLESS_ROUNDS:
                raise problems[0]
            round_ += 1


def wanted_of(space: ParamSpace) -> dict[str, Wanted]:
    """A param_space in the words of the library."""
    from evolve.forecasting.tuning.space import Range

    return {
        name: Range(wanted.low, wanted.high, wanted.log) if isinstance(wanted, ParamRange) else wanted
        for name, wanted in space.items()
    }
