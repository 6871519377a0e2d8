"""Exponential smoothing with a damped trend: what a forecaster without features has made of prices since the 1980s.

The level follows each log close by a share alpha of the surprise, the trend by alpha · beta; the trend fades by phi a bar. What it
expects is believed, as every forecast here, as far as it was right on bars that did not choose its settings.
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
from evolve.forecasting.features import CLIP, causal_volatility
from evolve.forecasting.learned import MIN_SAMPLES
from evolve.forecasting.shrinkage import shrinkage
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
        self.factor, self.residual = header.numbers["factor"], header.numbers["residual"]

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
        mean: Floats = self.factor * (levels[:, 0] + fade.sum() * trends[:, 0] - closes)[start:]
        return mean, self.residual * scale

    def to_bytes(self) -> bytes:
        return pack(self.header, {})


class Ets(Forecaster):
    family: ClassVar[str] = "ets"
    reads_features: ClassVar[bool] = False
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Hyperparameter("alpha", "float", 0.0, "share of a surprise that the level keeps; 0: chosen by one-bar errors", low=0.0, high=1.5, search=(0.01, 1.0)),
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
        closes, volatility = np.log(bars.close), causal_volatility(bars)
        levels, trends = smooth(closes, *grid.T)
        moved = np.flatnonzero(volatility > 0)
        rows = moved[(moved >= WARM_UP_BARS) & (moved < len(bars) - horizon_bars)]

        def scaled(ahead: int, chosen: int | slice) -> tuple[Floats, Floats]:
            """Forecast and outcome `ahead` bars later over volatility, by row, of the chosen settings."""
            fade = (grid[chosen, 2, None] ** np.arange(1, ahead + 1)).sum(axis=-1)
            scale = volatility[rows] * np.sqrt(ahead)
            move = (levels[rows][:, chosen] + fade * trends[rows][:, chosen]).T - closes[rows]
            outcome = np.clip((closes[rows + ahead] - closes[rows]) / scale, -CLIP, CLIP)
            return move / scale, outcome

        def best(part: slice) -> int:
            forecast, outcome = scaled(1, slice(None))
            return int(np.argmin(((outcome - forecast) ** 2)[:, part].sum(axis=1)))

        # Believed as far as settings chosen on the first half were right on the second.
        half = len(rows) // 2
        forecast, outcome = scaled(horizon_bars, best(slice(0, half)))
        shrunk = shrinkage(forecast[half:], outcome[half:], horizon_bars=horizon_bars)
        alpha, beta, phi = grid[best(slice(None))]
        numbers = {
            "alpha": alpha,
            "beta": beta,
            "phi": phi,
            "factor": shrunk.factor,
            "r2": shrunk.r2,
            "t": shrunk.t,
            "residual": shrunk.residual,
        }
        return Smoothing(
            Header(
                family=self.family,
                horizon_bars=horizon_bars,
                timeframe=bars.timeframe,
                hyperparameters=settings,
                numbers={name: float(value) for name, value in numbers.items()},
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
