from __future__ import annotations

import numpy as np
import pytest

from evolve.errors import InvalidRequest
from evolve.statistics.selection import model_confidence_set, stepwise_superior


def test_the_confidence_set_equals_that_of_arch():
    """arch 8.0.0: MCS(losses, 0.1, reps=2000, block_size=10, method="max", seed=1).pvalues; both draw at random, hence the width."""
    losses = np.random.default_rng(5).normal(0, 1, (400, 5)) + np.array([0, 0, 0.1, 0.3, 0.6])

    found = model_confidence_set(losses, mean_block_bars=10, rng=np.random.default_rng(1))

    assert found.p_values == pytest.approx((1.0, 0.393, 0.080, 0.0, 0.0), abs=0.03)
    assert found.included == (0, 1)


def test_the_superior_candidates_equal_those_of_arch():
    """arch 8.0.0: StepM(benchmark, losses, 0.05, reps=2000, block_size=10, studentize=True, seed=1).superior_models is [4, 5]."""
    benchmark = np.random.default_rng(7).normal(1, 1, 400)
    losses = np.random.default_rng(8).normal(1, 1, (400, 6)) - np.array([0, 0, 0.1, 0.2, 0.3, 0.4])

    found = stepwise_superior(benchmark[:, None] - losses, mean_block_bars=10, rng=np.random.default_rng(1))

    assert found.superior == (4, 5)


def test_in_noise_a_superior_candidate_is_named_no_more_often_than_the_level():
    """200 worlds of 20 candidates; at 5 % more than 22 false alarms have a probability below 0.1 %."""
    rng = np.random.default_rng(11)
    false = sum(
        bool(stepwise_superior(rng.normal(size=(150, 20)), mean_block_bars=1.5, draws=300, rng=rng).superior)
        for _ in range(200)
    )

    assert false <= 22


def test_a_good_candidate_makes_room_for_the_next():
    """Once the clear winner is out of the maximum, a weaker one no longer has to beat its shadow."""
    rng = np.random.default_rng(12)
    sample = rng.normal(size=(500, 30)) + np.where(np.arange(30) < 3, [0.5, 0.3, 0.14] + [0] * 27, 0)

    found = stepwise_superior(sample, mean_block_bars=1.5, rng=np.random.default_rng(2))

    assert set(found.superior) >= {0, 1}
    assert found.steps >= 2


def test_the_best_model_is_always_in_the_confidence_set():
    losses = np.random.default_rng(13).normal(size=(100, 4))

    found = model_confidence_set(losses, rng=np.random.default_rng(3))

    best = int(np.argmin(losses.mean(axis=0)))
    assert best in found.included
    assert found.p_values[best] == 1.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda rng: model_confidence_set(np.zeros((50, 1)), rng=rng), "at least two bars and 2 columns"),
        (lambda rng: model_confidence_set(np.tile(rng.normal(size=(50, 1)), 2), rng=rng), "leave it out"),
        (lambda rng: stepwise_superior(np.ones((50, 1)), mean_block_bars=2, rng=rng), "leave it out"),
        (lambda rng: stepwise_superior(rng.normal(size=(50, 2)), level=0.0, rng=rng), "between 0 and 1"),
    ],
)
def test_what_cannot_be_tested_is_refused(call, said):
    with pytest.raises(InvalidRequest, match=said):
        call(np.random.default_rng(4))
