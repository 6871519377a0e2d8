"""Looking several times errs as often as promised, by the exact law and by drawing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evolve.errors import InvalidRequest
from evolve.statistics.sequential import cautious_looks, prompt_looks


def test_two_cautious_looks_err_together_as_often_as_promised():
    """The two statistics are normal with correlation √½, since the second holds the bars of the first."""
    plan = cautious_looks(75, 150)
    first, last = (stats.norm.isf(p) for p in plan.p)

    neither = stats.multivariate_normal([0, 0], [[1, 0.5**0.5], [0.5**0.5, 1]]).cdf([first, last])

    assert 1 - neither == pytest.approx(plan.alpha, abs=2e-4)
    assert first == pytest.approx(last * 2**0.5)


def test_six_prompt_looks_err_together_as_often_as_promised():
    plan = prompt_looks(21)
    rng = np.random.default_rng(0)
    sums = np.cumsum(rng.standard_normal((200_000, 6)), axis=1) / np.sqrt(np.arange(1, 7))

    erred = (sums > stats.norm.isf(plan.p[0])).any(axis=1).mean()

    assert erred == pytest.approx(plan.alpha, abs=0.003)
    assert plan.bars == (21, 42, 63, 84, 105, 126)


def test_a_look_is_due_when_its_bars_are_there():
    plan = cautious_looks(75, 150)

    assert plan.due(74) == ()
    assert [bars for bars, _ in plan.due(75)] == [75]
    assert [bars for bars, _ in plan.due(400)] == [75, 150]
    assert (plan.next_after(0), plan.next_after(75), plan.next_after(150)) == (75, 150, None)


def test_the_first_look_is_at_half_of_the_bars():
    with pytest.raises(InvalidRequest, match="half of the bars"):
        cautious_looks(50, 150)
