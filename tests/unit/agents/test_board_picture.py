"""The board as a picture: each statistic over the limit that raises its alarm."""

from __future__ import annotations

import subprocess
import sys

import pytest

from evolve.agents.board_picture import drift_board, measures_of
from evolve.agents.drift_watch import COVERAGE_LIMIT, P_LIMIT, STABILITY_LIMIT, WINDOW_BARS
from evolve.agents.plot_sources import PlotSources
from evolve.charts.drift_board import Measure
from evolve.charts.kinds import PlotOptions
from evolve.errors import DataUnavailable
from evolve.evidence import EvidenceBook
from evolve.updates import DriftCard


def card(live_bars: int, **figures: float) -> DriftCard:
    book = EvidenceBook()
    for name, value in figures.items():
        book.add(name, "m", value, "ratio", as_of="2013-03-01", source="a test", computed="by hand")
    return DriftCard("m", "AAPL", "1d", "drift", "why", live_bars, ("losses",), (), tuple(book))


def test_each_statistic_is_a_share_of_the_limit_that_raises_its_alarm():
    held = 1 - 2 * (1 - COVERAGE_LIMIT)  # twice as many outcomes outside as the limit allows
    found = measures_of(
        card(
            WINDOW_BARS, losses_drift_psi=2 * STABILITY_LIMIT["losses"], losses_drift_p=P_LIMIT / 2, gain_drift_psi=STABILITY_LIMIT["gain"] / 2,
            gain_drift_p=0.4, live_coverage=held,
        )
    )  # fmt: skip

    assert found == (
        Measure("losses", pytest.approx(2.0), True),
        Measure("gain", pytest.approx(0.5), False),
        Measure("coverage", pytest.approx(2.0), True),
    )


def test_coverage_counts_only_once_its_window_is_full():
    (found,) = measures_of(card(WINDOW_BARS - 1, live_coverage=0.5))
    assert not found.agrees


def test_an_empty_board_names_the_command_that_fills_it(settings):
    sources = PlotSources.from_settings(settings)
    with pytest.raises(DataUnavailable, match="evolve watch add"):
        drift_board(sources.find_for("drift_board", "backtest_results"), PlotOptions(), sources)


def test_a_first_chart_waits_for_no_compiler_and_no_statistics():
    """They cost a second of CPU together, and no chart of a model's test needs them."""
    code = "import sys, evolve.agents.pictures, evolve.agents.multimodal; print([m for m in ('numba', 'scipy', 'xgboost', 'psutil', 'structlog') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
