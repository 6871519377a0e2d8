"""What is wrong with a set of bars: each kind of trouble is planted in good bars and must be found, and nothing else."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_services import starts
from evolve.errors import DataUnavailable
from evolve.market.bars import FIELDS, Bars
from evolve.market.calendar import bars_per_year, venue_of
from evolve.market.quality import examine
from evolve.market.sources.base import BarSpec
from evolve.market.sources.sample import SampleSource
from evolve.market.sources.simulated import SimulatedSource

SPANS = {
    "1d": ("2022-01-03", "2023-12-29"),
    "30m": ("2023-10-02", "2023-12-29"),
    "1m": ("2023-12-04", "2023-12-08"),
    "1w": ("2015-01-05", "2023-12-29"),
}


def good(symbol="ACME", timeframe="1d", seed=3):
    """Bars as they should be: every bar that the calendar has, a random walk of 1 % steps."""
    time = np.array(starts(timeframe, *SPANS[timeframe], venue_of(symbol)))
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, len(time))))
    open_ = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(open_, close) * 1.003, np.minimum(open_, close) * 0.997
    volume = random.integers(1_000, 9_000, len(time)).astype(float)
    return Bars(symbol, timeframe, time, open_, high, low, close, volume, "test", bars_per_year(symbol, timeframe))


def without(bars, dropped):
    kept = np.setdiff1d(np.arange(len(bars)), dropped)
    return dataclasses.replace(bars, **{name: getattr(bars, name)[kept] for name in ("time", *FIELDS)})


def scaled(bars, rows, factor, names=FIELDS[:4]):
    changed = {name: getattr(bars, name).copy() for name in names}
    for column in changed.values():
        column[rows] *= factor
    return dataclasses.replace(bars, **changed)


def kinds(report):
    return {(finding.kind, finding.weight) for finding in report.findings}


@pytest.mark.parametrize("symbol", ["ACME", "BTCUSDT", "EURUSD"])
@pytest.mark.parametrize("timeframe", ["1d", "30m", "1m", "1w"])
def test_good_bars_are_good(symbol, timeframe):
    report = examine(good(symbol, timeframe))

    assert report.findings == ()
    assert (report.verdict, report.missing) == ("good", 0)


@pytest.mark.parametrize(
    ("symbol", "timeframe"),
    [
        *(("NVDA", timeframe) for timeframe in ("5m", "30m", "1h", "4h", "1d", "1w")),
        ("BTCUSDT", "1h"),
        ("EURUSD", "4h"),
    ],
)
def test_simulated_bars_keep_the_venues_calendar(symbol, timeframe):
    assert examine(SimulatedSource().load(BarSpec(symbol, timeframe))).missing == 0


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT", "IBM", "GOOG"])
def test_the_bundled_sample_lacks_nothing(symbol):
    report = examine(SampleSource().load(BarSpec(symbol, "1d")))
    assert report.missing == 0
    assert report.verdict != "bad"


def test_gaps_are_counted_and_the_longest_are_named():
    bars = good()
    report = examine(without(bars, [10, 50, 51, 52]))

    (finding,) = report.findings
    assert (finding.kind, finding.weight, finding.bars) == ("gap", "warning", 4)
    assert f"{bars.date(50)} to {bars.date(52)} (3)" in finding.sentence
    assert report.verdict == "usable"


def test_bars_that_lack_a_third_are_bad():
    assert ("gap", "error") in kinds(examine(without(good(), np.arange(100, 300))))


@given(bar=st.integers(1, 400), decimals=st.sampled_from([0.01, 0.1, 10.0, 100.0]))
def test_a_tick_with_a_misplaced_decimal_point_is_found_wherever_it_is(bar, decimals):
    report = examine(scaled(good(), [bar], decimals))

    assert ("bad tick", "error") in kinds(report)
    assert report.verdict == "bad"
    assert any(finding.first == good().date(bar) for finding in report.findings if finding.kind == "bad tick")


@pytest.mark.parametrize(("name", "factor"), [("high", 100.0), ("low", 0.01)])
def test_a_bad_wick_is_found(name, factor):
    report = examine(scaled(good(), [77], factor, (name,)))
    assert kinds(report) == {("bad tick", "error")}


def test_a_rise_that_stays_is_news_and_not_a_bad_tick():
    report = examine(scaled(good(), np.arange(200, len(good())), 3.3))
    assert kinds(report) == {("jump", "warning")}


@pytest.mark.parametrize("ratio", [2, 3, 4, 5, 7, 10, 20])
def test_an_unadjusted_split_is_named_with_its_ratio(ratio):
    report = examine(scaled(good(), np.arange(200, len(good())), 1 / ratio))
    assert any(f"unadjusted {ratio}:1 split" in finding.sentence for finding in report.findings)
    assert report.verdict == "usable"


def test_a_constant_price_is_bad():
    bars = good()
    flat = np.full(len(bars), 5.0)
    report = examine(dataclasses.replace(bars, open=flat, high=flat, low=flat, close=flat))

    assert ("constant price", "error") in kinds(report)


def test_a_price_that_stands_still_for_two_weeks_is_pointed_out():
    bars = good()
    columns = {name: getattr(bars, name).copy() for name in FIELDS[:4]}
    for column in columns.values():
        column[100:110] = bars.close[99]
    report = examine(dataclasses.replace(bars, **columns))

    assert ("constant price", "warning") in kinds(report)
    assert bars.date(100) in next(finding.sentence for finding in report.findings)


def test_one_bar_is_bad():
    assert kinds(examine(good().slice(0, 1))) == {("one bar", "error")}


def test_unknown_and_missing_volume_are_told_apart():
    bars = good()
    some, none = bars.volume.copy(), np.full(len(bars), np.nan)
    some[5:9] = np.nan

    assert kinds(examine(dataclasses.replace(bars, volume=some))) == {("volume", "warning")}
    assert kinds(examine(dataclasses.replace(bars, volume=none))) == {("volume", "info")}
    assert examine(dataclasses.replace(bars, volume=none)).verdict == "good"


def test_bars_at_which_nothing_was_traded_are_pointed_out():
    idle = good().volume.copy()
    idle[::5] = 0
    assert kinds(examine(dataclasses.replace(good(), volume=idle))) == {("volume", "warning")}


def test_stamps_in_new_yorks_time_instead_of_utc_are_bad():
    """The commonest mistake of an intraday file: 09:30 is read as 09:30 UTC."""
    bars = good("ACME", "30m")
    report = examine(dataclasses.replace(bars, time=bars.time - 5 * 3_600_000))

    assert ("other hours", "error") in kinds(report)
    assert report.verdict == "bad"


def test_zones_that_change_in_the_middle_are_pointed_out():
    bars = good("ACME", "30m")
    time = bars.time.copy()
    time[400:] += 5 * 3_600_000
    assert ("other hours", "warning") in kinds(examine(dataclasses.replace(bars, time=time)))


def test_bars_on_holidays_are_pointed_out():
    bars = good()
    time = bars.time.copy()
    time[0] = starts("1d", "2021-12-31", "2021-12-31")[0] + 86_400_000  # New Year's Day, a Saturday
    assert ("closed market", "warning") in kinds(examine(dataclasses.replace(bars, time=time)))


def test_errors_come_first_and_are_called_bad_data_in_notes():
    report = examine(without(scaled(good(), [77], 100.0), [300]))

    assert [finding.weight for finding in report.findings] == ["error", "warning", "warning"]
    assert report.notes()[0].startswith("BAD DATA: ")
    assert not report.notes()[1].startswith("BAD DATA: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [("close", 0.0), ("open", -1.0), ("low", np.nan), ("high", np.inf), ("volume", -1.0), ("high", 0.5)],
)
def test_what_no_market_can_be_is_no_set_of_bars_at_all(name, value):
    column = getattr(good(), name).copy()
    column[9:12] = value
    with pytest.raises(DataUnavailable, match="bar 9"):
        dataclasses.replace(good(), **{name: column})


def test_duplicate_stamps_are_no_set_of_bars_at_all():
    time = good().time.copy()
    time[9] = time[8]
    with pytest.raises(DataUnavailable, match=r"bar 9 .* is not after the one before it"):
        dataclasses.replace(good(), time=time)
