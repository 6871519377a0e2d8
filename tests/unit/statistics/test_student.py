"""Student's tail without scipy is the tail that scipy has."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtr

from evolve.statistics.student import upper_tail


def test_the_tail_is_that_of_scipy_for_few_and_many_degrees_of_freedom():
    freedom = np.array([1, 2, 5, 59, 250, 3_000, 100_000])[:, None]
    t = np.array([-8, -3, -1, -1e-3, 0, 1e-6, 0.5, 1.645, 3, 12.0])[None]
    assert upper_tail(t, freedom) == pytest.approx(stdtr(freedom, -t), rel=1e-9)


def test_a_table_of_students_distribution():
    """Student (1908) by way of any textbook: 5 % lie above 6.3138 with one degree of freedom, above 1.6707 with 60 (rounded to 4 digits)."""
    assert upper_tail([6.3138, 1.6706], [1, 60]) == pytest.approx([0.05, 0.05], abs=1e-5)
