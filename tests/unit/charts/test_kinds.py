"""Names of charts: what is nearly right is told, what is right in another way is taken."""

from __future__ import annotations

import pytest

from evolve.agents.pictures import KINDS
from evolve.charts.kinds import ALIASES, PLOTS, plot_kind


def test_every_name_and_alias_leads_to_a_chart_that_is_drawn():
    assert set(PLOTS) <= set(KINDS)
    assert {plot_kind(name) for name in ALIASES} <= set(KINDS)
    assert plot_kind(" Equity-Curve ") == "equity_curve"


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="equity_curve"):
        plot_kind("equity_curv3")
