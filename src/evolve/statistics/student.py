"""How likely is a t statistic this large, where there is nothing to find? Student's tail by numpy alone.

`scipy.special` has it too, and takes 0.2 s of CPU to be imported: a seventh of what a first chart may cost, which needs nothing else of it.

Source: Press et al. (2007), Numerical Recipes, 3rd edition, 6.4: the incomplete beta function by Lentz's continued fraction.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
TERMS = 500  # it takes O(√max(a, b)) of them; 500 are enough up to 100,000 degrees of freedom
PRECISION = 1e-13
TINY = 1e-300


def upper_tail(t: ArrayLike, degrees_of_freedom: ArrayLike) -> Floats:
    """P(T ≥ t), to 1e-10 of itself; both broadcast to one shape, degrees of freedom above 0."""
    statistic, freedom = np.broadcast_arrays(np.asarray(t, np.float64), np.asarray(degrees_of_freedom, np.float64))
    x = freedom / (freedom + statistic**2)
    half = 0.5 * _incomplete_beta(freedom / 2, np.full(freedom.shape, 0.5), x, statistic**2 / (freedom + statistic**2))
    return np.where(statistic >= 0, half, 1 - half)


def _incomplete_beta(a: Floats, b: Floats, x: Floats, y: Floats) -> Floats:
    """I_x(a, b). y: 1 − x, given so that no digits are lost where x is near 1."""
    with np.errstate(divide="ignore"):
        front = np.exp(_log_gamma(a + b) - _log_gamma(a) - _log_gamma(b) + a * np.log(x) + b * np.log(y))
    quick = x < (a + 1) / (a + b + 2)  # where the fraction converges; beyond, that of the other side does
    near = front * _fraction(np.where(quick, a, b), np.where(quick, b, a), np.where(quick, x, y))
    return np.where(quick, near / a, 1 - near / b)


def _fraction(a: Floats, b: Floats, x: Floats) -> Floats:
    c = np.ones_like(x)
    d = 1 / _apart(1 - (a + b) * x / (a + 1))
    product = d
    going = np.ones(x.shape, dtype=bool)  # each ends by itself: a value must not depend on those it was computed beside
    for m in range(1, TERMS):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _apart(1 + step * d)
            c = _apart(1 + step / c)
            product = np.where(going, product * d * c, product)
        going &= np.abs(d * c - 1) >= PRECISION
        if not going.any():
            break
    return product


def _apart(value: Floats) -> Floats:
    """Away from zero, by which is divided."""
    return np.where(np.abs(value) < TINY, TINY, value)


def _log_gamma(value: Floats) -> Floats:
    flat = [math.lgamma(each) for each in value.ravel().tolist()]
    return np.array(flat, dtype=np.float64).reshape(value.shape)
