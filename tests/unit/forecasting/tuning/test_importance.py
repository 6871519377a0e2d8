"""Which hyperparameters mattered in a search."""

from __future__ import annotations

import warnings

import numpy as np

from evolve.forecasting.tuning.importance import importances
from evolve.forecasting.tuning.sampler import Observed
from evolve.tunings import Dimension

SPACE = (
    Dimension("much", "float", 0, 1),
    Dimension("little", "float", 0, 1),
    Dimension("word", "choice", choices=("a", "b")),
)


def tried(count: int) -> list[Observed]:
    random = np.random.default_rng(0)
    points = [
        {"much": float(random.random()), "little": float(random.random()), "word": "ab"[n % 2]} for n in range(count)
    ]
    return [Observed(n, point, 3 * point["much"] + 0.3 * point["little"]) for n, point in enumerate(points)]  # type: ignore[operator]


def test_what_the_scores_follow_comes_first_and_shares_sum_to_one() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = importances(SPACE, tried(40))

    assert next(iter(found)) == "much"
    assert found["much"] > 0.9
    assert abs(sum(found.values()) - 1) < 1e-9


def test_few_trials_or_scores_that_never_differ_say_nothing() -> None:
    assert importances(SPACE, tried(9)) == {}
    assert importances(SPACE, [Observed(each.number, each.chosen, 1.0) for each in tried(20)]) == {}
