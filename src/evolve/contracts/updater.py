"""What can the updater be asked? To train models anew, to watch them, and to replace one by another where the evidence is there."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from evolve.cards import AliasMove
from evolve.market.types import Period, Symbol, Timeframe
from evolve.messaging.messages import Reply, Request
from evolve.updates import AutoUpdated, BoardRow, DriftCard, Replaced, Retrained, Tuned, UpdateStep, Watch

RetrainType = Literal["incremental", "full"]
UpdateType = Literal["smart", "check", "retrain"]
OptimizationMethod = Literal["bayesian", "grid", "random"]


class ModelRetrained(Reply):
    result: Retrained


class RetrainModel(
    Request[ModelRetrained],
    slot="heavy",
    records=True,
    waits=900.0,
    positional=("model_id", "new_data_period", "retrain_type"),
):
    """Train a model's recipe again on all bars there are now; the new one replaces nothing until it has proved itself.

    incremental: past out-of-sample forecasts stay, and only one fit on all bars is made. full: everything is walked forward anew, by the
    model builder. new_data_period: the latest stretch over which the new and the old one are shown.
    """

    model_id: str = Field(min_length=1, max_length=128, examples=["ridge-AAPL-1d-32458ae9"])
    new_data_period: Period = "30d"
    retrain_type: RetrainType = "incremental"


class ModelTuned(Reply):
    result: Tuned


class TuneModel(
    Request[ModelTuned],
    slot="heavy",
    records=True,
    waits=3600.0,
    positional=("model_id", "tuning_params", "optimization_method"),
):
    """Search better hyperparameters for a model's family, build a model with them, and test it against the old one.

    tuning_params: `n_trials` and `cv_folds` for the meta tuner; what else is in it is the space to search, by hyperparameter.
    """

    model_id: str = Field(min_length=1, max_length=128, examples=["ridge-AAPL-1d-32458ae9"])
    tuning_params: dict[str, Any] = Field(default_factory=dict)
    optimization_method: OptimizationMethod = "bayesian"


class ModelReplaced(Reply):
    result: Replaced


class ReplaceModel(
    Request[ModelReplaced],
    slot="heavy",
    records=True,
    waits=300.0,
    positional=("old_model_id", "new_model_id", "reason"),
    effect="admin",
):
    """Put a model in charge in another's place, if the evidence says so; else `success` is false and the evidence is shown.

    force: put it in charge whatever the evidence says; that is recorded, and it is rolled back like any other that does worse.
    """

    old_model_id: str = Field(min_length=1, max_length=128, examples=["ridge-AAPL-1d-32458ae9"])
    new_model_id: str = Field(min_length=1, max_length=128, examples=["lstm-AAPL-1d-5d41402a"])
    reason: str = Field(default="performance_improvement", max_length=1000)
    force: bool = False


class UpdateHistory(Reply):
    """history: steps that a model had a part in, newest first."""

    history: tuple[UpdateStep, ...]
    model_id: str


class GetUpdateHistory(Request[UpdateHistory], positional=("model_id", "limit")):
    """What was done to a model and decided about it, each with its reason; also of models that are deleted."""

    model_id: str = Field(min_length=1, max_length=128, examples=["ridge-AAPL-1d-32458ae9"])
    limit: int = Field(default=10, ge=1, le=1000)


class AutoUpdateCompleted(Reply):
    result: AutoUpdated


class AutoUpdate(
    Request[AutoUpdateCompleted],
    slot="heavy",
    records=True,
    waits=900.0,
    positional=("symbol", "timeframe", "update_type"),
    effect="admin",
):
    """One round over the models of a symbol: roll back, promote, retire, look for drift, retrain, as the evidence asks.

    update_type: smart does what is due; check only looks; retrain trains the champion anew in any case. scheduled_for: the run of a
    watch's timetable that this is, in Unix seconds.
    """

    symbol: Symbol = "BTCUSDT"
    timeframe: Timeframe = "1h"
    update_type: UpdateType = "smart"
    scheduled_for: float | None = Field(default=None, ge=0)


class DriftChecked(Reply):
    drift: DriftCard


class CheckDrift(Request[DriftChecked], slot="heavy", waits=120.0, effect="read"):
    """Whether a model still meets the world it was tested in; changes nothing."""

    model_id: str = Field(min_length=1, max_length=128, examples=["ridge-AAPL-1d-32458ae9"])


class WatchStarted(Reply):
    watch: Watch


class StartWatch(Request[WatchStarted], records=True, positional=("model_id", "cron", "timezone"), effect="admin"):
    """Look after a model: put it in charge of its symbol if nobody is, and run `auto_update` by a timetable.

    cron: minute hour day month weekday, as in crontab(5). timezone: an IANA name. max_age_bars: it is trained anew when so many
    bars have come since it was trained, drift or not.
    """

    model_id: str = Field(min_length=1, max_length=128, examples=["ridge-AAPL-1d-32458ae9"])
    cron: str = Field(default="30 22 * * 1-5", min_length=9, max_length=120)
    timezone: str = Field(default="UTC", min_length=1, max_length=64)
    max_age_bars: int = Field(default=126, ge=21, le=100_000)


class WatchStopped(Reply):
    symbol: str
    timeframe: str


class StopWatch(Request[WatchStopped], records=True, positional=("symbol", "timeframe"), effect="admin"):
    """Look after a symbol no longer; its models stay as they are."""

    symbol: Symbol = Field(examples=["AAPL"])
    timeframe: Timeframe


class WatchBoard(Reply):
    """rows: one for each symbol and timeframe that has a champion, a challenger or a timetable."""

    rows: tuple[BoardRow, ...]


class GetWatchBoard(Request[WatchBoard], slot="heavy", waits=120.0, positional=("symbol", "timeframe"), effect="read"):
    """Champions and challengers: age, drift, last test, next run."""

    symbol: Symbol | None = None
    timeframe: Timeframe | None = None


class RolledBack(Reply):
    move: AliasMove


class RollBack(Request[RolledBack], records=True, positional=("symbol", "timeframe"), effect="admin"):
    """Put the champion before the present one in charge again, whatever the evidence says; recorded with its reason."""

    symbol: Symbol = Field(examples=["AAPL"])
    timeframe: Timeframe
    reason: str = Field(default="asked for", max_length=1000)
