"""The picture says what it shows: curves, units, source, and SIMULATED where it is so."""

from __future__ import annotations

import os
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.cards import Curve
from evolve.charts.equity import drawdown, equity_figure, equity_png, wants_log_scale
from evolve.errors import InvalidRequest, Unavailable

DATES = ("2013-02-27", "2013-02-28", "2013-03-01")
RIDGE = Curve("ridge", DATES, (1.0, 1.1, 0.99))
HOLD = Curve("buy and hold", DATES, (1.0, 0.9, 1.2))


def figure(*curves: Curve, title: str = "AAPL 1d", source: str = "bokeh-sampledata", theme: str = "light"):
    return equity_figure(curves, title=title, source=source, theme=theme)


def texts(drawn) -> list[str]:
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    return [text.get_text() for text in drawn.texts] + [axes.get_ylabel() for axes in drawn.axes] + legend


def test_drawdown_is_the_fraction_below_the_highest_value_so_far():
    """By hand: 0.99 / 1.1 − 1 = −0.1; 0.9 / 1 − 1 = −0.1, then a new peak."""
    assert drawdown(RIDGE.equity) == pytest.approx([0, 0, -0.1])
    assert drawdown(HOLD.equity) == pytest.approx([0, -0.1, 0])


@given(st.lists(st.just(0.0) | st.floats(1e-6, 1e6), min_size=2, max_size=30), st.floats(0.001, 1000))
def test_drawdown_lies_between_minus_1_and_0_and_does_not_depend_on_the_unit(equity, unit):
    fallen = drawdown(equity)

    assert all(-1 <= value <= 0 for value in fallen)
    assert drawdown([value * unit for value in equity]) == pytest.approx(fallen, abs=1e-9)


def test_the_figure_names_title_source_units_curves_and_their_last_values():
    shown = texts(figure(RIDGE, HOLD))

    assert {
        "AAPL 1d",
        "Source: bokeh-sampledata",
        "Growth of 1",
        "Drawdown",
        "ridge   ×0.99",
        "buy and hold   ×1.20",
    } <= set(shown)


def test_the_curves_drawn_are_the_values_given():
    drawn = figure(RIDGE, HOLD)

    assert [tuple(line.get_ydata()) for line in drawn.axes[0].get_lines()] == [RIDGE.equity, HOLD.equity]
    assert tuple(drawn.axes[1].get_lines()[0].get_ydata()) == pytest.approx((0, 0, -10))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_simulated_is_written_across_when_any_curve_is(theme):
    simulated = Curve("ridge", DATES, RIDGE.equity, simulated=True)

    large = [text for text in figure(HOLD, simulated, theme=theme).texts if text.get_text() == "SIMULATED"]
    assert [text.get_fontsize() > 60 for text in large] == [True]
    assert "ridge (simulated)   ×0.99" in texts(figure(HOLD, simulated))
    assert "SIMULATED" not in texts(figure(HOLD, RIDGE))


@pytest.mark.parametrize(
    ("values", "log"), [((1, 3.9), False), ((1, 4), True), ((1, 0.25), True), ((1, 0), False), ((0, 100), False)]
)
def test_the_axis_is_logarithmic_from_a_range_of_four_on_and_never_with_a_zero(values, log):
    curve = Curve("ridge", DATES[:2], values)

    assert wants_log_scale([curve]) is log
    assert figure(curve).axes[0].get_yscale() == ("log" if log else "linear")


def test_a_dollar_is_a_dollar_and_not_a_formula(tmp_path):
    path = tmp_path / "equity.png"

    equity_png([Curve("$\\bad$", DATES, RIDGE.equity)], title="$1 and \\frac{ $2", source="$x^$", path=path)

    assert path.is_file()


@pytest.mark.parametrize("name", ["ridge", "a model with a rather long name", "x" * 200, "long name " * 30])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_nothing_written_is_cut_off_at_the_edge(name, count):
    drawn = figure(
        *(Curve(name, DATES, RIDGE.equity, simulated=number == 0) for number in range(count)),
        title="word " * 30,
        source="where from " * 20,
    )
    drawn.canvas.draw()
    width, height = drawn.canvas.get_width_height()

    for artist in (*drawn.texts, drawn.legends[0]):
        box = artist.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    assert drawn.legends[0].get_window_extent().y0 >= drawn.axes[0].get_window_extent().y1


def test_the_file_is_a_png_of_1200_by_750_and_equal_curves_give_equal_bytes(tmp_path):
    one, other = tmp_path / "new" / "one.png", tmp_path / "other.png"

    assert equity_png([RIDGE, HOLD], title="t", source="s", path=one) == one
    equity_png([RIDGE, HOLD], title="t", source="s", path=other)

    content = one.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (1200, 750)
    assert content == other.read_bytes()


def test_light_and_dark_differ(tmp_path):
    for theme in ("light", "dark"):
        equity_png([RIDGE], title="t", source="s", path=tmp_path / theme, theme=theme)

    assert (tmp_path / "light").read_bytes() != (tmp_path / "dark").read_bytes()


def test_a_directory_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(
        Unavailable, match=r"cannot write .*chart\.png: .*; give a path in a directory that you can write"
    ):
        equity_png([RIDGE], title="t", source="s", path=tmp_path / "file" / "chart.png")


def test_a_failed_write_keeps_the_old_picture_and_leaves_no_part(tmp_path, monkeypatch):
    path = tmp_path / "chart.png"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evolve.files.os.replace", full)

    with pytest.raises(Unavailable, match="No space left on device"):
        equity_png([RIDGE], title="t", source="s", path=path)
    assert {found.name: found.read_bytes() for found in tmp_path.iterdir()} == {"chart.png": b"old"}


@pytest.mark.parametrize(
    ("curves", "sentence"),
    [
        ([], "no curve to draw"),
        ([Curve("a", DATES, (1.0, 2.0))], "'a' has 3 dates but 2 values"),
        ([Curve("a", DATES[:1], (1.0,))], "at least 2"),
        ([Curve("a", DATES, (1.0, float("nan"), 1.0))], "'a' is nan at 2013-02-28"),
        ([Curve("a", DATES, (1.0, -0.1, 1.0))], "'a' is -0.1 at 2013-02-28"),
        ([Curve("a", ("x", "y"), (1.0, 1.0))], "'x' is no ISO date"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(tmp_path, curves, sentence):
    with pytest.raises(InvalidRequest, match=sentence):
        equity_png(curves, title="t", source="s", path=tmp_path / "chart.png")


def test_matplotlib_loads_only_to_draw_and_pyplot_never(tmp_path):
    code = (
        "import sys; from evolve.cards import Curve; from evolve.charts.equity import equity_png; from pathlib import Path; import evolve.charts.terminal\n"
        "print('matplotlib' in sys.modules, 'numpy' in sys.modules)\n"
        f"equity_png([Curve('a', ('2013-01-01', '2013-01-02'), (1.0, 1.1))], title='t', source='s', path=Path({str(tmp_path / 'c.png')!r}))\n"
        "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout

    assert out == "False False\nTrue False\n"
