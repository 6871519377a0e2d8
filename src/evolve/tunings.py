"""What is known about a tuning study? Plain values that the study's workers, its stored rows, replies, charts and pages share.

A study searches one family's hyperparameters on the training part of one symbol's bars. All values survive JSON. Scores are R²
against no change, larger is better; times are ISO 8601, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from evolve.cards import DataCard
from evolve.evidence import Evidence

Method = Literal["bayesian", "grid", "random"]
SamplerName = Literal["gp", "tpe", "grid", "random"]
TrialState = Literal["waiting", "running", "complete", "pruned", "failed"]
DatasetSize = Literal["small", "medium", "large"]
TunedVerdict = Literal["better", "defaults_as_good"]

FINISHED: tuple[TrialState, ...] = ("complete", "pruned", "failed")
# Bars of history: below a thousand daily bars are four years, above five thousand are twenty.
SMALL_BELOW_BARS, LARGE_FROM_BARS = 1_000, 5_000


def dataset_size(bars: int) -> DatasetSize:
    """The size class of a history of so many bars."""
    return "small" if bars < SMALL_BELOW_BARS else "medium" if bars < LARGE_FROM_BARS else "large"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One hyperparameter that is searched: a range (low to high, inclusive) or a list of choices."""

    name: str
    kind: Literal["int", "float", "choice"]
    low: float = 0.0
    high: float = 0.0
    scale: Literal["linear", "log"] = "linear"
    choices: tuple[float | str, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """Everything that determines a study's trials but how many there are. Equal plans are one study.

    settled: hyperparameters that are not searched; defaults: the family's own, whole. train_bars: the bars of the training part,
    which is all that a trial sees; the evaluation of a model built on `data` starts after them. lag: trial n is chosen knowing
    the outcomes of trials up to n − lag, however fast the workers are, so that a study repeats itself. grid_points: of a grid, 0 for other methods.
    """

    model_type: str
    symbol: str
    timeframe: str
    simulated: bool
    fingerprint: str
    features: tuple[str, ...]
    horizon_bars: int
    seed: int
    method: Method
    sampler: SamplerName
    dimensions: tuple[Dimension, ...]
    settled: dict[str, Any]
    defaults: dict[str, Any]
    folds: int
    first_fold_bars: int
    train_bars: int
    train_last: str
    history_bars: int
    lag: int
    stop_early: bool
    prune: bool
    grid_points: int
    code_version: str


@dataclass(frozen=True, slots=True)
class TrialCard:
    """One trial. score: None unless complete; folds: the score after each fold; runs: how often it was begun (a worker died)."""

    number: int
    state: TrialState
    params: dict[str, Any]
    score: float | None
    folds: tuple[float, ...] = ()
    seconds: float | None = None
    runs: int = 1
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TuningCard:
    """What a study found. best_params: of the complete trial with the highest score; recommended_params: what a build uses now.

    They differ where the improvement over the defaults (trial 0) is within noise: verdict "defaults_as_good" and recommended are the
    defaults. p_value: of "no candidate beats the defaults", corrected for having tried them all; None where it cannot be computed.
    """

    study_id: str
    model_type: str
    symbol: str
    timeframe: str
    optimization_method: str
    sampler: str
    best_score: float
    best_params: dict[str, Any]
    best_trial: int
    default_score: float
    improvement: float
    p_value: float | None
    verdict: TunedVerdict
    recommended_params: dict[str, Any]
    reason: str
    n_trials: int
    complete: int
    pruned: int
    failed: int
    stopped_early: str
    cv_folds: int
    horizon_bars: int
    features: tuple[str, ...]
    train_bars: int
    train_last: str
    dataset_size: DatasetSize
    importance: dict[str, float]
    data: DataCard
    figures: tuple[Evidence, ...]
    top: tuple[TrialCard, ...]
    warm_started_from: tuple[str, ...]
    notes: tuple[str, ...]
    seed: int
    created_at: str
    finished_at: str
    seconds: float
    found: bool = False

    def by_importance(self) -> list[tuple[str, float]]:
        """Hyperparameters and their share of the scores' variance, largest first."""
        return sorted(self.importance.items(), key=lambda item: (-item[1], item[0]))


@dataclass(frozen=True, slots=True)
class TunedParams:
    """Hyperparameters to use, and why. origin "study": one found them better than the defaults; "defaults": none did."""

    params: dict[str, Any]
    origin: Literal["study", "defaults"]
    reason: str
    study_id: str | None = None
    score: float | None = None
    symbol: str | None = None
    timeframe: str | None = None


@dataclass(frozen=True, slots=True)
class AutoTuning:
    """Several studies after each other. models_tuned: families for which a study ended; overall_improvement: mean R² gained by
    the recommended parameters over the defaults; failed: families for which none did, and why."""

    success: bool
    models_tuned: tuple[str, ...]
    overall_improvement: float
    better: tuple[str, ...]
    studies: tuple[TuningCard, ...]
    failed: tuple[dict[str, str], ...] = ()
