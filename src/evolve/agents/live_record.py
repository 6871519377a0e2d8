"""How has a model forecast bars that it was not trained on: in its test, and since it went to work?

Up to the last bar it was trained on these are its stored walk-forward forecasts; from there on its own weights forecast, frozen as
they are. All of it is out of sample. Losses are squared errors over the variance known at each decision: a mean loss of 1 is what "no
change" loses, one of 0.97 explains 3 % of the variance, and calm and wild years weigh alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolve.agents.figures import BAND_Z
from evolve.agents.track_record import MIN_FIRST_TRAIN_BARS, forecasts_from
from evolve.cards import ModelCard
from evolve.errors import DataUnavailable
from evolve.forecasting.base import restore
from evolve.forecasting.features import causal_volatility
from evolve.forecasting.walk_forward import OutOfSample
from evolve.market.bars import Bars, Floats
from evolve.memory.registry import Registry
from evolve.statistics.splits import Fold


@dataclass(frozen=True, eq=False)
class LiveRecord:
    """One model on bars that reach past its training. forecasts: from its first tested bar to the last bar.

    trained_to: index of the last bar it was trained on, after which it forecasts as it is. loss, gain, covered: by bar, shape
    (bars,), NaN where there is no forecast or no outcome yet. gain: by how much it loses less than "no change"; covered: 1 where the
    outcome lay in its 90 % band.
    """

    card: ModelCard
    bars: Bars
    forecasts: OutOfSample
    trained_to: int
    loss: Floats
    gain: Floats
    covered: Floats

    @property
    def horizon_bars(self) -> int:
        return self.forecasts.horizon_bars

    def known(self, start: int, stop: int | None = None) -> NDArray[np.int64]:
        """Decision bars from start on whose outcome is known."""
        stop = len(self.bars) if stop is None else stop
        return start + np.flatnonzero(np.isfinite(self.loss[start:stop]))

    @property
    def live(self) -> NDArray[np.int64]:
        """Decision bars since it was trained whose outcome is known."""
        return self.known(self.trained_to + 1)


def live_record(card: ModelCard, bars: Bars, registry: Registry) -> LiveRecord:
    """The record of a registered model on these bars. Raises DataUnavailable when they do not hold the bars it was trained on."""
    trained_to = _last_trained(card, bars)
    tested = forecasts_from(registry.out_of_sample(card.model_id))
    shift = trained_to - (card.data.bars - 1)
    # Bars that are no longer here (only so many are kept in use) take the folds that were trained on them with them.
    folds = [
        Fold(fold.train_stop + shift, fold.test_start + shift, fold.test_stop + shift)
        for fold in tested.folds
        if fold.train_stop + shift >= MIN_FIRST_TRAIN_BARS
    ]
    first = folds[0].test_start if folds else trained_to + 1
    past = slice(first - shift - tested.start, None)
    mean, std = [tested.mean[past]], [tested.std[past]]
    if trained_to + 1 < len(bars):
        live = restore(registry.weights(card.model_id)).predict(bars, trained_to + 1, len(bars))
        mean.append(live.mean)
        std.append(live.std)
        folds.append(Fold(trained_to + 1, trained_to + 1, len(bars)))
    forecasts = OutOfSample(first, tested.horizon_bars, np.concatenate(mean), np.concatenate(std), tuple(folds))
    loss, gain, covered = scored(forecasts, bars)
    return LiveRecord(card, bars, forecasts, trained_to, loss, gain, covered)


def _last_trained(card: ModelCard, bars: Bars) -> int:
    """The index of the last bar a model was trained on, found by its date."""
    dates = (len(bars) - 1 - back for back in range(len(bars)))
    found = next((bar for bar in dates if bars.date(bar) <= card.data.last), None)
    if found is None or bars.date(found) != card.data.last or found < 1:
        raise DataUnavailable(
            f"the bars of {bars.symbol} at {bars.timeframe} ({bars.date(0)} to {bars.date(-1)}) do not hold {card.data.last}, the last one "
            f"that {card.model_id} was trained on; import them, or train it anew: evolve build {card.recipe.model_type} {bars.symbol}",
            model_id=card.model_id,
        )
    return found


def scored(forecasts: OutOfSample, bars: Bars) -> tuple[Floats, Floats, Floats]:
    """Loss, gain over no change, and coverage by bar, shape (bars,); NaN where there is no forecast or no outcome yet."""
    horizon = forecasts.horizon_bars
    loss, gain, covered = (np.full(len(bars), np.nan) for _ in range(3))
    bar = np.arange(forecasts.start, min(forecasts.stop, len(bars) - horizon))
    if not bar.size:
        return loss, gain, covered
    mean, std = forecasts.mean[: bar.size], forecasts.std[: bar.size]
    closes = np.log(bars.close)
    realised = closes[bar + horizon] - closes[bar]
    scale = causal_volatility(bars)[bar] * np.sqrt(horizon)
    moves = scale > 0
    bar, mean, std, realised, scale = bar[moves], mean[moves], std[moves], realised[moves], scale[moves]
    loss[bar] = ((realised - mean) / scale) ** 2
    gain[bar] = (realised / scale) ** 2 - loss[bar]
    covered[bar] = np.abs(realised - mean) <= BAND_Z * std
    return loss, gain, covered
