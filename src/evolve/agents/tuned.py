"""Which hyperparameters should a model be built with, as far as studies know? The defaults, unless a study found better ones.

A study of the same family, symbol, timeframe, horizon and features counts, if every bar that it saw lies before the first bar that the
build is tested on: else the test would be of what was chosen on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolve.forecasting.base import Forecaster, HyperValue
from evolve.market.bars import Bars
from evolve.memory.studies import Studies
from evolve.tunings import DatasetSize, TunedParams, TuningCard

LIKE = 50  # findings looked through for one that fits


@dataclass(frozen=True, slots=True)
class ChosenParams:
    """The hyperparameters of a build, and where they come from: `caller`, `defaults`, or `study ID`; notes: for the reader of its card."""

    hyperparameters: Mapping[str, HyperValue]
    origin: str
    notes: tuple[str, ...] = ()


def settings_of_build(
    family: Forecaster,
    given: Mapping[str, HyperValue] | None,
    bars: Bars,
    studies: Studies,
    *,
    features: Sequence[str],
    horizon_bars: int,
    first_tested_bar: int,
    tuned: bool,
) -> ChosenParams:
    """What the caller gave with defaults for the rest; given nothing, what the newest study that fits recommends.

    Raises InvalidRequest as `Forecaster.settings` does.
    """
    if given:
        return ChosenParams(family.settings(given), "caller")
    if not tuned or not family.hyperparameters:
        return ChosenParams(family.settings(None), "defaults")
    for card in studies.found(model_type=family.family, symbol=bars.symbol, timeframe=bars.timeframe, limit=LIKE):
        if (card.horizon_bars, card.features, card.data.simulated) != (horizon_bars, tuple(features), bars.simulated):
            continue
        if card.verdict != "better":
            return ChosenParams(family.settings(None), "defaults", (f"study {card.study_id}: {card.reason}",))
        if card.train_last >= bars.date(first_tested_bar):
            note = f"study {card.study_id} saw bars up to {card.train_last}, which this model is tested on: the defaults are used instead"
            return ChosenParams(family.settings(None), "defaults", (note,))
        note = f"hyperparameters of study {card.study_id} (bars up to {card.train_last}): {card.reason}"
        return ChosenParams(family.settings(card.recommended_params), f"study {card.study_id}", (note,))
    return ChosenParams(family.settings(None), "defaults")


def best_known(family: Forecaster, studies: Studies, size: DatasetSize) -> TunedParams:
    """What the newest study of this family on a history of this size recommends; the defaults where there is none."""
    found = studies.found(model_type=family.family, size=size, limit=LIKE)
    better = next((card for card in found if card.verdict == "better"), None)
    if better is not None:
        return TunedParams(
            better.recommended_params,
            "study",
            better.reason,
            better.study_id,
            better.best_score,
            better.symbol,
            better.timeframe,
        )
    params = family.settings(None)
    if found:
        return TunedParams(params, "defaults", _none_better(found, size))
    return TunedParams(
        params,
        "defaults",
        f"{family.family} was not tuned on {size} data yet; `evolve tune run {family.family}` does it",
    )


def _none_better(found: Sequence[TuningCard], size: DatasetSize) -> str:
    many = f"{len(found)} {'study' if len(found) == 1 else 'studies'}"
    return f"{many} of it on {size} data found nothing better than the defaults; the newest, {found[0].study_id}: {found[0].reason}"
