"""Worlds in which we know what can be known: bars whose log returns hold a planted signal of a stated true R²."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from evolve.market.bars import Bars, Floats

Signal = Literal["noise", "ar1", "momentum", "threshold", "volume", "sign_of_volatility", "latent_drift"]
KNOWABLE: tuple[Signal, ...] = ("ar1", "momentum", "volume", "threshold")
DAY_MS = 86_400_000
DAILY_VOLATILITY = 0.015
MOMENTUM_SHARE = 0.8  # the 10-bar return feeds on itself, so its variance is above that of ten independent returns


@dataclass(frozen=True)
class World:
    """bars, and by bar t the part of the log return from t to t + 1 that was knowable at the close of t."""

    bars: Bars
    knowable: Floats

    def r2(self, forecast: Floats, start: int) -> float:
        """R² against no change of one-bar forecasts made at bars start, start + 1, …"""
        realised = np.diff(np.log(self.bars.close))[start : start + len(forecast)]
        return float(1 - ((realised - forecast) ** 2).sum() / (realised**2).sum())

    def found(self, forecast: Floats, start: int) -> float:
        """Share of the knowable variance that these forecasts explain: 1 for the true signal, 0 for "no change".

        What `r2` over the true R² estimates, without the noise of the returns, which is fifty times the signal.
        """
        assert self.knowable.any(), "in a world of noise nothing can be found; use r2"
        knowable = self.knowable[start : start + len(forecast)]
        return float(1 - ((knowable - forecast) ** 2).sum() / (knowable**2).sum())


def planted(signal: Signal, *, bars: int, seed: int, r2: float = 0.02) -> World:
    """Daily bars of constant volatility with r[t+1] = √r2 · s[t] + √(1 − r2) · e; s, of about unit variance, is known at close t.

    volume: s is log volume; ar1: the return; momentum: the 10-bar return; threshold: its sign. Two that nobody finds:
    sign_of_volatility: the return if the last 5 bars were wilder than the 21 before, else its opposite; latent_drift: a level
    that no bar shows, forgotten by 2 % a bar.
    """
    rng = np.random.default_rng(seed)
    shocks = rng.standard_normal(bars)
    volume = rng.standard_normal(bars)
    returns, knowable = np.zeros(bars), np.zeros(bars)
    latent = 0.0
    for t in range(bars):
        if t:
            returns[t] = knowable[t - 1] + np.sqrt(1 - r2) * shocks[t]
        momentum = returns[max(0, t - 9) : t + 1].sum() / np.sqrt(10)
        latent = 0.98 * latent + np.sqrt(1 - 0.98**2) * rng.standard_normal() if signal == "latent_drift" else 0.0
        wild = (returns[max(0, t - 4) : t + 1] ** 2).mean() > (returns[max(0, t - 25) : t + 1] ** 2).mean()
        state = {
            "noise": 0.0,
            "sign_of_volatility": returns[t] if wild else -returns[t],
            "latent_drift": latent,
            "ar1": returns[t],
            "volume": volume[t],
            "momentum": MOMENTUM_SHARE * momentum,
            "threshold": np.sign(momentum),
        }[signal]
        knowable[t] = np.sqrt(r2) * state
    return World(
        bars=bars_of(DAILY_VOLATILITY * returns, volume=np.exp(13 + 0.4 * volume), symbol=signal.upper(), seed=seed),
        knowable=DAILY_VOLATILITY * knowable,
    )


def bars_of(returns: Floats, *, volume: Floats | None = None, symbol: str = "TEST", seed: int = 0) -> Bars:
    """Daily bars with these log returns (the first one from 100); high and low leave room for open and close."""
    rng = np.random.default_rng([seed, 1])
    close = 100 * np.exp(np.cumsum(returns))
    open_ = close * np.exp(-np.asarray(returns) * rng.uniform(0, 1, len(close)))
    spread = np.exp(np.abs(rng.normal(0, 0.004, len(close))))
    return Bars(
        symbol=symbol,
        timeframe="1d",
        time=DAY_MS * np.arange(len(close)),
        open=open_,
        high=np.maximum(open_, close) * spread,
        low=np.minimum(open_, close) / spread,
        close=close,
        volume=np.full(len(close), 1e6) if volume is None else volume,
        source="a planted world",
        bars_per_year=252.0,
        simulated=True,
    )


def with_other_future(bars: Bars, cut: int, *, seed: int = 0) -> Bars:
    """The same bars before `cut`, bit for bit; from there on wild prices of 10 % a day and no volume."""
    later = np.arange(len(bars)) >= cut
    wild = bars_of(np.random.default_rng([seed, 2]).normal(0, 0.1, len(bars)), seed=seed)
    prices = {
        name: np.where(later, getattr(wild, name), getattr(bars, name)) for name in ("open", "high", "low", "close")
    }
    return replace(bars, **prices, volume=np.where(later, np.nan, bars.volume))
