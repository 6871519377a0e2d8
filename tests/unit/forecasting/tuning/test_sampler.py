"""The next point of a search: reproducible, told of what is under way, better than chance."""

from __future__ import annotations

import math

import pytest

from evolve.errors import InvalidRequest
from evolve.forecasting.base import forecaster
from evolve.forecasting.tuning.sampler import Observed, sampler, sampler_name
from evolve.forecasting.tuning.space import Range, SearchSpace, grid, holds, search_space
from evolve.tunings import Dimension

PLANE = SearchSpace("test", (Dimension("x", "float", -5, 10), Dimension("y", "float", 0, 15)), {}, {"x": 0.0, "y": 0.0})
BRANIN_MINIMUM = 0.397887  # Dixon & Szegö (1978)


def branin(x: float, y: float) -> float:
    b, c, t = 5.1 / (4 * math.pi**2), 5 / math.pi, 1 / (8 * math.pi)
    return (y - b * x * x + c * x - 6) ** 2 + 10 * (1 - t) * math.cos(x) + 10


def searched(name: str, trials: int, *, seed: int = 3) -> list[Observed]:
    chooser, seen = sampler(name, PLANE, seed=seed), []  # type: ignore[arg-type]
    for number in range(trials):
        chosen = chooser.choose(number, seen)
        seen.append(Observed(number, chosen, -branin(**chosen)))
    return seen


@pytest.mark.parametrize(
    ("method", "trials", "dear", "name"),
    [("bayesian", 50, True, "gp"), ("bayesian", 201, True, "tpe"), ("bayesian", 50, False, "tpe"), ("grid", 5, True, "grid"), ("random", 5, True, "random")],
)  # fmt: skip
def test_the_process_is_for_dear_fits_and_few_trials(method: str, trials: int, dear: bool, name: str) -> None:
    assert sampler_name(method, trials=trials, dear=dear) == name  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_a_choice_depends_on_seed_number_and_what_was_seen_only(name: str) -> None:
    """A trial whose worker died is chosen again, by another process, as it was."""
    seen = searched(name, 25)

    again = sampler(name, PLANE, seed=3).choose(24, seen[:24])  # type: ignore[arg-type]
    other = sampler(name, PLANE, seed=4).choose(24, seen[:24])  # type: ignore[arg-type]

    assert again == seen[24].chosen
    assert other != seen[24].chosen


def test_the_process_chooses_again_what_it_chose() -> None:
    pytest.importorskip("torch")
    seen = searched("gp", 13)

    assert sampler("gp", PLANE, seed=3).choose(12, seen[:12]) == seen[12].chosen


def test_a_trial_that_is_under_way_and_then_has_a_score_counts_once() -> None:
    seen = searched("tpe", 15)
    chooser = sampler("tpe", PLANE, seed=3)
    chooser.choose(14, [*seen[:13], Observed(13, seen[13].chosen, None)])

    assert chooser.choose(15, seen) == sampler("tpe", PLANE, seed=3).choose(15, seen)


def test_a_tree_of_parzen_windows_comes_nearer_than_chance() -> None:
    def reached(name: str) -> float:
        ends = [max(each.score or -99.0 for each in searched(name, 40, seed=seed)) for seed in range(3)]
        return sum(-end - BRANIN_MINIMUM for end in ends) / len(ends)

    assert reached("tpe") < 0.6 * reached("random")


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_what_is_chosen_lies_in_the_space(name: str) -> None:
    space = search_space(
        forecaster("xgboost"), {"max_depth": [1, 3], "n_estimators": Range(10, 40), "subsample": Range(0.2, 0.4)}
    )
    chooser, seen = sampler(name, space, seed=0), []  # type: ignore[arg-type]
    for number in range(25):
        chosen = chooser.choose(number, seen)
        assert all(holds(each, chosen[each.name]) for each in space.dimensions)
        assert isinstance(chosen["n_estimators"], int)
        seen.append(Observed(number, chosen, float(number)))


def test_a_grid_is_walked_once_through_in_an_order_that_its_seed_draws() -> None:
    space = search_space(forecaster("xgboost"), {"max_depth": [1, 2, 3], "subsample": [0.5, 1.0]})
    points = grid(space, 6)
    chooser = sampler("grid", space, seed=0, points=points)

    walked = [chooser.choose(number, ()) for number in range(6)]

    assert sorted(walked, key=str) == sorted(points, key=str)
    assert walked != points
    with pytest.raises(InvalidRequest, match="there is no trial 6"):
        chooser.choose(6, ())
