"""How well does a family forecast with these hyperparameters, inside the training part?

Purged walk-forward: each fold is fitted on the bars before it, an embargo of horizon − 1 bars apart, and its stretch is forecast. All of
it lies before the first bar that an evaluation of the finished model is scored on: what is chosen here was not chosen there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from evolve.errors import DataUnavailable
from evolve.forecasting.base import Forecaster, HyperValue, Progress, unheard
from evolve.forecasting.features import causal_volatility, scaled_return_ahead, usable, warm_up_bars
from evolve.forecasting.learned import MIN_SAMPLES
from evolve.forecasting.tuning.space import SearchSpace
from evolve.market.bars import Bars, Floats
from evolve.statistics.splits import Fold, walk_forward

# Of a fold: the mean of so many squared errors has a standard error of a fifth of itself, and below it folds only add noise.
MIN_FOLD_BARS = 40
FIRST_SHARE = 0.4  # of the training part, before the first fold; the least when a fit needs more
CLOSES_WARM_UP_BARS = 21  # of families that read closes only: as `ets` warms up
DEFAULT_WINDOW_BARS = 10  # of networks inside a family that does not search theirs


class Objective(Protocol):
    """What a study improves, in parts that can be stopped between."""

    @property
    def folds(self) -> int: ...

    def losses(self, params: Mapping[str, HyperValue], fold: int, *, progress: Progress = unheard) -> Floats:
        """What is lost in one part, one value per scored bar; smaller is better. Not finite: the parameters are of no use.

        Raises InvalidRequest or DataUnavailable for parameters that cannot be tried.
        """
        ...

    def score(self, losses: Floats) -> float:
        """The score of the losses of the first folds, joined; larger is better."""
        ...


@dataclass(frozen=True, eq=False)
class ForecastLoss:
    """Squared error of the forecast, in units of the volatility known when it was made, so that calm and wild bars weigh alike.

    bars: the training part, and no bar after it. The score is R² against the forecast "no change".
    """

    family: Forecaster
    bars: Bars
    splits: tuple[Fold, ...]
    features: Sequence[str]
    horizon_bars: int
    seed: int
    targets: tuple[Floats, ...]

    @classmethod
    def of(
        cls,
        family: Forecaster,
        bars: Bars,
        *,
        first_fold_bars: int,
        folds: int,
        features: Sequence[str],
        horizon_bars: int,
        seed: int,
    ) -> ForecastLoss:
        splits = walk_forward(len(bars), folds=folds, first_train_bars=first_fold_bars, embargo_bars=horizon_bars - 1)
        ahead = scaled_return_ahead(bars, horizon_bars)
        targets = tuple(ahead[fold.test_start : fold.test_stop] for fold in splits)
        return cls(family, bars, splits, features, horizon_bars, seed, targets)

    @property
    def folds(self) -> int:
        return len(self.splits)

    def losses(self, params: Mapping[str, HyperValue], fold: int, *, progress: Progress = unheard) -> Floats:
        split = self.splits[fold]
        fitted = self.family.fit(
            self.bars.slice(0, split.train_stop),
            features=self.features,
            hyperparameters=params,
            horizon_bars=self.horizon_bars,
            seed=self.seed,
            progress=progress,
        )
        forecasts = fitted.predict(self.bars.slice(0, split.test_stop), split.test_start, split.test_stop)
        target = self.targets[fold]
        # The scale of the target: what it is divided by to become a return of standard size.
        scale = self._scale(split)
        known = np.isfinite(target)
        return np.asarray((target[known] - forecasts.mean[known] / scale[known]) ** 2)

    def score(self, losses: Floats) -> float:
        known = [target[np.isfinite(target)] for target in self.targets]
        base = np.concatenate(known)[: len(losses)]
        return float(1 - losses.sum() / (base**2).sum())

    def _scale(self, split: Fold) -> Floats:
        volatility: Floats = causal_volatility(self.bars)[split.test_start : split.test_stop]
        return volatility * float(np.sqrt(self.horizon_bars))


def first_fold_bars(
    family: Forecaster, space: SearchSpace, bars: Bars, *, features: Sequence[str], folds: int, horizon_bars: int
) -> int:
    """How many bars of the training part are learned from before the first fold.

    bars: the training part. Raises DataUnavailable, saying how many bars there must be, when too few remain for the folds.
    """
    names, _ = usable(bars, features)
    warm_up = max(warm_up_bars(names), 1) if family.reads_features else CLOSES_WARM_UP_BARS
    least = warm_up + longest_window(space) + MIN_SAMPLES + horizon_bars
    first = max(least, round(FIRST_SHARE * len(bars)))
    needed = least + horizon_bars - 1 + folds * MIN_FOLD_BARS
    if len(bars) < needed:
        raise DataUnavailable(
            f"{len(bars)} bars of {bars.symbol} at {bars.timeframe} lie before the first that a model is tested on, and {folds} folds of a search "
            f"need {needed}; import a longer history, take a finer timeframe, fewer folds or a smaller window_bars",
            bars=len(bars),
            needed=needed,
        )
    return min(first, len(bars) - (horizon_bars - 1) - folds * MIN_FOLD_BARS)


def longest_window(space: SearchSpace) -> int:
    """The most bars that a row of any trial holds."""
    for dimension in space.dimensions:
        if dimension.name == "window_bars":
            return int(max(float(each) for each in dimension.choices)) if dimension.choices else int(dimension.high)
    return int(space.settled.get("window_bars", space.defaults.get("window_bars", DEFAULT_WINDOW_BARS)))
