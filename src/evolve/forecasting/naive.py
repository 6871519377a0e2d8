"""The baselines: a price that does not change, and one that goes on as it did. Hard to beat, and free."""

from __future__ import annotations

from abc import abstractmethod
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
    check_horizon,
    pack,
    unheard,
)
from evolve.forecasting.features import VOLATILITY_FLOOR
from evolve.market import indicators
from evolve.market.bars import Bars, Floats

_WINDOW = Hyperparameter(
    "window_bars",
    "int",
    63,
    "how many last log returns the standard deviation is taken over",
    low=5,
    high=2520,
    search=(10, 126),
)


class Constant(FittedForecaster):
    """The same expected return per bar at every bar, with the trailing standard deviation."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.family = header.family
        self.horizon_bars = header.horizon_bars
        self.timeframe = header.timeframe
        self.hyperparameters = header.hyperparameters
        self.mean_per_bar = header.numbers["mean_per_bar"]
        self.window_bars = int(header.hyperparameters["window_bars"])

    @property
    def first_bar(self) -> int:
        return self.window_bars

    def _predict(self, bars: Bars, start: int) -> tuple[Floats, Floats]:
        std = trailing_std(bars, self.window_bars)[start:] * np.sqrt(self.horizon_bars)
        if not (std > 0).all():
            raise DataUnavailable(
                f"the closes of {bars.symbol} do not move before bar {start}: no volatility to forecast with"
            )
        return np.full(len(std), self.mean_per_bar * self.horizon_bars), std

    def to_bytes(self) -> bytes:
        return pack(self.header, {})


class _Baseline(Forecaster):
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (_WINDOW,)
    reads_features: ClassVar[bool] = False

    @abstractmethod
    def mean_per_bar(self, log_returns: Floats) -> float: ...

    def fit(
        self,
        bars: Bars,
        *,
        features: Sequence[str] = (),
        hyperparameters: Mapping[str, HyperValue] | None = None,
        horizon_bars: int = 1,
        seed: int = 0,
        progress: Progress = unheard,
    ) -> Constant:
        settings = self.settings(hyperparameters)
        check_horizon(horizon_bars)
        needed = int(settings["window_bars"]) + 1
        if len(bars) < needed:
            raise DataUnavailable(
                f"{self.family} needs at least {needed} {bars.timeframe} bars; {bars.symbol} has {len(bars)} here"
            )
        if bars.close.min() == bars.close.max():
            raise DataUnavailable(f"the closes of {bars.symbol} never change after {bars.date(0)}: nothing to forecast")
        mean = self.mean_per_bar(indicators.log_returns(bars.close)[1:])
        return Constant(
            Header(
                family=self.family,
                horizon_bars=horizon_bars,
                timeframe=bars.timeframe,
                hyperparameters=settings,
                numbers={"mean_per_bar": mean},
            )
        )

    def restore(self, header: Header, arrays: Arrays) -> Constant:
        return Constant(header)


class Naive(_Baseline):
    """No change: the best guess of the next close is this one."""

    family: ClassVar[str] = "naive"

    def mean_per_bar(self, log_returns: Floats) -> float:
        return 0.0


class Drift(_Baseline):
    """The mean log return of the training part goes on."""

    family: ClassVar[str] = "drift"

    def mean_per_bar(self, log_returns: Floats) -> float:
        return float(log_returns.mean())


def trailing_std(bars: Bars, window_bars: int) -> Floats:
    """Standard deviation (ddof 0, about the window's mean) of the last window_bars log returns at each close; NaN before.

    Never below a tenth of the root mean square so far, as `features.causal_volatility`.
    """
    returns = indicators.log_returns(bars.close)
    mean = indicators.sma(returns, window=window_bars)
    variance = indicators.sma(returns**2, window=window_bars) - mean**2
    overall = np.full(len(bars), np.nan)
    overall[1:] = np.cumsum(returns[1:] ** 2) / np.arange(1, len(bars))
    std: Floats = np.sqrt(np.maximum(variance, VOLATILITY_FLOOR**2 * overall))
    return std
