"""Train a model, test it on bars it has not seen, remember where it came from."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from evolve.agents.figures import figures
from evolve.agents.outlook import outlook
from evolve.agents.track_record import (
    FOLDS,
    RESAMPLING_SEED,
    arrays_of,
    first_train_bars,
    forecast_out_of_sample,
    record_of_forecasts,
    trials_of,
    usable_history,
)
from evolve.agents.tuned import ChosenParams, settings_of_build
from evolve.cards import AliasMove, AliasName, DataCard, ModelCard, Recipe
from evolve.clock import SYSTEM_CLOCK, Clock, iso
from evolve.errors import InvalidRequest
from evolve.evidence import EvidenceBook
from evolve.forecasting.base import HyperValue, check_horizon, forecaster, unpack
from evolve.forecasting.features import resolve, usable
from evolve.forecasting.training import Hardware, trained_on
from evolve.market.bars import Bars
from evolve.market.calendar import default_costs
from evolve.market.catalog import Catalog, data_card
from evolve.market.store import BarStore
from evolve.memory.aliases import Aliases
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.bundle import read_bundle
from evolve.memory.canonical import recipe_hash
from evolve.memory.database import Database
from evolve.memory.registry import Registry, model_id_of
from evolve.memory.studies import Studies
from evolve.memory.trials import TrialLedger
from evolve.settings import Settings
from evolve.version import code_version, library_versions

Progress = Callable[[str, int, int, str], None]
CARD_METRICS = ("skill_r2", "relative_mae", "dm_p_value", "skill_p_value", "direction", "band_coverage", "sharpe", "total_return", "drawdown", "exposure")  # fmt: skip


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """What to build. timeframe None: the finest with real bars; features empty: the default set; tuned: where no hyperparameter is
    given, use what a study found better than the defaults."""

    model_type: str
    symbol: str
    timeframe: str | None
    features: tuple[str, ...] = ()
    hyperparameters: Mapping[str, object] | None = None
    horizon_bars: int = 1
    seed: int = 0
    rebuild: bool = False
    simulate: bool = False
    tuned: bool = True


@dataclass(frozen=True, slots=True)
class Built:
    card: ModelCard
    found: bool


class ModelBuilderAgent:
    def __init__(
        self,
        catalog: Catalog,
        registry: Registry,
        ledger: TrialLedger,
        aliases: Aliases,
        studies: Studies,
        *,
        clock: Clock = SYSTEM_CLOCK,
        workers: int = 1,
        default_simulate: bool = False,
        hardware: Hardware | None = None,
    ) -> None:
        self._catalog = catalog
        self._registry = registry
        self._ledger = ledger
        self._aliases = aliases
        self._studies = studies
        self._clock = clock
        self._workers = workers
        self._simulate = default_simulate
        self._hardware = hardware or Hardware()

    @classmethod
    def from_settings(cls, settings: Settings) -> ModelBuilderAgent:
        database = Database.open(settings)
        return cls(
            Catalog(BarStore.open(settings)),
            Registry(database, ArtifactStore.open(settings)),
            TrialLedger(database),
            Aliases(database),
            Studies(database),
            workers=settings.service("model_builder", "workers", 1),
            default_simulate=settings.simulate,
            hardware=Hardware(settings.training_device, settings.training_precision, settings.training_threads),
        )

    def build(self, order: BuildOrder, *, request_id: str, progress: Progress) -> Built:
        """The model of this order, trained and tested now unless the same recipe on the same bars is registered.

        Raises InvalidRequest (model type, features, hyperparameters), UnknownSymbol, DataUnavailable, MissingExtra.
        """
        family = forecaster(order.model_type)
        given = cast("Mapping[str, HyperValue] | None", order.hyperparameters)
        family.settings(given)
        resolve(order.features)
        check_horizon(order.horizon_bars)
        progress("data", 0, 1, f"loading bars of {order.symbol}")
        bars, shortened = usable_history(
            self._catalog.load(order.symbol, order.timeframe, simulate=order.simulate or self._simulate)
        )
        progress("data", 1, 1, f"{len(bars):,} bars of {bars.symbol} at {bars.timeframe}, to {bars.date(-1)}")
        features, without = usable(bars, order.features)
        features = features if family.reads_features else ()
        first_train = first_train_bars(len(bars), horizon_bars=order.horizon_bars)
        chosen = settings_of_build(
            family, given, bars, self._studies,
            features=features, horizon_bars=order.horizon_bars, first_tested_bar=min(first_train, len(bars) - 1), tuned=order.tuned,
        )  # fmt: skip
        recipe = Recipe(
            model_type=family.family,
            symbol=bars.symbol,
            timeframe=bars.timeframe,
            features=features,
            hyperparameters=dict(chosen.hyperparameters),
            horizon_bars=order.horizon_bars,
            seed=order.seed,
            folds=FOLDS,
            embargo_bars=order.horizon_bars - 1,
            first_train_bars=first_train,
        )
        data = data_card(bars, self._clock.now())
        if not order.rebuild:
            found = self._registry.find(recipe_hash(recipe), bars.fingerprint, code_version=code_version())
            if found is not None:
                progress(f"train {recipe.model_type}", 1, 1, f"found {found.model_id}: same recipe, same bars")
                return Built(found, found=True)
        notes = (*shortened, *without, *chosen.notes)
        with trained_on(self._hardware):
            return Built(self._train(recipe, bars, data, notes, chosen, request_id, progress), found=False)

    def _train(
        self,
        recipe: Recipe,
        bars: Bars,
        data: DataCard,
        notes: Sequence[str],
        chosen: ChosenParams,
        request_id: str,
        progress: Progress,
    ) -> ModelCard:
        total = recipe.folds + 1  # the walk-forward fits, and the one on all bars that forecasts tomorrow

        def per_fold(done: int, _: int, message: str) -> None:
            progress(f"train {recipe.model_type}", done, total, message)

        forecasts = forecast_out_of_sample(bars, recipe, progress=per_fold, workers=self._workers)
        fitted = forecaster(recipe.model_type).fit(
            bars,
            features=recipe.features,
            hyperparameters=recipe.hyperparameters,
            horizon_bars=recipe.horizon_bars,
            seed=recipe.seed,
            progress=lambda _, __, message: progress(f"train {recipe.model_type}", recipe.folds, total, message),
        )
        progress(f"train {recipe.model_type}", total, total, f"fitted on all {len(bars):,} bars")
        model_id = model_id_of(recipe, data_fingerprint=bars.fingerprint, code_version=code_version())
        record = record_of_forecasts(recipe.model_type, forecasts, bars, default_costs(bars.symbol), model_id=model_id)
        card = ModelCard(
            model_id=model_id,
            recipe=recipe,
            data=data,
            created_at=iso(self._clock.now()),
            code_version=code_version(),
            weights_sha256="",
            metrics=tuple(figures(record, bars, EvidenceBook(), names=CARD_METRICS, seed=RESAMPLING_SEED).values()),
            notes=tuple(dict.fromkeys((*notes, *forecasts.notes, *fitted.notes))),
            outlook=outlook(recipe.model_type, fitted, forecasts, bars),
            libraries=library_versions(),
            hyperparameters_from=chosen.origin,
        )
        self._ledger.record(trials_of([record], [recipe], bars), request_id=request_id)
        return self._registry.save(
            card, weights=fitted.to_bytes(), out_of_sample=arrays_of(forecasts), request_id=request_id
        )

    def list(self, *, symbol: str | None, timeframe: str | None, limit: int) -> tuple[ModelCard, ...]:
        return self._registry.list(symbol=symbol, timeframe=timeframe, limit=limit)

    def get(self, model_id: str) -> ModelCard:
        return self._registry.get(model_id)

    def delete(self, model_id: str, *, request_id: str) -> None:
        self._registry.delete(model_id, request_id=request_id)

    def move_alias(
        self,
        alias: AliasName,
        model_id: str | None,
        symbol: str,
        timeframe: str,
        *,
        expected: str | None,
        reason: str,
        request_id: str,
    ) -> AliasMove:
        """Raises InvalidRequest when another model than `expected` holds the alias, UnknownModel."""
        return self._aliases.move(
            alias, symbol=symbol, timeframe=timeframe, model_id=model_id, expected=expected, reason=reason, request_id=request_id
        )  # fmt: skip

    def aliases(
        self, symbol: str | None, timeframe: str | None, *, limit: int
    ) -> tuple[tuple[AliasMove, ...], tuple[AliasMove, ...]]:
        """Who holds which alias now, and every move, newest first."""
        current = self._aliases.current(symbol=symbol, timeframe=timeframe)
        return current, self._aliases.history(symbol=symbol, timeframe=timeframe, limit=limit)

    def export(self, model_id: str) -> bytes:
        return self._registry.export(model_id)

    def import_bundle(self, encoded: str, *, request_id: str) -> ModelCard:
        """Register a model from an exported file, base64. Raises InvalidRequest for one that was changed or is none of ours."""
        try:
            bundle = b64decode(encoded, validate=True)
        except ValueError:
            raise InvalidRequest("bundle is not base64; send the file that export_model answered") from None
        read = read_bundle(bundle)
        # What is registered must also forecast here: a family, feature or format of a later version is refused now, not when used.
        header, _ = unpack(read.weights)
        recipe = read.card.recipe
        if (header.family, header.timeframe, header.horizon_bars) != (
            recipe.model_type,
            recipe.timeframe,
            recipe.horizon_bars,
        ):
            raise InvalidRequest(
                f"the weights in this file are of a {header.family}, not those that the card describes"
            )
        return self._registry.import_bundle(bundle, request_id=request_id)
