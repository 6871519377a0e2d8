"""How much of a forecast is believed? As much as it was worth on rows that its members had not seen.

Source: James & Stein (1961); Copas (1983), Regression, Prediction and Shrinkage, JRSS B 45(3); Akaike (1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evolve.market.bars import Floats

# A coefficient that was estimated pays for itself out of sample once its t² is above 2 (Akaike 1974).
BREAK_EVEN = 2.0
# The block whose t is measured also chose the penalty and, by being looked at, the family: t flatters a little. Near its best
# value a factor hardly matters (a seventh less loses 2 % of what is found), while on noise the loss falls with its square.
HELD = 0.85


@dataclass(frozen=True)
class Shrinkage:
    """factor in 0 … 1; r2: out-of-fold R² against no change, before shrinkage; t: of the slope of target on forecast; residual: rms error of the shrunk forecast, in units of volatility."""

    factor: float
    r2: float
    t: float
    residual: float


def believed(parts: Floats, shrunk: Sequence[Shrinkage]) -> Floats:
    """The forecast, shape (rows,): each of its parts, shape (parts, rows), as far as it is believed."""
    total: Floats = np.zeros(parts.shape[1])
    for part, each in zip(parts, shrunk, strict=True):
        if each.factor > 0:
            total = total + each.factor * part
    return total


def shrinkages(out_of_fold: Floats, target: Floats, *, horizon_bars: int) -> tuple[Shrinkage, ...]:
    """The shrinkage of each part, shape (parts, rows), of the target less what the parts before it explain."""
    found, left = [], target
    for part in out_of_fold:
        found.append(shrinkage(part, left, horizon_bars=horizon_bars))
        left = left - found[-1].factor * part
    return tuple(found)


def numbers_of(shrunk: Sequence[Shrinkage]) -> dict[str, float]:
    """As a model's header keeps them."""
    numbers = {"parts": float(len(shrunk))}
    for part, each in enumerate(shrunk):
        numbers |= {f"{name}{part}": float(getattr(each, name)) for name in ("factor", "r2", "t", "residual")}
    return numbers


def shrinkage(forecast: Floats, target: Floats, *, horizon_bars: int, most: float = 1.0) -> Shrinkage:
    """How much of an out-of-fold forecast to believe.

    The slope of the target on the forecast through 0 is what minimises the squared error, but it is itself estimated: it is
    multiplied by 1 − BREAK_EVEN / t², which is 0 where t shows nothing, and by HELD, and cut to 0 … most.
    Overlapping targets repeat each other: t counts one in `horizon_bars` rows.
    """
    energy = float(forecast @ forecast)
    squares = float(target @ target)
    r2 = 1 - float(((target - forecast) ** 2).sum()) / squares
    if energy <= 1e-12 * squares:
        return Shrinkage(factor=0.0, r2=r2, t=0.0, residual=_rms(target))
    slope = float(forecast @ target) / energy
    independent_rows = max(len(target) / horizon_bars - 1, 1)
    error = float(((target - slope * forecast) ** 2).sum()) / len(target)
    t = slope / np.sqrt(error / (energy / len(target)) / independent_rows)
    paid = t > 0 and t**2 > BREAK_EVEN
    factor = float(np.clip(HELD * slope * (1 - BREAK_EVEN / t**2), 0.0, most)) if paid else 0.0
    return Shrinkage(factor=factor, r2=r2, t=float(t), residual=_rms(target - factor * forecast))


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
