"""Ridge regression against the normal equations."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import planted

from evolve.forecasting.base import forecaster
from evolve.forecasting.ridge import ALPHAS, ridge

RNG = np.random.default_rng(0)
TABLE = RNG.normal(0, 1, (300, 4)) @ RNG.normal(0, 1, (4, 4)) + 2
TARGET = TABLE @ np.array([0.3, -0.2, 0.0, 0.1]) + 5 + RNG.normal(0, 1, 300)


def test_weights_solve_the_penalised_normal_equations():
    line = ridge(TABLE, TARGET, alpha=7.0)

    centred = TABLE - TABLE.mean(axis=0)
    expected = np.linalg.solve(centred.T @ centred + 7.0 * np.eye(4), centred.T @ (TARGET - TARGET.mean()))
    np.testing.assert_allclose(line.weights, expected, rtol=1e-9)
    assert line.predict(TABLE.mean(axis=0, keepdims=True))[0] == pytest.approx(TARGET.mean())


def test_the_chosen_penalty_has_the_least_generalised_cross_validation_score():
    def score(alpha: float) -> float:
        centred = TABLE - TABLE.mean(axis=0)
        hat = centred @ np.linalg.solve(centred.T @ centred + alpha * np.eye(4), centred.T)
        residual = (TARGET - TARGET.mean()) - hat @ (TARGET - TARGET.mean())
        return float(residual @ residual) / (300 - np.trace(hat) - 1) ** 2

    chosen = ridge(TABLE, TARGET, alpha=min(ALPHAS, key=score))

    np.testing.assert_allclose(ridge(TABLE, TARGET, alpha=None).weights, chosen.weights, rtol=1e-12)


def test_noise_is_held_back_more_than_signal():
    noise = ridge(TABLE, RNG.normal(0, 1, 300), alpha=None)
    signal = ridge(TABLE, TARGET, alpha=None)

    assert np.linalg.norm(noise.weights) < 0.3 * np.linalg.norm(signal.weights)


def test_alpha_is_a_hyperparameter():
    bars = planted("ar1", bars=500, seed=0).bars
    weak, strong = (forecaster("ridge").fit(bars, hyperparameters={"alpha": alpha}) for alpha in (1.0, 1e6))

    assert strong.hyperparameters == {"alpha": 1e6}
    assert weak.to_bytes() != strong.to_bytes()
