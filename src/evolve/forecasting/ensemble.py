"""A stack of families: each weighs as much as it helped to forecast bars that its members had not seen.

Weights are not negative (Breiman 1996, Stacked regressions, Machine Learning 24) and are pulled towards equal ones, which are hard
to beat where little is known (Timmermann 2006, Forecast combinations, Handbook of Economic Forecasting 1). The whole is then
believed, as every learned forecast, as far as its out-of-fold skill goes.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from evolve.errors import DataUnavailable
from evolve.forecasting.base import (
    Arrays,
    FittedForecaster,
    Forecaster,
    Header,
    Hyperparameter,
    HyperValue,
    Progress,
    forecaster,
    pack,
    restore,
    unheard,
)
from evolve.forecasting.features import causal_volatility
from evolve.forecasting.learned import LearnedForecaster, Lesson
from evolve.forecasting.neural import NeuralForecaster
from evolve.forecasting.shrinkage import HELD, shrinkage
from evolve.market.bars import Bars, Floats

# One of each kind by default: line, trees, network. The networks' forecasts are nearly one, and each costs a training.
COMMITTEES: dict[str, tuple[str, ...]] = {
    "fast": ("ridge", "xgboost"),
    "standard": ("ridge", "xgboost", "lstm"),
    "all": ("ridge", "xgboost", "lstm", "tcn", "transformer"),
}
WEIGHT_STD = 0.5  # how far a weight is expected from an equal one before the data speak: half, twice, or none at all


class Stack(FittedForecaster):
    """Fitted families, their weights, and how much of their sum is believed."""

    def __init__(self, header: Header, parts: Sequence[FittedForecaster], weights: Floats) -> None:
        self.header = header
        self.family = header.family
        self.horizon_bars = header.horizon_bars
        self.timeframe = header.timeframe
        self.features = header.features
        self.hyperparameters = header.hyperparameters
        self.notes = header.notes
        self.factor, self.residual = header.numbers["factor"], header.numbers["residual"]
        self.parts = tuple(parts)
        self.weights = weights

    @property
    def first_bar(self) -> int:
        return max(part.first_bar for part in self.parts)

    @property
    def has_skill(self) -> bool:
        return self.factor > 0

    def _predict(self, bars: Bars, start: int) -> tuple[Floats, Floats]:
        scale = causal_volatility(bars)[start:] * np.sqrt(self.horizon_bars)
        if not (scale > 0).all():
            raise DataUnavailable(
                f"the closes of {bars.symbol} do not move before bar {start}: no volatility to forecast with"
            )
        mean = np.zeros(len(scale))
        if self.has_skill:
            for part, weight in zip(self.parts, self.weights, strict=True):
                if weight > 0:
                    # Not `predict`, which would cut a copy for each: these bars end at the last decision already.
                    mean += self.factor * weight * part._predict(bars, start)[0]
        return mean, self.residual * scale

    def compiled(self) -> Stack:
        return Stack(self.header, [part.compiled() for part in self.parts], self.weights)

    def to_bytes(self) -> bytes:
        parts = {f"part{number}": np.frombuffer(part.to_bytes(), np.uint8) for number, part in enumerate(self.parts)}
        return pack(self.header, {"weights": self.weights, **parts})


class Ensemble(Forecaster):
    family: ClassVar[str] = "ensemble"
    dear: ClassVar[bool] = True
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Hyperparameter(
            "members",
            "choice",
            "standard",
            "which families are stacked: " + "; ".join(f"{name}: {', '.join(of)}" for name, of in COMMITTEES.items()),
            choices=tuple(COMMITTEES),
        ),
    )

    def fit(
        self,
        bars: Bars,
        *,
        features: Sequence[str] = (),
        hyperparameters: Mapping[str, HyperValue] | None = None,
        horizon_bars: int = 1,
        seed: int = 0,
        progress: Progress = unheard,
    ) -> Stack:
        settings = self.settings(hyperparameters)
        names, left_out = installed(COMMITTEES[str(settings["members"])])
        lessons: list[Lesson] = []
        for done, name in enumerate(names):
            family = forecaster(name)
            assert isinstance(family, LearnedForecaster)

            def tell(_: int, __: int, message: str, done: int = done) -> None:
                progress(done, len(names), f"{self.family}: {message}")

            lessons.append(
                family.learn(bars, features=features, hyperparameters=None, horizon_bars=horizon_bars, seed=seed, progress=tell)
            )  # fmt: skip
        table, target = aligned(lessons)
        weights = stack(table, target)
        # The parts were held back already; the sum may make up for that once, and no more.
        shrunk = shrinkage(table @ weights, target, horizon_bars=horizon_bars, most=1 / HELD)
        fitted = [lesson.fitted for lesson in lessons]
        header = Header(
            family=self.family,
            horizon_bars=horizon_bars,
            timeframe=bars.timeframe,
            features=fitted[0].features,
            hyperparameters=settings,
            notes=tuple(dict.fromkeys((*left_out, *(note for part in fitted for note in part.notes)))),
            numbers={"factor": shrunk.factor, "r2": shrunk.r2, "t": shrunk.t, "residual": shrunk.residual},
        )
        return Stack(header, fitted, weights)

    def restore(self, header: Header, arrays: Arrays) -> Stack:
        weights = np.asarray(arrays["weights"], np.float64)
        parts = [restore(arrays[f"part{number}"].tobytes()) for number in range(len(weights))]
        return Stack(header, parts, weights)


def installed(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those families of `names` that can be fitted here, and a note on the others."""
    if importlib.util.find_spec("torch") is not None:
        return tuple(names), ()
    kept = tuple(name for name in names if not isinstance(forecaster(name), NeuralForecaster))
    without = ", ".join(name for name in names if name not in kept)
    if not without:
        return kept, ()
    return kept, (f"torch is not installed: the ensemble was built without {without} (`evolve setup torch` adds it)",)


def aligned(lessons: Sequence[Lesson]) -> tuple[Floats, Floats]:
    """Out-of-fold forecasts, shape (rows, families), and targets, shape (rows,), of the bars that all families forecast."""
    first = max(int(lesson.bar[0]) for lesson in lessons)
    rows = [lesson.bar >= first for lesson in lessons]
    table = np.stack([lesson.out_of_fold[kept] for lesson, kept in zip(lessons, rows, strict=True)], axis=1)
    return table, lessons[0].target[rows[0]]


def stack(table: Floats, target: Floats) -> Floats:
    """Non-negative weights, shape (families,), of least squared error, each expected near 1 / families before the data speak.

    A family that forecast nothing weighs nothing; the others share its weight. The posterior mode of independent normal
    weights with standard deviation WEIGHT_STD, given normal errors of the target's variance.
    """
    from scipy.optimize import nnls

    spoke = np.flatnonzero((table != 0).any(axis=0))
    weights = np.zeros(table.shape[1])
    if spoke.size:
        pull = float(target.std()) / WEIGHT_STD * np.eye(spoke.size)
        equal = np.full(spoke.size, 1 / spoke.size)
        weights[spoke], _ = nnls(np.vstack([table[:, spoke], pull]), np.concatenate([target, pull @ equal]))
    return weights
