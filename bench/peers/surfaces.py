"""Functions whose minimum is known, and a table of an xgboost model's error: what the tuners of `bench/tuning.py` minimise.

Needs numpy only, so that every peer's environment can import it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Point = dict[str, float]


@dataclass(frozen=True)
class Surface:
    """bounds: of each coordinate; log: those searched by ratio; target: reached when the value is not above it."""

    name: str
    bounds: dict[str, tuple[float, float]]
    value: Callable[[Point], float]
    target: float
    log: frozenset[str] = frozenset()


def branin(at: Point) -> float:
    """Minimum 0.397887. Source: Dixon & Szegö (1978), Towards Global Optimization 2."""
    b, c, t = 5.1 / (4 * math.pi**2), 5 / math.pi, 1 / (8 * math.pi)
    x, y = at["x"], at["y"]
    return (y - b * x * x + c * x - 6) ** 2 + 10 * (1 - t) * math.cos(x) + 10


_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(at: Point) -> float:
    """Minimum −3.32237. Source: Dixon & Szegö (1978)."""
    x = np.array([at[f"x{number}"] for number in range(6)])
    return float(-(_ALPHA * np.exp(-(_A * (x - _P) ** 2).sum(axis=1))).sum())


def levy(at: Point) -> float:
    """Minimum 0. Source: Laguna & Martí (2005), Journal of Global Optimization 33."""
    w = [1 + (at[f"x{number}"] - 1) / 4 for number in range(4)]
    middle = sum((v - 1) ** 2 * (1 + 10 * math.sin(math.pi * v + 1) ** 2) for v in w[:-1])
    return math.sin(math.pi * w[0]) ** 2 + middle + (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)


XGBOOST_BOUNDS = {
    "max_depth": (1.0, 8.0), "n_estimators": (10.0, 400.0), "learning_rate": (0.005, 0.5), "subsample": (0.2, 1.0),
    "min_child_weight": (1.0, 100.0),
}  # fmt: skip
XGBOOST_LOG = frozenset({"n_estimators", "learning_rate", "min_child_weight"})


def unit(at: Point) -> np.ndarray:
    """A point of the xgboost space in 0 … 1 by coordinate."""
    shares = []
    for name, (low, high) in XGBOOST_BOUNDS.items():
        value, low, high = (math.log(v) if name in XGBOOST_LOG else v for v in (at[name], low, high))
        shares.append((value - low) / (high - low))
    return np.array(shares)


@dataclass(frozen=True)
class Table:
    """Errors measured at points, joined smoothly: a cubic spline of the distance (Duchon 1977), with a plane."""

    points: np.ndarray
    weights: np.ndarray
    plane: np.ndarray

    @classmethod
    def fit(cls, points: np.ndarray, errors: np.ndarray) -> Table:
        count = len(points)
        distances = np.linalg.norm(points[:, None] - points[None], axis=2) ** 3
        ones = np.column_stack([np.ones(count), points])
        size = ones.shape[1]
        # A little smoothing: the errors are measured with noise.
        system = np.block([[distances + 0.05 * np.eye(count), ones], [ones.T, np.zeros((size, size))]])
        solved = np.linalg.solve(system, np.concatenate([errors, np.zeros(size)]))
        return cls(points, solved[:count], solved[count:])

    def __call__(self, at: Point) -> float:
        x = unit(at)
        return float(self.weights @ np.linalg.norm(self.points - x, axis=1) ** 3 + self.plane[0] + self.plane[1:] @ x)


def surfaces(table: Path) -> tuple[Surface, ...]:
    """table: where `bench/tuning.py` kept the measured errors."""
    kept = np.load(table)
    unit_square = {f"x{number}": (0.0, 1.0) for number in range(6)}
    return (
        Surface("Branin", {"x": (-5.0, 10.0), "y": (0.0, 15.0)}, branin, 0.5),
        Surface("Hartmann-6", unit_square, hartmann, -2.9),
        Surface("Levy-4", {f"x{number}": (-10.0, 10.0) for number in range(4)}, levy, 1.0),
        Surface(
            "xgboost", XGBOOST_BOUNDS, Table.fit(kept["points"], kept["errors"]), float(kept["target"]), XGBOOST_LOG
        ),
    )
