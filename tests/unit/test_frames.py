"""pandas in and out: what passes is the same on the other side, and what is wrong is named by row and column."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

import evolve
from evolve import frames
from evolve.errors import DataUnavailable, InvalidRequest, MissingExtra
from evolve.market.bars import Bars
from evolve.market.sources.base import BarSpec
from evolve.market.sources.sample import SampleSource
from unit.display.shown_cards import CURVE, answer, evaluation


def made(**changed: object) -> pd.DataFrame:
    """Five days of bars, Monday to Friday."""
    columns = {"Open": [10.0, 11, 12, 13, 14], "High": [11.0, 12, 13, 14, 15], "Low": [9.0, 10, 11, 12, 13], "Close": [10.5, 11.5, 12.5, 13.5, 14.5], "Volume": [1e6] * 5}  # fmt: skip
    index = pd.date_range("2013-02-04", periods=5, tz="America/New_York")
    return pd.DataFrame({**columns, **changed}, index=index)


def test_real_bars_come_back_as_they_went():
    bars = SampleSource().load(BarSpec("AAPL", "1d"))

    frame = frames.of_bars(bars)

    assert (str(frame.index.tz), frame.attrs["fingerprint"]) == ("UTC", bars.fingerprint)
    assert frames.to_bars(frame, "AAPL").fingerprint == bars.fingerprint


def test_a_frame_of_bars_is_a_copy():
    bars = frames.to_bars(made(), "ACME")

    frame = frames.of_bars(bars)
    frame.loc[:, "close"] = 0.0

    assert bars.close[0] == 10.5


def test_days_keep_the_date_that_is_written_whatever_their_zone():
    bars = frames.to_bars(made(), "ACME")

    assert (bars.date(0), bars.date(-1), bars.timeframe, bars.source) == (
        "2013-02-04", "2013-02-08", "1d", "a pandas DataFrame"
    )  # fmt: skip


def test_hours_are_converted_to_utc_and_times_without_a_zone_are_noted():
    zoned = made().set_index(pd.date_range("2013-02-04 09:00", periods=5, freq="h", tz="America/New_York"))
    naive = made().set_index(pd.date_range("2013-02-04 09:00", periods=5, freq="h"))

    assert frames.to_bars(zoned, "ACME").date(0) == "2013-02-04T14:00Z"
    assert "times without a zone were read as UTC" in frames.to_bars(naive, "ACME").notes


def test_a_column_of_times_and_rows_out_of_order_are_taken_and_noted():
    frame = made().reset_index(names="Date").iloc[::-1].drop(columns="Volume")

    bars = frames.to_bars(frame, "ACME")

    assert bars.close.tolist() == [10.5, 11.5, 12.5, 13.5, 14.5]
    assert "rows were not in order of time and have been sorted" in bars.notes
    assert "the DataFrame has no volume column; volume is unknown" in bars.notes


def test_prices_are_adjusted_where_the_frame_says_by_what():
    bars = frames.to_bars(made(**{"Adj Close": [5.25, 5.75, 12.5, 13.5, 14.5]}), "ACME")

    assert bars.open.tolist() == [5.0, 5.5, 12.0, 13.0, 14.0]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (made(Close=[10.5, "oops", 12.5, 13.5, 14.5]), r"column 'Close', row 1: 'oops' is no number"),
        (made(Close=[10.5, None, 12.5, 13.5, 14.5]), r"column 'Close', row 1: 'nan' is no number"),
        (made().drop(columns="High"), r"there is no column 'high'; the DataFrame has Open, Low, Close, Volume"),
        (made().reset_index(drop=True), "there are no times"),
        (pd.concat([made(), made().tail(1)]), "two rows have the time 2013-02-08"),
        (made().iloc[:0], "no rows"),
        (made().set_index(pd.date_range("2013-01-01", periods=5, freq="17h")), "which is no timeframe"),
        (pd.concat({"AAPL": made()}, axis=1), "several levels"),
        ([1, 2], "not list"),
    ],
)
def test_what_is_no_table_of_bars_is_refused_by_name(frame, said):
    with pytest.raises(InvalidRequest, match=said):
        frames.to_bars(frame, "ACME")


def test_a_timeframe_that_the_rows_contradict_is_refused():
    with pytest.raises(InvalidRequest, match="the rows are 1d apart, not 1h"):
        frames.to_bars(made(), "ACME", "1h")


def test_a_bar_that_no_market_can_have_is_refused():
    with pytest.raises(DataUnavailable, match="low … high"):
        frames.to_bars(made(High=[9.9, 12, 13, 14, 15]), "ACME")


def test_tables_have_a_row_a_name_and_unknown_figures_are_missing():
    table = frames.table(answer())

    assert table.loc["ridge", "sharpe"] == 0.07
    assert np.isnan(table.loc["flat", "sharpe"])
    assert frames.table(evaluation()).loc["last 90d", "total_return"] == 0.01


def test_figures_say_where_they_are_from():
    first = frames.figures(evaluation()).iloc[0]

    assert (first["name"], first["value"], first["low"], first["source"], first["computed"]) == (
        "sharpe", 0.07, -0.67, "a source", "by hand"
    )  # fmt: skip


def test_curves_share_one_index_of_dates():
    curves = frames.curves(evaluation((CURVE, CURVE.__class__("late", CURVE.dates[1:], (1.0, 2.0)))))

    assert curves.loc["2013-03-01", "late"].item() == 2.0
    assert np.isnan(curves["late"].iloc[0])
    assert str(curves.index.tz) == "UTC"


def test_without_pandas_the_error_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(MissingExtra, match="pip install pandas"):
        frames.table(answer())


def test_the_public_names_are_sorted_and_there():
    assert list(evolve.__all__) == sorted(evolve.__all__)
    assert {getattr(evolve, name).__name__ for name in evolve.__all__} == set(evolve.__all__)
    assert evolve.Bars is Bars
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = evolve.Nothing
