"""Invented worlds in which the truth is known: what drifts when, and which of two models is better by how much.

Returns have stochastic volatility and fat tails, and symbols share a part of their noise. Two signals that nobody sees but the models
explain a known share of the variance each; a model is what it makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evolve.agents.drift_watch import MIN_LIVE_BARS, WINDOW_BARS, drift_of
from evolve.agents.live_record import LiveRecord, scored
from evolve.cards import DataCard, ModelCard, Recipe
from evolve.forecasting.features import causal_volatility
from evolve.forecasting.walk_forward import OutOfSample
from evolve.market.bars import Bars, Floats
from evolve.updates import DriftCard

DAY_MS = 86_400_000
TESTED = 1_000  # bars of the test, before the model goes to work
FIRST = 250  # trained on first
SHARED_NOISE = 0.3  # correlation of what nobody can forecast, between symbols; stocks have about that


@dataclass(frozen=True, eq=False)
class World:
    """One symbol. first, second: the signals; shares: what each explains of the variance, by bar, negative where it points the wrong way."""

    bars: Bars
    first: Floats
    second: Floats

    def model(self, name: str, *, first: float, second: float = 0.0, noise: float = 0.0, seed: int = 0, recipe: str = "") -> LiveRecord:  # fmt: skip
        """A model that believes its signals to explain these shares of the variance, and forecasts some noise besides."""
        scale = causal_volatility(self.bars)
        own = np.random.default_rng([seed, 77]).standard_normal(len(self.bars))
        mean = (
            scale * (np.sign(first) * np.sqrt(abs(first)) * self.first + np.sqrt(second) * self.second + np.sqrt(noise) * own)
        )[FIRST:]  # fmt: skip
        outcome = np.diff(np.log(self.bars.close))[FIRST:] / scale[FIRST:-1]
        # As the families do: the spread is that of the errors in the test, over the volatility known at the time.
        error = np.sqrt(np.mean((outcome - mean[:-1] / scale[FIRST:-1])[: TESTED - FIRST] ** 2))
        forecasts = OutOfSample(FIRST, 1, mean, error * scale[FIRST:], ())
        loss, gain, covered = scored(forecasts, self.bars)
        card = _card(name, self.bars.symbol, recipe or name)
        return LiveRecord(card, self.bars, forecasts, TESTED - 1, loss, gain, covered)


def world(seed: Sequence[int], *, bars: int, first: float = 0.0, second: float = 0.0, turns_at: int | None = None, slowly: int = 0, symbol: str = "ONE", shared: Floats | None = None) -> World:  # fmt: skip
    """turns_at: the first signal reverses there, at once or over `slowly` bars. shared: noise that other symbols have too."""
    rng = np.random.default_rng([len(seed), *seed])
    log_volatility = np.zeros(bars)
    for bar in range(1, bars):
        log_volatility[bar] = 0.98 * log_volatility[bar - 1] + 0.1 * rng.standard_normal()
    signals = rng.standard_normal((2, bars))
    noise = rng.standard_t(6, bars) / np.sqrt(1.5)
    if shared is not None:
        noise = np.sqrt(SHARED_NOISE) * shared + np.sqrt(1 - SHARED_NOISE) * noise
    turned = np.zeros(bars)
    if turns_at is not None:
        turned = np.clip((np.arange(bars) - turns_at) / max(slowly, 1), 0, 1) if slowly else np.arange(bars) >= turns_at
    believed = np.sqrt(first) * (1 - 2 * turned)
    # A signal at the close of t is about the return to the next close.
    ahead = believed * signals[0] + np.sqrt(second) * signals[1] + np.sqrt(1 - first - second) * noise
    returns = np.concatenate([[0.0], (0.01 * np.exp(log_volatility) * ahead)[:-1]])
    close = 100 * np.exp(np.cumsum(returns))
    made = Bars(
        symbol=symbol, timeframe="1d", time=1_500_000_000_000 + DAY_MS * np.arange(bars), open=close, high=close, low=close,
        close=close, volume=np.full(bars, 1e6), source="SIMULATED", bars_per_year=252.0, simulated=True,
    )  # fmt: skip
    return World(made, signals[0], signals[1])


def shared_noise(seed: Sequence[int], bars: int) -> Floats:
    return np.random.default_rng([5, *seed]).standard_t(6, bars) / np.sqrt(1.5)


def watched(record: LiveRecord) -> Iterator[tuple[int, DriftCard]]:
    """The drift card at each close since the model went to work, as it would have been then."""
    for bar in range(record.trained_to + MIN_LIVE_BARS + 1, len(record.bars)):
        known = np.arange(len(record.bars)) < bar  # the outcome of `bar` itself is unknown at its close
        then = replace(record, **{name: np.where(known, getattr(record, name), np.nan) for name in ("loss", "gain", "covered")})  # fmt: skip
        yield bar, drift_of(then)


def alarms(record: LiveRecord) -> list[tuple[int, tuple[str, ...]]]:
    """Bars at which an alarm began; after one the model is trained anew, so that the next can come a window later."""
    found: list[tuple[int, tuple[str, ...]]] = []
    for bar, card in watched(record):
        if card.state == "drift" and (not found or bar >= found[-1][0] + WINDOW_BARS):
            found.append((bar, card.alarms))
    return found


def _card(name: str, symbol: str, recipe: str) -> ModelCard:
    made = Recipe("ridge", symbol, "1d", (), {"recipe": recipe}, 1, 0, 5, 0, FIRST)
    data = DataCard(symbol, "1d", "SIMULATED", name, TESTED, "", "", True, "simulated")
    return ModelCard(f"{name}-{symbol}", made, data, "2020-01-01T00:00:00Z", "a test", "")
