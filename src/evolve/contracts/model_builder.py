"""What can the model builder be asked? To train a model on one symbol's bars, and about the models it has."""

from __future__ import annotations

from pydantic import Field

from evolve.cards import ModelCard
from evolve.market.types import Period, Symbol, Timeframe
from evolve.messaging.messages import Reply, Request

Hyperparameter = bool | int | float | str | None


class ModelBuilt(Reply):
    """A trained model and how it did out of sample. `found`: it existed already, by recipe and data."""

    model_info: ModelCard
    found: bool = False


class BuildModel(
    Request[ModelBuilt],
    slot="heavy",
    records=True,
    waits=900.0,
    positional=("model_type", "symbol", "timeframe", "features"),
):
    """Train one model on one symbol's bars, test it walk-forward, and register it.

    timeframe: null means the finest one with real bars. period: the stretch that answers show; training and evidence use
    all history. features: null or [] means the default set. horizon_bars: how far ahead it forecasts. rebuild: train even
    if the same recipe on the same bars is registered. simulate: use SIMULATED bars.
    """

    model_type: str = Field("lstm", min_length=1, max_length=64)
    symbol: Symbol = "BTCUSDT"
    timeframe: Timeframe | None = "1h"
    features: tuple[str, ...] | None = ()
    period: Period | None = None
    hyperparameters: dict[str, Hyperparameter] = Field(default_factory=dict)
    horizon_bars: int = Field(1, ge=1, le=63)  # the longest that a family forecasts; tested to agree
    seed: int = Field(0, ge=0, lt=2**31)
    rebuild: bool = False
    simulate: bool = False


class ModelsListed(Reply):
    models: tuple[ModelCard, ...]
    count: int


class ListModels(Request[ModelsListed], positional=("symbol", "timeframe")):
    """The registered models, newest first."""

    symbol: Symbol | None = None
    timeframe: Timeframe | None = None
    limit: int = Field(100, ge=1, le=10_000)


class ModelInfo(Reply):
    model_info: ModelCard


class GetModelInfo(Request[ModelInfo]):
    """One registered model."""

    model_id: str = Field(min_length=1, max_length=128)


class ModelDeleted(Reply):
    model_id: str


class DeleteModel(Request[ModelDeleted], records=True):
    """Take a model out of the registry; its history stays."""

    model_id: str = Field(min_length=1, max_length=128)
