import dataclasses

import numpy as np
import pytest

from evolve.errors import DataUnavailable
from evolve.market.bars import Bars

DAY_MS = 86_400_000


def bars(**changed):
    columns = {
        "time": [0, DAY_MS, 2 * DAY_MS],
        "open": [10, 11, 12],
        "high": [11, 12, 13],
        "low": [9, 10, 11],
        "close": [10.5, 11.5, 12.5],
        "volume": [1, 2, 3],
    }
    return Bars(symbol="X", timeframe="1d", source="test", bars_per_year=252, **{**columns, **changed})


def test_bars_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        bars().close[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        bars().symbol = "Y"


def test_bars_do_not_share_memory_with_the_arrays_they_were_made_of():
    close = np.array([10.5, 11.5, 12.5])
    made = bars(close=close)
    close[0] = 10.9
    assert made.close[0] == 10.5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"close": [10.5, np.nan, 12.5]}, "close of bar 1 .1970-01-02. is nan"),
        ({"low": [0, 10, 11]}, "low of bar 0"),
        ({"open": [-1, 11, 12]}, "open of bar 0"),
        ({"high": [11, np.inf, 13]}, "high of bar 1"),
        ({"close": [10.5, 11.5, 14]}, "bar 2 .* outside its low … high"),
        ({"time": [0, DAY_MS, DAY_MS]}, "bar 2 .* not after the one before"),
        ({"volume": [1, -2, 3]}, "volume of bar 1"),
        ({"volume": [1, np.inf, 3]}, "volume of bar 1"),
        ({"volume": [1, 2]}, "differ in length"),
    ],
)
def test_impossible_bars_are_refused_and_the_first_wrong_one_named(changed, message):
    with pytest.raises(DataUnavailable, match=message):
        bars(**changed)


def test_no_bars_are_no_bars():
    with pytest.raises(DataUnavailable, match="no bars of X at 1d"):
        bars(time=[], open=[], high=[], low=[], close=[], volume=[])


def test_an_unknown_volume_is_allowed():
    assert np.isnan(bars(volume=[1, np.nan, 3]).volume[1])


def test_what_was_known_at_a_bar_ends_with_it_and_shares_nothing_with_the_rest():
    whole = bars()
    known = whole.until(1)
    assert known.close.tolist() == [10.5, 11.5]
    assert not np.shares_memory(known.close, whole.close)


def test_equal_bars_have_equal_fingerprints_and_one_changed_bit_another():
    assert bars().fingerprint == bars().fingerprint
    assert bars().fingerprint != bars(close=[10.5, 11.5, np.nextafter(12.5, 13)]).fingerprint
    assert bars().fingerprint != dataclasses.replace(bars(), simulated=True).fingerprint


def test_bars_within_counts_calendar_days_of_the_data():
    assert [bars().bars_within(days) for days in (1, 2, 365)] == [1, 2, 3]
