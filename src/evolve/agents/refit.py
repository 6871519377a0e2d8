"""What does a recipe learn from the bars that came since? The same model, trained on all there is now, and how old and new did lately.

Incremental: the forecasts made out of sample so far stay on record, those for the new bars are the old model's own, and one fit is made.
Nothing that was forecast in the past is forecast again with hindsight of a newer fit, and it costs a sixth of walking forward anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from evolve.agents.figures import figures
from evolve.agents.live_record import LiveRecord
from evolve.agents.model_builder import CARD_METRICS
from evolve.agents.outlook import outlook
from evolve.agents.track_record import RESAMPLING_SEED, arrays_of, record_of_forecasts
from evolve.cards import ModelCard
from evolve.clock import iso
from evolve.evidence import Evidence, EvidenceBook
from evolve.forecasting.base import forecaster
from evolve.market.calendar import default_costs
from evolve.market.catalog import data_card
from evolve.market.types import period_days
from evolve.memory.registry import Registry, model_id_of
from evolve.version import code_version

Progress = Callable[[str, int, int, str], None]
SHOWN = ("skill_r2", "relative_mae", "band_coverage", "sharpe", "total_return", "drawdown")


def refit(record: LiveRecord, registry: Registry, *, now: float, request_id: str, progress: Progress) -> ModelCard:
    """The recipe of a model fitted on all bars of its record, registered with the old model as its parent."""
    old, bars = record.card, record.bars
    # The stretch that the old model forecast by itself is a fold like the others: trained before it, tested on it.
    recipe = replace(old.recipe, folds=old.recipe.folds + 1)
    progress(f"train {recipe.model_type}", 0, 1, f"one fit on all {len(bars):,} bars")
    fitted = forecaster(recipe.model_type).fit(
        bars,
        features=recipe.features,
        hyperparameters=recipe.hyperparameters,
        horizon_bars=recipe.horizon_bars,
        seed=recipe.seed,
    )
    progress(f"train {recipe.model_type}", 1, 1, f"fitted on all {len(bars):,} bars")
    forecasts = record.forecasts
    model_id = model_id_of(recipe, data_fingerprint=bars.fingerprint, code_version=code_version())
    track = record_of_forecasts(recipe.model_type, forecasts, bars, default_costs(bars.symbol), model_id=model_id)
    card = ModelCard(
        model_id=model_id,
        recipe=recipe,
        data=data_card(bars, now),
        created_at=iso(now),
        code_version=code_version(),
        weights_sha256="",
        metrics=tuple(figures(track, bars, EvidenceBook(), names=CARD_METRICS, seed=RESAMPLING_SEED).values()),
        parent=old.model_id,
        notes=tuple(dict.fromkeys((*old.notes, *fitted.notes))),
        outlook=outlook(recipe.model_type, fitted, forecasts, bars),
    )
    return registry.save(card, weights=fitted.to_bytes(), out_of_sample=arrays_of(forecasts), request_id=request_id)


def performance_over(record: LiveRecord, period: str) -> dict[str, Evidence]:
    """What a model's out-of-sample forecasts did in the latest stretch, net of costs: a picture, not evidence."""
    bars = record.bars
    track = record_of_forecasts(
        record.card.model_id, record.forecasts, bars, default_costs(bars.symbol), model_id=record.card.model_id
    )
    last = max(1, min(bars.bars_within(period_days(period)), len(track.returns)))
    return figures(track, bars, EvidenceBook(), names=SHOWN, last_bars=last, seed=RESAMPLING_SEED)
