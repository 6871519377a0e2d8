"""Facts of the file were read by eye: raw closes and adjusted closes of single days, and the dates of splits."""

import subprocess
import sys

import numpy as np
import pytest

from evolve.errors import DataUnavailable
from evolve.market.sources.base import BarSpec
from evolve.market.sources.sample import SampleSource


@pytest.fixture(scope="module")
def source():
    return SampleSource()


def day(bars, date):
    return next(bar for bar in range(len(bars)) if bars.date(bar) == date)


def change(bars, date):
    bar = day(bars, date)
    return bars.close[bar] / bars.close[bar - 1] - 1


def test_the_sample_holds_daily_bars_of_four_companies(source):
    assert source.symbols() == [BarSpec(symbol, "1d") for symbol in ("AAPL", "GOOG", "GOOGL", "IBM", "MSFT")]


@pytest.mark.parametrize(
    ("symbol", "bars", "first"),
    [
        ("AAPL", 3270, "2000-03-01"),
        ("MSFT", 3270, "2000-03-01"),
        ("IBM", 3270, "2000-03-01"),
        ("GOOG", 2148, "2004-08-19"),
    ],
)
def test_each_series_is_whole(source, symbol, bars, first):
    loaded = source.load(BarSpec(symbol, "1d"))

    assert (len(loaded), loaded.date(0), loaded.date(-1)) == (bars, first, "2013-03-01")
    assert not loaded.simulated


def test_the_close_is_the_files_adjusted_close(source):
    assert source.load(BarSpec("AAPL", "1d")).close[0] == 4.186662803811


def test_all_prices_of_a_day_are_scaled_by_the_same_factor(source):
    bars = source.load(BarSpec("AAPL", "1d"))
    factor = 4.186662803811 / 130.31

    np.testing.assert_allclose(
        [bars.open[0], bars.high[0], bars.low[0]], np.array([118.56, 132.06, 118.5]) * factor, rtol=1e-12
    )


@pytest.mark.parametrize(("symbol", "date"), [("AAPL", "2000-06-21"), ("AAPL", "2005-02-28"), ("MSFT", "2003-02-18")])
def test_a_split_leaves_no_jump(source, symbol, date):
    """Raw closes halve on these days."""
    assert abs(change(source.load(BarSpec(symbol, "1d")), date)) < 0.1


def test_apples_fall_by_half_in_september_2000_is_real_and_stays(source):
    assert change(source.load(BarSpec("AAPL", "1d")), "2000-09-29") == pytest.approx(-0.519, abs=0.001)


def test_adjusting_keeps_the_money_traded(source):
    """2000-03-01: 9,616,100 shares at 130.31 in the file."""
    bars = source.load(BarSpec("AAPL", "1d"))

    assert bars.close[0] * bars.volume[0] == pytest.approx(130.31 * 9_616_100)


def test_volume_does_not_double_at_a_split(source):
    """Raw volume on both sides of AAPL's two-for-one split of 2005-02-28: 16.3 and 11.6 million shares."""
    bars = source.load(BarSpec("AAPL", "1d"))
    bar = day(bars, "2005-02-28")

    assert bars.volume[bar] / bars.volume[bar - 1] == pytest.approx(11_635_900 / (2 * 16_348_400), rel=1e-3)


def test_googl_is_served_from_goog_and_says_so(source):
    googl, goog = source.load(BarSpec("GOOGL", "1d")), source.load(BarSpec("GOOG", "1d"))

    np.testing.assert_array_equal(googl.close, goog.close)
    assert googl.symbol == "GOOGL"
    assert any("GOOG series" in note for note in googl.notes)
    assert not any("GOOG series" in note for note in goog.notes)


def test_the_notes_say_that_the_bars_end_in_2013(source):
    assert any("2013-03-01" in note for note in source.load(BarSpec("IBM", "1d")).notes)


@pytest.mark.parametrize("spec", [BarSpec("NVDA", "1d"), BarSpec("AAPL", "1h"), BarSpec("FB", "1d")])
def test_what_the_sample_lacks_is_unavailable(source, spec):
    with pytest.raises(DataUnavailable, match="AAPL, GOOG"):
        source.load(spec)


def test_reading_the_sample_loads_no_pandas():
    code = (
        "import sys; from evolve.market.sources.sample import SampleSource; "
        "from evolve.market.sources.base import BarSpec; SampleSource().load(BarSpec('AAPL', '1d')); "
        "print(sorted({'pandas', 'bokeh', 'pyarrow', 'numba'} & sys.modules.keys()))"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.strip() == "[]"
