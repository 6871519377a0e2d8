"""Who is judged together, on which bars and costs, against which baselines, and with which verdict?

All candidates are put on one bench: the same tested stretch, the same fills and costs, one gate. Each is counted as a trial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evolve.agents.track_record import (
    RESAMPLING_SEED,
    TrackRecord,
    counted_on,
    first_train_bars,
    forecast_out_of_sample,
    forecasts_from,
    record_of_constant,
    record_of_forecasts,
    trials_of,
)
from evolve.backtest.gate import Judgement, judge
from evolve.backtest.random_entry import RandomEntry, random_entry
from evolve.cards import Costs, ModelCard, Recipe
from evolve.forecasting.base import BASELINES
from evolve.forecasting.walk_forward import OutOfSample
from evolve.market.bars import Bars, Floats
from evolve.market.calendar import default_costs
from evolve.memory.registry import Registry
from evolve.memory.trials import TrialLedger

Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True, eq=False)
class Bench:
    """Everything that is judged together: records of models and baselines over one tested stretch.

    random_entries: for each model, what it would have done entering at random. ledger_position: up to where trials were counted.
    """

    bars: Bars
    costs: Costs
    models: tuple[TrackRecord, ...]
    baselines: tuple[TrackRecord, ...]
    random_entries: tuple[RandomEntry, ...]
    recipes: tuple[Recipe, ...]
    judgement: Judgement
    ledger_position: int
    notes: tuple[str, ...]

    @property
    def benchmark(self) -> Floats:
        """Net returns of buy-and-hold."""
        return self.baselines[0].returns

    def barred(self, reason: str) -> Bench:
        """Without its winner."""
        return replace(self, judgement=replace(self.judgement, verdict="no_edge", winner=None, reason=reason))


def bench_of(
    records: Sequence[TrackRecord],
    recipes: Sequence[Recipe],
    bars: Bars,
    *,
    notes: tuple[str, ...],
    ledger: TrialLedger,
    ledger_position: int = 0,
    trials: int = 0,
    request_id: str,
    progress: Progress,
) -> Bench:
    """Count the records as trials, and judge them together beside the baselines.

    ledger_position: count trials as the ledger stood then (0: now); trials: count so many (0: as the ledger says).
    """
    costs = default_costs(bars.symbol)
    ledger.record(trials_of(records, recipes, bars), request_id=request_id)
    # All are judged where all have decided; a longer-trained model starts later, and the others wait for it.
    start = max(record.start for record in records)
    records = [record.since(start) for record in records]
    baselines = _baselines(recipes[0], start, bars, costs)
    position = ledger_position or ledger.position()
    trials = max(len(records), trials or ledger.count(counted_on(bars), as_of=position))
    progress("judge", 0, 1, f"testing {len(records)} candidates against luck, {trials} trials counted")
    judgement = judge(
        np.column_stack([record.returns for record in records]),
        baselines[0].returns,
        [record.name for record in records],
        horizon_bars=max(recipe.horizon_bars for recipe in recipes),
        trials=trials,
        bars_per_year=bars.bars_per_year,
        rng=np.random.default_rng(RESAMPLING_SEED),
    )
    chance = tuple(_random_entry(record, bars, costs) for record in records)
    progress("judge", 1, 1, f"verdict: {judgement.verdict}")
    return Bench(bars, costs, tuple(records), baselines, chance, tuple(recipes), judgement, position, notes)


def forecasts_of(
    card: ModelCard, bars: Bars, registry: Registry, *, refit: bool, workers: int, progress: Progress
) -> tuple[Recipe, OutOfSample]:
    """The stored out-of-sample forecasts where the bars are the same; else the recipe walked forward on these bars."""
    if card.data.fingerprint == bars.fingerprint and not refit:
        return card.recipe, forecasts_from(registry.out_of_sample(card.model_id))
    recipe = recipe_on(card, bars)

    def per_fold(done: int, total: int, message: str) -> None:
        progress("walk forward", done, total, message)

    return recipe, forecast_out_of_sample(bars, recipe, progress=per_fold, workers=workers)


def recipe_on(card: ModelCard, bars: Bars) -> Recipe:
    """A model's recipe for these bars: its own where they are, else with their symbol and as much first training as they allow."""
    recipe = card.recipe
    if card.data.fingerprint == bars.fingerprint:
        return recipe
    return replace(
        recipe,
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        first_train_bars=first_train_bars(len(bars), horizon_bars=recipe.horizon_bars),
    )


def row_name(card: ModelCard, cards: Sequence[ModelCard]) -> str:
    """The family where that is unambiguous, else the model's id: a baseline has its family's name already."""
    family = card.recipe.model_type
    same = [other for other in cards if other.recipe.model_type == family]
    return family if len(same) == 1 and family not in BASELINES else card.model_id


def _baselines(recipe: Recipe, start: int, bars: Bars, costs: Costs) -> tuple[TrackRecord, ...]:
    found = [
        record_of_constant("buy_and_hold", 1.0, start, bars, costs),
        record_of_constant("flat", 0.0, start, bars, costs),
    ]
    for name in BASELINES:
        plain = replace(recipe, model_type=name, features=(), hyperparameters={}, seed=0)
        forecasts = forecast_out_of_sample(bars, plain)
        record = record_of_forecasts(name, forecasts, bars, costs, model_id=None, kind="baseline")
        found.append(record.since(start))
    return tuple(found)


def _random_entry(record: TrackRecord, bars: Bars, costs: Costs) -> RandomEntry:
    tested = slice(record.start, None)
    return random_entry(
        bars.open[tested],
        bars.close[tested],
        record.target[tested],
        costs,
        bars_per_year=bars.bars_per_year,
        rng=np.random.default_rng(RESAMPLING_SEED),
    )
