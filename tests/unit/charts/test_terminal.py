"""A chart of characters: drawn to scale, with labelled axes, in what the terminal can show."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.cards import Curve
from evolve.charts.terminal import equity_chart
from evolve.errors import InvalidRequest

DATES = ("2013-01-01", "2013-01-02", "2013-01-03")
UP = Curve("ridge", DATES, (1.0, 1.5, 2.0))
DOWN = Curve("naive", DATES, (2.0, 1.5, 1.0))


def test_a_straight_line_in_ascii_is_as_drawn_by_hand():
    """Growth from 1 to 2 on 30 columns and 4 rows: row r of 4, counted from below, holds what rounds to it, 5, 10, 10 and 5 columns.

    The row below the top stands for 1 + 2/3.
    """
    straight = Curve("ridge", ("2013-01-01", "2013-01-03"), (1.0, 2.0))

    assert equity_chart([straight], 36, 6, encoding="ascii").splitlines() == [
        "   2 |                         *****",
        "1.67 |               **********",
        "     |     **********",
        "   1 |*****",
        "     +------------------------------",
        "      2013-01-01          2013-01-03",
        "** ridge x2.00   (growth of 1)",
    ]


def test_axes_are_labelled_with_values_dates_and_unit():
    chart = equity_chart([UP], 40, 7, encoding="utf-8").splitlines()

    assert chart[0].startswith("  2 │")
    assert chart[2].startswith("1.5 │")
    assert chart[4].startswith("  1 │")
    assert chart[6].split() == ["2013-01-01", "2013-01-03"]
    assert chart[7].endswith("ridge ×2.00   (growth of 1)")


def test_one_curve_is_braille_where_it_can_be_shown_and_ascii_where_not():
    assert re.search("[⠁-⣿]", equity_chart([UP], 40, 8, encoding="utf-8"))
    for encoding in ("ascii", "latin-1", "cp1252", "no such encoding"):
        equity_chart([UP], 40, 8, encoding=encoding).encode("ascii")


def test_several_curves_are_told_apart_by_marks_or_by_colours():
    plain = equity_chart([UP, DOWN], 40, 8, encoding="utf-8")
    coloured = equity_chart([UP, DOWN], 40, 8, encoding="utf-8", colour=True)

    assert "** ridge" in plain
    assert "oo naive" in plain
    assert {"\x1b[36m", "\x1b[33m"} <= set(re.findall("\x1b\\[3.m", coloured))


def test_the_first_curve_is_on_top_where_two_meet():
    plot = equity_chart([UP, Curve("same", DATES, UP.equity)], 40, 8, encoding="ascii").split("+")[0]

    assert "*" in plot
    assert "o" not in plot


def test_simulated_is_said():
    assert "SIMULATED" in equity_chart([Curve("ridge", DATES, UP.equity, simulated=True)], 40, 8, encoding="ascii")
    assert "SIMULATED" not in equity_chart([UP], 40, 8, encoding="ascii")


def test_a_wide_range_is_drawn_on_a_log_scale_and_says_so():
    """Half way up from 1 to 100 is 10 on a log scale."""
    chart = equity_chart([Curve("hold", DATES, (1.0, 10.0, 100.0))], 40, 7, encoding="ascii")

    assert [line.split("|")[0].strip() for line in chart.splitlines()[:5]] == ["100", "", "10", "", "1"]
    assert "log scale" in chart


def test_a_flat_line_is_drawn():
    assert "*" in equity_chart([Curve("flat", DATES, (1.0, 1.0, 1.0))], 40, 8, encoding="ascii").split("+")[0]


@settings(max_examples=60, deadline=None)
@given(
    equity=st.lists(st.floats(0, 1e9), min_size=2, max_size=40),
    width=st.integers(36, 120),
    height=st.integers(6, 40),
    encoding=st.sampled_from(["utf-8", "ascii"]),
)
def test_a_chart_never_exceeds_its_columns_and_rows(equity, width, height, encoding):
    dates = tuple(f"{1990 + year}-01-01" for year in range(len(equity)))

    lines = equity_chart([Curve("ridge", dates, tuple(equity))], width, height, encoding=encoding).splitlines()

    assert len(lines) == height + 1
    assert max(map(len, lines[:height])) <= width


def test_a_chart_too_small_to_read_is_refused():
    with pytest.raises(InvalidRequest, match="at least 36 × 6"):
        equity_chart([UP], 20, 6)
