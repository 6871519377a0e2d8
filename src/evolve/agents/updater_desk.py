"""What may the updater ask of the other services? One method each, so that it never knows how a question travels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from evolve.agents.model_builder import BuildOrder
from evolve.cards import ModelCard, Recipe
from evolve.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class TuningOrder:
    """What the meta tuner is asked: see its `tune_hyperparameters`. like: the recipe whose features, horizon and seed it keeps."""

    like: Recipe
    simulated: bool
    method: str
    param_space: Mapping[str, Any]
    n_trials: int | None
    cv_folds: int | None


@dataclass(frozen=True, slots=True)
class Tuning:
    """What it found. best_params scored highest; recommended_params are those to build with, the defaults where nothing was shown to be
    better; improvement: of the score over the defaults, None if it does not say."""

    best_params: Mapping[str, Any]
    recommended_params: Mapping[str, Any]
    best_score: float | None
    improvement: float | None


class UpdaterDesk(Protocol):
    """How the updater asks the other services. Each method raises their typed errors."""

    def build(self, order: BuildOrder) -> ModelCard: ...
    def tune(self, order: TuningOrder) -> Tuning: ...
    def progress(self, stage: str, done: int, total: int, message: str) -> None: ...


def build_order(card: ModelCard, hyperparameters: dict[str, Any] | None = None) -> BuildOrder:
    recipe = card.recipe
    return BuildOrder(
        recipe.model_type, recipe.symbol, recipe.timeframe, recipe.features,
        recipe.hyperparameters if hyperparameters is None else {**recipe.hyperparameters, **hyperparameters},
        recipe.horizon_bars, recipe.seed, simulate=card.data.simulated,
    )  # fmt: skip


def tuning_order(card: ModelCard, params: Mapping[str, Any], method: str) -> TuningOrder:
    space = {name: value for name, value in params.items() if name not in ("n_trials", "cv_folds", "param_space")}
    given = params.get("param_space", {})
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"tuning_params: param_space must be an object, not {given!r}")
    counts = {name: params.get(name) for name in ("n_trials", "cv_folds")}
    for name, count in counts.items():
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
            raise InvalidRequest(f"tuning_params: {name} must be a whole number of at least 1, not {count!r}")
    return TuningOrder(
        card.recipe, card.data.simulated, method, {**space, **given}, counts["n_trials"], counts["cv_folds"]
    )
