"""Ridge regression: the best linear combination of the features, held back in proportion to its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evolve.forecasting.base import Arrays, Hyperparameter, HyperValue, Progress
from evolve.forecasting.learned import LearnedForecaster, Samples
from evolve.market.bars import Floats

# In units of rows: alpha / (rows + alpha) is how much a direction of unit variance is held back.
ALPHAS = tuple(float(alpha) for alpha in np.geomspace(1.0, 1e5, 26))


@dataclass(frozen=True, eq=False)
class Line:
    intercept: float
    weights: Floats

    def predict(self, table: Floats) -> Floats:
        # Not a matrix product: BLAS may add in another order for another number of rows.
        along: Floats = (table * self.weights).sum(axis=1)
        return self.intercept + along

    @classmethod
    def of(cls, arrays: Arrays) -> Line:
        return cls(float(arrays["intercept"][0]), np.asarray(arrays["weights"], np.float64))

    def parts(self, table: Floats) -> Floats:
        return self.predict(table)[None]

    def arrays(self) -> Arrays:
        return {"intercept": np.array([self.intercept]), "weights": self.weights}


class Ridge(LearnedForecaster):
    family: ClassVar[str] = "ridge"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Hyperparameter(
            "alpha",
            "float",
            0.0,
            "penalty on squared weights of standardised features, in rows; 0: chosen by generalised cross-validation",
            low=0.0,
            high=1e6,
            scale="log",
            search=(1.0, 1e5),
        ),
    )

    def fit_member(
        self,
        samples: Samples,
        *,
        settings: Mapping[str, HyperValue],
        horizon_bars: int,
        seed: int,
        progress: Progress,
    ) -> Line:
        return ridge(samples.table, samples.target, alpha=float(settings["alpha"]) or None)

    def restore_member(self, arrays: Arrays, *, inputs: int, settings: Mapping[str, HyperValue]) -> Line:
        return Line.of(arrays)


def ridge(table: Floats, target: Floats, *, alpha: float | None) -> Line:
    """Closed form by singular value decomposition; the intercept is not penalised.

    alpha None: the one of ALPHAS with the least generalised cross-validation score n·RSS / (n − df − 1)².

    Source: Golub, Heath & Wahba (1979), Technometrics 21(2).
    """
    centre, level = table.mean(axis=0), float(target.mean())
    left, singular, right = np.linalg.svd(table - centre, full_matrices=False)
    along = left.T @ (target - level)
    if alpha is None:
        alpha = min(ALPHAS, key=lambda candidate: _gcv(singular, along, target - level, candidate))
    weights = right.T @ (singular / (singular**2 + alpha) * along)
    return Line(level - float(centre @ weights), weights)


def _gcv(singular: Floats, along: Floats, target: Floats, alpha: float) -> float:
    kept = singular**2 / (singular**2 + alpha)
    residual = float(target @ target - along @ along + (((1 - kept) * along) ** 2).sum())
    rows, degrees = len(target), float(kept.sum())
    return rows * residual / (rows - degrees - 1) ** 2
