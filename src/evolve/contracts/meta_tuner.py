"""What can the meta tuner be asked? To search a family's hyperparameters on one symbol's training part, and what searches found."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from evolve.market.types import Symbol, Timeframe
from evolve.messaging.messages import Reply, Request
from evolve.tunings import AutoTuning, TrialCard, TuningCard

ModelType = Annotated[str, Field(min_length=1, max_length=64, examples=["ridge"])]
MAX_TRIALS = 10_000
MAX_VALUES = 1_000
# Searches last for hours, and what is tried is kept: they outlive more replicas than a request of seconds need.
DEATHS = 5


class ParamRange(BaseModel):
    """From low to high, inclusive. log: steps are ratios; null: as the family declares."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: float
    high: float
    log: bool | None = None


Value = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str
ParamSpace = dict[str, ParamRange | Annotated[tuple[Value, ...], Field(max_length=MAX_VALUES)] | Value]


def _no_space(value: object) -> object:
    return {} if value is None else value


class HyperparametersTuned(Reply):
    """`result.best_params` scored highest; `result.recommended_params` are those that a build uses now: the defaults, unless
    `result.verdict` is "better"."""

    result: TuningCard


class TuneHyperparameters(
    Request[HyperparametersTuned],
    slot="heavy",
    records=True,
    waits=3600.0,
    retries=DEATHS,
    positional=("model_type", "param_space", "optimization_method", "n_trials"),
):
    """Search a family's hyperparameters by purged walk-forward inside the training part, never on the bars a model is tested on.

    param_space: {} searches all that the family declares; else the named ones: a list of values, {low, high, log}, or one value to
    settle it. optimization_method: bayesian, grid or random. n_trials: at most so many. timeframe: null means the finest one with real
    bars. stop_early: end when nothing was gained beyond noise. prune: give up trials that are surely worse than the best.
    workers: how many trials at once; 0: as configured (EVOLVE_META_TUNER_WORKERS).
    """

    model_type: ModelType
    param_space: Annotated[ParamSpace, BeforeValidator(_no_space)] = Field(default_factory=dict)
    optimization_method: str = Field(default="bayesian", max_length=64)
    n_trials: int = Field(default=50, ge=1, le=MAX_TRIALS)
    cv_folds: int = Field(default=5, ge=2, le=20)
    symbol: Symbol = "BTCUSDT"
    timeframe: Timeframe | None = "1h"
    features: tuple[str, ...] = ()
    horizon_bars: int = Field(default=1, ge=1, le=63)
    seed: int = Field(default=0, ge=0, lt=2**31)
    simulate: bool = False
    stop_early: bool = True
    prune: bool = True
    workers: int = Field(default=0, ge=0, le=64)


class StudyWorkedOn(Reply):
    """finished: how many trials this worker finished."""

    study_id: str
    finished: int


class WorkOnStudy(
    Request[StudyWorkedOn], slot="heavy", waits=3600.0, retries=DEATHS, positional=("study_id", "worker")
):
    """Try trials of a study until none is left. Asked by the replica that tunes, of all of them; by hand it helps a running study."""

    study_id: str = Field(min_length=1, max_length=64, examples=["study-1f0c"])
    worker: str = Field(min_length=1, max_length=256, examples=["by hand"])


class TuningHistory(Reply):
    history: tuple[TuningCard, ...]
    model_type: str


class GetTuningHistory(Request[TuningHistory], positional=("model_type", "limit")):
    """What studies of a family found, newest first."""

    model_type: ModelType
    limit: int = Field(default=10, ge=1, le=1000)


class BestHyperparameters(Reply):
    """best_params: the hyperparameters to use. origin: `study` or `defaults`; reason says why, study_id which."""

    best_params: dict[str, Any]
    model_type: str
    dataset_size: str
    origin: str
    reason: str
    study_id: str | None = None
    score: float | None = None
    symbol: str | None = None
    timeframe: str | None = None


class GetBestParams(Request[BestHyperparameters], positional=("model_type", "dataset_size")):
    """The hyperparameters to use for a family on a history of that size: small (below 1,000 bars), medium, large (from 5,000)."""

    model_type: ModelType
    dataset_size: str = Field(default="medium", max_length=64)


class AutoTuneCompleted(Reply):
    result: AutoTuning


class AutoTune(
    Request[AutoTuneCompleted],
    slot="heavy",
    records=True,
    waits=7200.0,
    retries=DEATHS,
    positional=("model_types", "optimization_methods", "max_trials_per_model"),
):
    """Tune several families one after the other, as `tune_hyperparameters` does each."""

    model_types: tuple[ModelType, ...] = Field(default=("lstm", "xgboost"), min_length=1, max_length=32)
    optimization_methods: tuple[str, ...] = Field(default=("bayesian",), min_length=1, max_length=3)
    max_trials_per_model: int = Field(default=30, ge=1, le=MAX_TRIALS)
    cv_folds: int = Field(default=5, ge=2, le=20)
    symbol: Symbol = "BTCUSDT"
    timeframe: Timeframe | None = "1h"
    horizon_bars: int = Field(default=1, ge=1, le=63)
    seed: int = Field(default=0, ge=0, lt=2**31)
    simulate: bool = False
    workers: int = Field(default=0, ge=0, le=64)


class StudyTrials(Reply):
    """Every trial of a study, by number."""

    study_id: str
    trials: tuple[TrialCard, ...]
    count: int


class GetStudyTrials(Request[StudyTrials]):
    """The trials of one study: what each tried and scored, fold by fold."""

    study_id: str = Field(min_length=1, max_length=64, examples=["study-1f0c"])
