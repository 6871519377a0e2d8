"""The market analyst: figures that can be worked out by hand, and a note where there are too few bars for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from desks import daily_bars, noise
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.agents.market_analyst import correlations, describe, rank_symbols, regime
from evolve.evidence import Evidence, EvidenceBook
from evolve.market.bars import Bars

YEAR = 252


def closing_at(*closes: float, volume: list[float] | None = None) -> Bars:
    bars = daily_bars(np.diff(np.log([100.0, *closes])))
    return bars if volume is None else replace(bars, volume=np.array(volume))


def described(bars: Bars, days: int = 90) -> dict[str, Evidence]:
    return describe(bars, days, EvidenceBook())


def test_the_periods_return_is_from_the_close_before_it_to_the_last_close() -> None:
    """One bar a day: three days hold the last three bars, and so the close of the fourth-last is where they begin."""
    found = described(closing_at(10, 20, 40, 50, 60), days=3)

    assert found["last_close"].value == pytest.approx(60)
    assert found["period_return"].value == pytest.approx(60 / 20 - 1)
    assert "3 bars" in found["period_return"].computed


def test_the_fall_within_the_period_is_from_its_highest_close_so_far() -> None:
    assert described(closing_at(500, 100, 120, 90, 130), days=4)["period_drawdown"].value == pytest.approx(90 / 500 - 1)
    assert described(closing_at(500, 100, 120, 90, 130), days=3)["period_drawdown"].value == pytest.approx(90 / 120 - 1)


def test_a_period_longer_than_the_history_is_all_of_it_and_says_how_many_bars() -> None:
    found = described(closing_at(10, 20, 40), days=365)

    assert found["period_return"].value == pytest.approx(40 / 10 - 1)
    assert "last 2 bars" in found["period_return"].computed


def test_the_averages_are_those_of_the_last_closes() -> None:
    """199 closes at 100 and one at 120: the means are (49·100 + 120)/50 = 100.4 and (199·100 + 120)/200 = 100.1."""
    found = described(closing_at(*[100.0] * 199, 120.0))

    assert found["above_average_50"].value == pytest.approx(120 / 100.4 - 1)
    assert found["above_average_200"].value == pytest.approx(120 / 100.1 - 1)


def test_the_distance_from_the_high_looks_a_year_back_and_no_further() -> None:
    """253 bars: the close of 900 lies 252 bars back, the one of 150 within the year."""
    found = described(closing_at(900.0, 150.0, *[100.0] * 250, 120.0))

    assert found["from_high"].value == pytest.approx(120 / 150 - 1)


def test_the_years_and_the_months_return_are_over_their_bars() -> None:
    closes = np.full(YEAR + 1, 100.0)
    closes[0], closes[-1 - 21], closes[-1] = 50.0, 80.0, 120.0

    found = described(closing_at(*closes))

    assert found["year_return"].value == pytest.approx(120 / 50 - 1)
    assert found["month_return"].value == pytest.approx(120 / 80 - 1)


def test_a_year_is_as_many_bars_as_the_venue_trades() -> None:
    """A coin trades 365 days, so its year of daily bars is 365 of them, and its month 30; in hours neither is 252."""
    coin = replace(noise(400), bars_per_year=365.0)

    found = described(coin)

    assert found["year_return"].value == pytest.approx(coin.close[-1] / coin.close[-1 - 365] - 1)
    assert found["month_return"].value == pytest.approx(coin.close[-1] / coin.close[-1 - 30] - 1)
    assert (described(replace(coin, bars_per_year=8760.0))["year_return"].value) is None


def test_volatility_is_the_spread_of_the_last_month_of_returns_a_year() -> None:
    """Returns of ±1 % in turn: mean square 1e-4, so about 0.01 · √252 = 0.159 a year."""
    found = described(daily_bars(np.tile([0.01, -0.01], 60)))

    assert found["volatility"].value == pytest.approx(0.01 * np.sqrt(252), rel=0.03)


def test_the_rank_of_volatility_is_the_share_of_readings_that_were_no_higher() -> None:
    calm_then_wild = daily_bars(np.concatenate([np.tile([0.001, -0.001], 100), np.tile([0.05, -0.05], 15)]))
    wild_then_calm = daily_bars(np.concatenate([np.tile([0.05, -0.05], 100), np.tile([0.001, -0.001], 15)]))

    assert float(described(calm_then_wild)["volatility_rank"].value or 0) > 0.95
    assert float(described(wild_then_calm)["volatility_rank"].value or 1) < 0.05


def test_the_rsi_is_a_hundred_for_a_market_that_only_rises() -> None:
    assert described(closing_at(*np.linspace(100, 200, 30)))["rsi_14"].value == pytest.approx(100.0)


def test_the_volume_ratio_is_the_months_mean_over_the_years() -> None:
    """231 bars of 100 and 21 of 300: 300 / ((231·100 + 21·300)/252) = 300 / 116.67."""
    bars = closing_at(*np.linspace(100, 110, YEAR), volume=[100.0] * 231 + [300.0] * 21)

    assert described(bars)["volume_ratio"].value == pytest.approx(300 / ((231 * 100 + 21 * 300) / 252))


def test_without_volume_there_is_no_ratio() -> None:
    item = described(replace(noise(300), volume=np.full(300, np.nan)))["volume_ratio"]

    assert (item.value, item.note) == (None, "too few bars with volume")


# what needs how many bars: by counting closes
NEEDED = {
    "period_return": 2, "period_drawdown": 2, "month_return": 22, "year_return": 253, "above_average_50": 50,
    "above_average_200": 200, "volatility": 22, "volatility_rank": 84, "from_high": 252, "rsi_14": 15, "volume_ratio": 252,
}  # fmt: skip


@pytest.mark.parametrize(("name", "needed"), NEEDED.items())
def test_too_few_bars_give_a_note_and_no_number(name: str, needed: int) -> None:
    before, enough = described(noise(needed - 1))[name], described(noise(needed))[name]

    assert before.value is None
    assert before.note
    assert isinstance(enough.value, float)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 400))
def test_whatever_the_bars_and_the_period_every_figure_has_a_value_or_a_note(bars: int, days: int) -> None:
    book = EvidenceBook()

    found = describe(noise(bars), days, book)

    assert list(found.values()) == list(book)
    assert all((item.value is None) == bool(item.note) for item in found.values())


def test_tomorrows_bars_do_not_change_what_was_said_today() -> None:
    bars = noise(400)
    today = described(bars.slice(0, 300))

    assert described(bars.until(299)) == today
    assert described(bars)["last_close"] != today["last_close"]


def found_with(fast: float | None, slow: float | None, rank: float | None) -> dict[str, Evidence]:
    book = EvidenceBook()
    named = {"above_average_50": fast, "above_average_200": slow, "volatility_rank": rank}
    return {
        name: book.add(name, "X", value, "fraction", as_of="d", source="s", computed="c")
        for name, value in named.items()
    }


@pytest.mark.parametrize(
    ("fast", "slow", "trend"),
    [
        (0.1, 0.1, "up"),
        (-0.1, -0.1, "down"),
        (0.1, -0.1, "sideways"),
        (0.0, 0.1, "sideways"),
        (0.1, None, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_the_trend_is_up_above_both_averages_and_down_below_both(
    fast: float | None, slow: float | None, trend: str
) -> None:
    assert regime(found_with(fast, slow, 0.5))[0] == trend


@pytest.mark.parametrize(
    ("rank", "volatility"), [(0.1, "calm"), (0.25, "ordinary"), (0.75, "ordinary"), (0.9, "wild"), (None, "unknown")]
)
def test_volatility_is_calm_in_the_lowest_quarter_and_wild_in_the_highest(rank: float | None, volatility: str) -> None:
    assert regime(found_with(0.1, 0.1, rank))[1] == volatility


def test_symbols_are_ranked_by_their_return_best_first_and_the_unknown_last() -> None:
    rising, falling, new = closing_at(100, 110), closing_at(100, 90), closing_at(100)
    named = [replace(bars, symbol=symbol) for bars, symbol in ((falling, "DOWN"), (new, "NEW"), (rising, "UP"))]

    ranked = rank_symbols(named, 90, EvidenceBook())

    assert [found["period_return"].of for found in ranked] == ["UP", "DOWN", "NEW"]


def test_symbols_that_move_together_and_apart_are_ordered_by_their_correlation() -> None:
    rng = np.random.default_rng(5)
    steps = rng.normal(0, 0.01, 400)
    mine = replace(daily_bars(steps), symbol="MINE")
    alike = replace(daily_bars(steps + rng.normal(0, 0.001, 400)), symbol="ALIKE")
    mirrored = replace(daily_bars(-steps), symbol="MIRRORED")
    apart = replace(daily_bars(rng.normal(0, 0.01, 400)), symbol="APART")

    found = correlations(mine, [mirrored, apart, alike], EvidenceBook())

    assert [item.of for item in found] == ["ALIKE", "APART", "MIRRORED"]
    assert found[0].value == pytest.approx(
        np.corrcoef(np.diff(np.log(mine.close[-253:])), np.diff(np.log(alike.close[-253:])))[0, 1]
    )
    assert found[-1].value == pytest.approx(-1.0)


def test_symbols_with_too_few_common_bars_have_no_correlation() -> None:
    assert correlations(noise(400), [noise(30)], EvidenceBook()) == []


def test_the_band_of_the_next_close_holds_as_many_of_them_as_it_says() -> None:
    """On bars whose returns are normal with one volatility, which is what the band assumes."""
    bars = daily_bars(np.random.default_rng(3).normal(0, 0.02, 700))
    held = tried = 0
    for stop in range(100, 699, 3):
        band = described(bars.slice(0, stop))["next_close"]
        assert band.low is not None
        assert band.high is not None
        tried += 1
        held += band.low <= bars.close[stop] <= band.high

    assert 0.83 < held / tried < 0.95
