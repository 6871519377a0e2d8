"""The updater: trains models anew, watches them, and replaces one by another only on evidence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evolve.cards import ModelCard
from evolve.contracts import request_class
from evolve.contracts.model_builder import BuildModel
from evolve.contracts.updater import (
    AutoUpdate,
    AutoUpdateCompleted,
    CheckDrift,
    DriftChecked,
    GetUpdateHistory,
    GetWatchBoard,
    ModelReplaced,
    ModelRetrained,
    ModelTuned,
    ReplaceModel,
    RetrainModel,
    RollBack,
    RolledBack,
    StartWatch,
    StopWatch,
    TuneModel,
    UpdateHistory,
    WatchBoard,
    WatchStarted,
    WatchStopped,
)
from evolve.errors import EvolveError, Interrupted, JobDied
from evolve.messaging.messages import Reply, Request, validated
from evolve.messaging.service import Job, handles
from evolve.services.alert_keeper import AlertKeeper
from evolve.services.base import BaseService, Facts
from evolve.services.timekeeper import Timekeeper
from evolve.settings import Settings

if TYPE_CHECKING:
    from evolve.agents.model_builder import BuildOrder
    from evolve.agents.updater_desk import Tuning, TuningOrder


class UpdaterService(BaseService):
    name = "updater"
    preload = ("evolve.agents.updater",)

    @classmethod
    @contextlib.contextmanager
    def beside(cls, settings: Settings) -> Iterator[Settings]:
        """What sends the rounds of the timetable and the alerts, as long as this replica serves."""
        keepers = (Timekeeper(settings), AlertKeeper(settings))
        for keeper in keepers:
            keeper.start()
        try:
            yield settings
        finally:
            for keeper in keepers:
                keeper.stop()

    def setup(self) -> None:
        from evolve.agents.updater import UpdaterAgent

        self.agent = UpdaterAgent.from_settings(self.settings)

    @handles
    def retrain_model(self, request: RetrainModel, job: Job) -> ModelRetrained:
        result = self.agent.retrain(
            request.model_id, period=request.new_data_period, retrain_type=request.retrain_type,
            desk=_Desk(job), request_id=job.request_id,
        )  # fmt: skip
        return ModelRetrained(result=result)

    @handles
    def tune_model(self, request: TuneModel, job: Job) -> ModelTuned:
        result = self.agent.tune(
            request.model_id, params=request.tuning_params, method=request.optimization_method,
            desk=_Desk(job), request_id=job.request_id,
        )  # fmt: skip
        return ModelTuned(result=result)

    @handles
    def replace_model(self, request: ReplaceModel, job: Job) -> ModelReplaced:
        result = self.agent.replace(
            request.old_model_id, request.new_model_id, reason=request.reason, force=request.force,
            desk=_Desk(job), request_id=job.request_id,
        )  # fmt: skip
        return ModelReplaced(result=result)

    @handles
    def get_update_history(self, request: GetUpdateHistory, job: Job) -> UpdateHistory:
        return UpdateHistory(history=self.agent.history(request.model_id, request.limit), model_id=request.model_id)

    @handles
    def auto_update(self, request: AutoUpdate, job: Job) -> AutoUpdateCompleted:
        try:
            result = self.agent.auto_update(
                request.symbol, request.timeframe, update_type=request.update_type, desk=_Desk(job), request_id=job.request_id
            )  # fmt: skip
        except EvolveError as error:
            # A round that could not be carried out is over; one that was broken off is run again by another replica.
            if not isinstance(error, Interrupted | JobDied):
                self.agent.finish_round(request.symbol, request.timeframe, request.scheduled_for, error.message)
            raise
        self.agent.finish_round(request.symbol, request.timeframe, request.scheduled_for, result.reason)
        return AutoUpdateCompleted(result=result)

    @handles
    def check_drift(self, request: CheckDrift, job: Job) -> DriftChecked:
        return DriftChecked(drift=self.agent.drift(request.model_id, progress=job.progress))

    @handles
    def start_watch(self, request: StartWatch, job: Job) -> WatchStarted:
        watch = self.agent.watch(
            request.model_id, cron=request.cron, timezone=request.timezone, max_age_bars=request.max_age_bars,
            request_id=job.request_id,
        )  # fmt: skip
        return WatchStarted(watch=watch)

    @handles
    def stop_watch(self, request: StopWatch, job: Job) -> WatchStopped:
        self.agent.unwatch(request.symbol, request.timeframe)
        return WatchStopped(symbol=request.symbol, timeframe=request.timeframe)

    @handles
    def get_watch_board(self, request: GetWatchBoard, job: Job) -> WatchBoard:
        return WatchBoard(rows=self.agent.board(request.symbol, request.timeframe, progress=job.progress))

    @handles
    def roll_back(self, request: RollBack, job: Job) -> RolledBack:
        move = self.agent.roll_back(request.symbol, request.timeframe, reason=request.reason, request_id=job.request_id)
        return RolledBack(move=move)

    def facts(self, request: Request[Any], outcome: Reply | EvolveError) -> Facts:
        if isinstance(outcome, WatchStarted):
            return Facts((outcome.watch.symbol,))
        return super().facts(request, outcome)


class _Desk:
    """The model builder and the meta tuner as the agent knows them; how they are asked stays here."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def build(self, order: BuildOrder) -> ModelCard:
        request = BuildModel(
            model_type=order.model_type, symbol=order.symbol, timeframe=order.timeframe, features=order.features,
            hyperparameters=dict(order.hyperparameters or {}), horizon_bars=order.horizon_bars, seed=order.seed,
            simulate=order.simulate,
        )  # fmt: skip
        return self._job.ask(request).model_info

    def tune(self, order: TuningOrder) -> Tuning:
        """Raises Unavailable naming the meta tuner where nobody answers."""
        from evolve.agents.updater_desk import Tuning

        cls = request_class("meta_tuner", "tune_hyperparameters")
        like = order.like
        given = {
            "model_type": like.model_type, "symbol": like.symbol, "timeframe": like.timeframe, "features": like.features,
            "horizon_bars": like.horizon_bars, "seed": like.seed, "simulate": order.simulated, "optimization_method": order.method,
            "param_space": dict(order.param_space), "n_trials": order.n_trials, "cv_folds": order.cv_folds,
        }  # fmt: skip
        # Beyond the contract's fields a tuner takes what it takes.
        taken = {name: value for name, value in given.items() if value is not None and name in cls.model_fields}
        found: Any = self._job.ask(validated(cls, taken))
        result = found.result
        recommended = getattr(result, "recommended_params", result.best_params)
        return Tuning(result.best_params, recommended, result.best_score, getattr(result, "improvement", None))

    def progress(self, stage: str, done: int, total: int, message: str) -> None:
        self._job.progress(stage, done, total, message)
