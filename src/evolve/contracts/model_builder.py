"""What can the model builder be asked? To train a model on one symbol's bars, and about the models it has."""

from __future__ import annotations

from pydantic import Field

from evolve.cards import AliasMove, AliasName, ModelCard
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
    if the same recipe on the same bars is registered. simulate: use SIMULATED bars. tuned: with no hyperparameters given, use those
    that a study of this family, symbol and timeframe found better than the defaults; `model_info.hyperparameters_from` says so.
    """

    model_type: str = Field(default="lstm", min_length=1, max_length=64)
    symbol: Symbol = "BTCUSDT"
    timeframe: Timeframe | None = "1h"
    features: tuple[str, ...] | None = ()
    period: Period | None = None
    hyperparameters: dict[str, Hyperparameter] = Field(default_factory=dict)
    horizon_bars: int = Field(default=1, ge=1, le=63)  # the longest that a family forecasts; tested to agree
    seed: int = Field(default=0, ge=0, lt=2**31)
    rebuild: bool = False
    simulate: bool = False
    tuned: bool = True


class ModelsListed(Reply):
    models: tuple[ModelCard, ...]
    count: int


class ListModels(Request[ModelsListed], positional=("symbol", "timeframe")):
    """The registered models, newest first."""

    symbol: Symbol | None = None
    timeframe: Timeframe | None = None
    limit: int = Field(default=100, ge=1, le=10_000)


class ModelInfo(Reply):
    """One model. document: its card as a page in Markdown."""

    model_info: ModelCard
    document: str = ""


class GetModelInfo(Request[ModelInfo]):
    """One registered model."""

    model_id: str = Field(min_length=1, max_length=128, examples=["ridge-AAPL-1d-32458ae9"])


class ModelDeleted(Reply):
    model_id: str


class DeleteModel(Request[ModelDeleted], records=True, effect="admin"):
    """Take a model out of the registry; its history stays. Refused while it is a champion."""

    model_id: str = Field(min_length=1, max_length=128, examples=["ridge-AAPL-1d-32458ae9"])


class AliasMoved(Reply):
    move: AliasMove


class MoveAlias(Request[AliasMoved], records=True, effect="admin"):
    """Make a model champion or challenger of its symbol and timeframe.

    expected: the model that holds the alias now, null for nobody; refused when another one does. model_id null sets it free.
    """

    alias: AliasName
    model_id: str | None = Field(max_length=128, examples=["ridge-AAPL-1d-32458ae9"])
    symbol: Symbol = Field(examples=["AAPL"])
    timeframe: Timeframe
    expected: str | None = Field(default=None, max_length=128)
    reason: str = Field(default="", max_length=1000)


class AliasesListed(Reply):
    """current: who holds which alias; history: every move, newest first."""

    current: tuple[AliasMove, ...]
    history: tuple[AliasMove, ...]


class ListAliases(Request[AliasesListed], positional=("symbol", "timeframe")):
    """Champions and challengers, and how they came to be."""

    symbol: Symbol | None = None
    timeframe: Timeframe | None = None
    limit: int = Field(default=100, ge=1, le=10_000)


class ModelExported(Reply):
    """bundle: the whole model as one file, base64; sha256: of that file."""

    model_id: str
    bundle: str
    sha256: str


class ExportModel(Request[ModelExported]):
    """A registered model as one file that another home can import."""

    model_id: str = Field(min_length=1, max_length=128, examples=["ridge-AAPL-1d-32458ae9"])


class ModelImported(Reply):
    model_info: ModelCard


class ImportModel(Request[ModelImported], records=True, effect="admin"):
    """Register a model that was exported elsewhere. A file that was changed, or is none of ours, is refused."""

    bundle: str = Field(min_length=1, examples=["what export_model gave as `bundle`"])
