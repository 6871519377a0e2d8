"""How is a computed figure handed on? As a value with its sample size; or, where it is undefined, as None with the reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.errors import InvalidRequest

Floats = NDArray[np.float64]
# Below this share of the mean size, the spread of a series is rounding: dividing by it gives 10¹⁵, not a ratio. A spread computed from
# the deviations of n values near 1 errs by about √n × 10⁻¹⁶.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure. value: None means undefined for these data, and `note` then says why.

    n: observations that went in. low, high: interval at confidence `level`; all three None where there is none. ddof: degrees of
    freedom taken off where a spread was estimated; bars_per_year: what an annual figure was scaled by; None where there is none.
    """

    value: float | None
    n: int
    note: str = ""
    low: float | None = None
    high: float | None = None
    level: float | None = None
    ddof: int | None = None
    bars_per_year: float | None = None

    @classmethod
    def of(cls, value: float, n: int, note: str = "") -> Metric:
        """A figure; a non-finite `value` becomes undefined, with `note` as the reason."""
        number = float(value)
        if not math.isfinite(number):
            return cls(None, n, note or "undefined for these data")
        return cls(number, n, note)

    @classmethod
    def between(cls, value: float, n: int, *, low: float, high: float, level: float, note: str = "") -> Metric:
        """A figure with its interval at confidence `level`."""
        return cls(float(value), n, note, float(low), float(high), level)

    @classmethod
    def undefined(cls, n: int, why: str) -> Metric:
        return cls(None, n, why)

    def made_with(self, *, ddof: int | None = None, bars_per_year: float | None = None) -> Metric:
        """The same figure, saying by which conventions it was made."""
        return replace(self, ddof=ddof, bars_per_year=bars_per_year)


def series(values: ArrayLike, name: str) -> Floats:
    """`values` as finite float64 of shape (bars,). Raises InvalidRequest naming the first entry that is not a number."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InvalidRequest(f"{name} must have one dimension (bars,), not the shape {array.shape}")
    _require_finite(array, name)
    return array


def table(values: ArrayLike, name: str) -> Floats:
    """`values` as finite float64 of shape (bars, columns). Raises InvalidRequest naming the first entry that is not a number."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2:
        raise InvalidRequest(f"{name} must have two dimensions (bars, columns), not the shape {array.shape}")
    _require_finite(array, name)
    return array


def same_length(**arrays: Floats) -> int:
    """The common length of the arrays. Raises InvalidRequest naming the lengths where they differ."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise InvalidRequest(f"series must be equally long: {shown}")
    return next(iter(lengths.values()))


def _require_finite(array: Floats, name: str) -> None:
    wrong = np.argwhere(~np.isfinite(array))
    if wrong.size:
        where = tuple(int(index) for index in wrong[0])
        shown = where[0] if len(where) == 1 else where
        raise InvalidRequest(f"{name} holds {array[where]} at {shown}; leave out or repair what is not a number")


def is_still(sample: Floats) -> bool:
    """Whether what varies in `sample` is rounding, so that no ratio to its spread means anything."""
    return bool(sample.std() <= ROUNDING * np.abs(sample).max())
