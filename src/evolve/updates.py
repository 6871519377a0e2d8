"""What became of a model after it was built? Plain values that replies, the decision log and the board of watched models share.

All are frozen dataclasses that survive JSON. Times are ISO 8601, UTC. Every figure is an `Evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from evolve.evidence import Evidence

DriftState = Literal["steady", "drift", "too_early"]
StepKind = Literal[
    "adopted", "looked", "drifted", "retrained", "tuned", "tested", "challenged", "promoted", "retired", "refused", "rolled_back"
]  # fmt: skip
TestKind = Literal["refresh", "new_recipe", "rollback"]
TestStage = Literal["history", "shadow", "after_promotion"]


@dataclass(frozen=True, slots=True)
class DriftCard:
    """Does a model still meet the world it was tested in? live_bars: outcomes known since it was trained.

    alarms: what says that it does not: `losses`, `gain`, `coverage`. features: whose values left the range of the training part; they
    raise no alarm by themselves, for a feature may move and still mean the same. figures: every statistic, with its limit in `note`.
    """

    model_id: str
    symbol: str
    timeframe: str
    state: DriftState
    reason: str
    live_bars: int
    alarms: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    figures: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a champion stands after a round. position: decided at the close of the last bar, as a fraction of equity, −1 … 1.

    as_of: that bar; drift: None where the round did not get so far as to look.
    """

    model_id: str
    symbol: str
    timeframe: str
    position: float
    as_of: str
    simulated: bool
    drift: DriftState | None = None
    drift_reason: str = ""


@dataclass(frozen=True, slots=True)
class ModelTest:
    """One model put to the proof against another. passed: the evidence lets `challenger` take the place of `champion`.

    decided: False while bars are still awaited. bars: compared so far; needed: for the next look; symbols: pooled in it.
    """

    champion: str
    challenger: str
    kind: TestKind
    stage: TestStage
    passed: bool
    decided: bool
    reason: str
    bars: int
    needed: int
    symbols: tuple[str, ...]
    figures: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class UpdateStep:
    """Something that was done to a model, or decided about it, and why in one sentence. other: the second model in it."""

    kind: StepKind
    model_id: str
    other: str | None
    symbol: str
    timeframe: str
    reason: str
    at: str = ""
    forced: bool = False
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Retrained:
    """A model trained anew. model_id: the new one (the old one where there was nothing new to learn).

    new_performance, old_performance: out of sample over the latest `new_data_period`, net of costs. challenger: whether it now runs in
    the shadow of the champion, which is the old one.
    """

    success: bool
    model_id: str
    old_model_id: str
    retrain_type: str
    reason: str
    new_bars: int
    data_to: str
    new_performance: dict[str, Evidence]
    old_performance: dict[str, Evidence]
    challenger: bool = False
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Tuned:
    """A model whose hyperparameters were searched. improvement: of the tuner's cross-validated score over the defaults, None if unknown.

    model_id: the model built with the best parameters; test: that model against the old one.
    """

    success: bool
    model_id: str
    old_model_id: str
    optimization_method: str
    best_params: dict[str, Any]
    improvement: float | None
    best_score: float | None
    reason: str
    test: ModelTest | None = None


@dataclass(frozen=True, slots=True)
class Replaced:
    """Whether a model took another's place. champion: who is in charge now."""

    success: bool
    old_model_id: str
    new_model_id: str
    champion: str | None
    forced: bool
    reason: str
    test: ModelTest | None = None


@dataclass(frozen=True, slots=True)
class AutoUpdated:
    """One round over a symbol and timeframe: what was looked at, and what was done.

    overall_improvement: share of the variance of returns (R²) by which what was promoted beat what it replaced; None if nothing was.
    """

    success: bool
    symbol: str
    timeframe: str
    update_type: str
    models_updated: tuple[str, ...]
    models_replaced: tuple[str, ...]
    overall_improvement: float | None
    reason: str
    champion: str | None
    challenger: str | None
    steps: tuple[UpdateStep, ...] = ()
    drift: DriftCard | None = None
    test: ModelTest | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """A symbol and timeframe that is looked after. cron: when, in `timezone`; next_run, last_run: ISO 8601 UTC, empty if never."""

    symbol: str
    timeframe: str
    simulate: bool
    cron: str
    timezone: str
    max_age_bars: int
    next_run: str
    last_run: str = ""
    last_result: str = ""


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One line of the board: who is in charge, since when, how it does, and what comes next."""

    symbol: str
    timeframe: str
    champion: str | None
    challenger: str | None
    trained_to: str
    age_bars: int | None
    in_charge_since: str
    drift: DriftCard | None
    test: ModelTest | None
    watch: Watch | None
    simulated: bool = False
    note: str = ""
    figures: tuple[Evidence, ...] = field(default=())
