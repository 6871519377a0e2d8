"""Exponential smoothing with a damped trend: what a forecaster without features has made of prices since the 1980s.

The level follows each log close by a share alpha of the surprise, the trend by alpha · beta; the trend fades by phi a bar.
Source: Gardner & McKenzie (1985), Forecasting trends in time series, Management Science 31(10); Hyndman, Koehler, Ord & Snyder
(2008), Forecasting with exponential smoothing, model ETS(A,Ad,N).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
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
from evolve.forecasting.features import causal_volatility
from evolve.forecasting.learned import MIN_SAMPLES
from evolve.market.bars import Bars, Floats

# Log prices are close to a random walk, so the level hardly lags: what is left to choose is how much of a surprise stays.
ALPHAS = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1)  # above 1: a move is expected to go on
BETAS = (0.0, 0.01, 0.03, 0.1)
PHIS = (0.8, 0.9, 0.98)  # half of the trend is gone after 3, 7 and 34 bars
WARM_UP_BARS = 21  # a month of daily bars: by then the start of level and trend is forgotten


class Smoothing(FittedForecaster):
    """alpha, beta and phi as fitted; level and trend are found anew from the bars it is shown."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.family = header.family
        self.horizon_bars = header.horizon_bars
        self.timeframe = header.timeframe
        self.hyperparameters = header.hyperparameters
        self.notes = header.notes
        self.alpha, self.beta, self.phi = (header.numbers[name] for name in ("alpha", "beta", "phi"))
        self.residual = header.numbers["residual"]

    @property
    def first_bar(self) -> int:
        return WARM_UP_BARS

    def _predict(self, bars: Bars, start: int) -> tuple[Floats, Floats]:
        scale = causal_volatility(bars)[start:] * np.sqrt(self.horizon_bars)
        if not (scale > 0).all():
            raise DataUnavailable(
                f"the closes of {bars.symbol} do not move before bar {start}: no volatility to forecast with"
            )
        closes = np.log(bars.close)
        levels, trends = smooth(closes, np.array([self.alpha]), np.array([self.beta]), np.array([self.phi]))
        fade = self.phi ** np.arange(1, self.horizon_bars + 1)
        mean: Floats = (levels[:, 0] + fade.sum() * trends[:, 0] - closes)[start:]
        return mean, self.residual * scale

    def to_bytes(self) -> bytes:
        return pack(self.header, {})


class Ets(Forecaster):
    family: ClassVar[str] = "ets"
    reads_features: ClassVar[bool] = False
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Hyperparameter("alpha", "float", 0.0, "share of a surprise that the level keeps; 0: chosen by one-bar errors", low=0.0, high=1.5),
    )  # fmt: skip

    def fit(
        self,
        bars: Bars,
        *,
        features: Sequence[str] = (),
        hyperparameters: Mapping[str, HyperValue] | None = None,
        horizon_bars: int = 1,
        seed: int = 0,
        progress: Progress = unheard,
    ) -> Smoothing:
        settings = self.settings(hyperparameters)
        check_horizon(horizon_bars)
        needed = WARM_UP_BARS + MIN_SAMPLES + horizon_bars
        if len(bars) < needed:
            raise DataUnavailable(
                f"{self.family} needs at least {needed} {bars.timeframe} bars to learn from; {bars.symbol} has {len(bars)} here"
            )
        if bars.close.min() == bars.close.max():
            raise DataUnavailable(f"the closes of {bars.symbol} never change after {bars.date(0)}: nothing to learn")
        given = float(settings["alpha"])
        grid = np.array(list(product((given,) if given else ALPHAS, BETAS, PHIS)))
        alpha, beta, phi = grid.T
        closes, volatility = np.log(bars.close), causal_volatility(bars)
        levels, trends = smooth(closes, alpha, beta, phi)
        # Errors over volatility: a crash counts as one surprise, not as a thousand. One bar ahead, whatever the horizon.
        ahead = np.where(volatility[:-1] > 0, volatility[:-1], np.inf)[WARM_UP_BARS:, None]
        errors = (closes[1:, None] - levels[:-1] - phi * trends[:-1])[WARM_UP_BARS:] / ahead
        best = int(np.argmin((np.clip(errors, -5, 5) ** 2).sum(axis=0)))
        fade = phi[best] ** np.arange(1, horizon_bars + 1)
        mean = levels[:-horizon_bars, best] + fade.sum() * trends[:-horizon_bars, best]
        scale = volatility[:-horizon_bars] * np.sqrt(horizon_bars)
        known = np.flatnonzero(scale > 0)
        known = known[known >= WARM_UP_BARS]
        left = np.clip((closes[horizon_bars:] - mean)[known] / scale[known], -5, 5)
        return Smoothing(
            Header(
                family=self.family,
                horizon_bars=horizon_bars,
                timeframe=bars.timeframe,
                hyperparameters=settings,
                numbers={
                    "alpha": float(alpha[best]),
                    "beta": float(beta[best]),
                    "phi": float(phi[best]),
                    "residual": float(np.sqrt(np.mean(left**2))),
                },
            )
        )

    def restore(self, header: Header, arrays: Arrays) -> Smoothing:
        return Smoothing(header)


def smooth(closes: Floats, alpha: Floats, beta: Floats, phi: Floats) -> tuple[Floats, Floats]:
    """Level and trend after each close, both of shape (bars, settings), for settings of shape (settings,) at once."""
    levels, trends = np.empty((len(closes), len(alpha))), np.empty((len(closes), len(alpha)))
    level, trend = np.full(len(alpha), closes[0]), np.zeros(len(alpha))
    for bar, close in enumerate(closes):
        expected = level + phi * trend
        surprise = close - expected
        level = expected + alpha * surprise
        trend = phi * trend + alpha * beta * surprise
        levels[bar], trends[bar] = level, trend
    return levels, trends
