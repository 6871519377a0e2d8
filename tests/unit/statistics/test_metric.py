from __future__ import annotations

import math

import numpy as np
import pytest

from evolve.errors import InvalidRequest
from evolve.statistics.metric import Metric, same_length, series, table


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_becomes_undefined_with_a_reason(value: float) -> None:
    metric = Metric.of(value, 3)

    assert metric.value is None
    assert metric.note


def test_a_series_with_a_hole_is_refused_and_the_place_is_named() -> None:
    with pytest.raises(InvalidRequest, match="returns holds nan at 2"):
        series([0.1, 0.2, np.nan], "returns")


def test_a_table_with_a_hole_is_refused_and_the_place_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"returns holds inf at \(1, 0\)"):
        table([[0.1, 0.2], [np.inf, 0.0]], "returns")


def test_a_table_is_not_a_series() -> None:
    with pytest.raises(InvalidRequest, match="one dimension"):
        series([[1.0]], "returns")


def test_series_of_different_lengths_are_refused_and_both_lengths_named() -> None:
    with pytest.raises(InvalidRequest, match="first has 2, second has 3"):
        same_length(first=np.zeros(2), second=np.zeros(3))
