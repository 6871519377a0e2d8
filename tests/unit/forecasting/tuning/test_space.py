"""Where a search looks: the family's own ranges, or what the user wants of them, refused in a sentence where it is not allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.errors import InvalidRequest
from evolve.forecasting.base import families, forecaster
from evolve.forecasting.tuning.space import Range, at, grid, search_space

TUNABLE = [name for name in families() if forecaster(name).hyperparameters]


@pytest.mark.parametrize("name", TUNABLE)
def test_a_familys_own_space_lies_within_what_it_allows_and_holds_its_defaults_or_zero(name: str) -> None:
    """A default of 0 means "chosen from the data" (ridge, ets), which is no point of a range."""
    family = forecaster(name)
    space = search_space(family)
    declared = {each.name: each for each in family.hyperparameters}

    assert [each.name for each in space.dimensions] == list(declared)
    for dimension in space.dimensions:
        for share in (0.0, 0.3, 1.0):
            declared[dimension.name].check(name, at(dimension, share))
    off = {name for name, default in space.defaults.items() if default != 0}
    assert all(
        space.holds(space.complete({})) or dimension.name not in off or _inside(dimension, space.defaults)
        for dimension in space.dimensions
    )


def _inside(dimension, defaults):  # type: ignore[no-untyped-def]
    value = defaults[dimension.name]
    return value in dimension.choices if dimension.choices else dimension.low <= value <= dimension.high


def test_what_is_wanted_is_searched_what_has_one_value_is_settled_and_the_rest_keeps_its_default() -> None:
    space = search_space(
        forecaster("xgboost"), {"max_depth": [1, 2.0, 2], "learning_rate": Range(0.01, 0.1), "subsample": 0.8}
    )

    assert [(each.name, each.kind, each.choices) for each in space.dimensions] == [
        ("max_depth", "choice", (1, 2)),
        ("learning_rate", "float", ()),
    ]
    assert space.dimensions[1].scale == "log"  # as the family declares
    whole = space.complete({"max_depth": 1, "learning_rate": 0.05})
    assert (whole["subsample"], whole["n_estimators"]) == (0.8, 50)


@pytest.mark.parametrize(
    ("family", "wanted", "said"),
    [
        ("xgboost", {"max_dept": [1, 2]}, "unknown hyperparameter 'max_dept' in param_space; nearest: max_depth"),
        ("xgboost", {"max_depth": [1, 90]}, "max_depth must be a whole number from 1 to 8, not 90"),
        ("xgboost", {"max_depth": Range(1.5, 3)}, "max_depth must be a whole number from 1 to 8, not 1.5"),
        ("xgboost", {"learning_rate": Range(0.2, 0.1)}, "begins at 0.2, above its end 0.1"),
        ("xgboost", {"learning_rate": Range(float("nan"), 0.1)}, "learning_rate must be a number"),
        ("xgboost", {"reg_lambda": Range(0.0, 1.0, log=True)}, "a log range of reg_lambda must begin above 0"),
        (
            "xgboost",
            {"max_depth": []},
            "param_space gives no value for max_depth; it may be a whole number from 1 to 8",
        ),
        ("xgboost", {"max_depth": [3], "subsample": 0.5}, "param_space leaves a single point"),
        ("xgboost", {"max_depth": ["deep", 2]}, "max_depth must be a whole number from 1 to 8, not 'deep'"),
        ("ensemble", {"members": Range(0, 1)}, "members must be one of fast, standard, all; give a list"),
        ("ensemble", {"members": ["fast", "some"]}, "members must be one of fast, standard, all, not 'some'"),
    ],
)
def test_a_space_that_is_not_allowed_is_refused_naming_what_is(family: str, wanted: dict, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidRequest) as refused:
        search_space(forecaster(family), wanted)
    assert said in refused.value.message


def test_a_grid_takes_lists_whole_and_cuts_ranges_as_fine_as_trials_allow() -> None:
    space = search_space(forecaster("xgboost"), {"max_depth": [1, 2, 3], "subsample": Range(0.5, 1.0)})

    points = grid(space, 10)

    assert len(points) == 9
    assert {point["max_depth"] for point in points} == {1, 2, 3}
    assert {point["subsample"] for point in points} == {0.5, 0.75, 1.0}


def test_lists_with_more_combinations_than_trials_are_refused_with_the_count() -> None:
    space = search_space(forecaster("xgboost"), {"max_depth": [1, 2, 3, 4], "n_estimators": [10, 20, 30]})

    with pytest.raises(InvalidRequest, match="12 combinations and n_trials is 11"):
        grid(space, 11)


@given(st.integers(1, 200))
def test_a_grid_never_has_more_points_than_trials_and_none_twice(trials: int) -> None:
    points = grid(search_space(forecaster("xgboost")), trials)

    assert 1 <= len(points) <= trials
    assert len({tuple(sorted(point.items())) for point in points}) == len(points)
