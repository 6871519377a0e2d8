"""A position is as large as its risk allows, by what was known at each close."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.backtest.engine import backtest_positions
from evolve.backtest.metrics import annual_volatility
from evolve.backtest.sizing import expected_volatility, volatility_targeted
from evolve.cards import Costs
from evolve.errors import InvalidRequest

YEAR = 252.0
FREE = Costs(0.0, 0.0)


def closes(volatility: np.ndarray, seed: int = 1) -> np.ndarray:
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 1, len(volatility)) * volatility))


def test_the_account_varies_as_asked_in_calm_and_in_wild_stretches() -> None:
    close = closes(np.repeat([0.01, 0.03, 0.01, 0.03], 1000))  # 16 % and 48 % a year
    target = volatility_targeted(np.ones(4000), close, annual_volatility=0.12, bars_per_year=YEAR)
    opens = np.concatenate([[100.0], close[:-1]])

    returns = backtest_positions(opens, close, target, FREE, bars_per_year=YEAR).returns

    for stretch in range(4):
        measured = annual_volatility(returns[1000 * stretch + 100 : 1000 * (stretch + 1)], bars_per_year=YEAR)
        assert measured.value == pytest.approx(0.12, rel=0.12)


def test_half_a_target_is_half_the_size_and_a_short_one_has_its_sign() -> None:
    close = closes(np.full(500, 0.02))
    options = {"annual_volatility": 0.1, "bars_per_year": YEAR, "rebalance_band": 0.0}

    full, half, short = (volatility_targeted(np.full(500, target), close, **options) for target in (1.0, 0.5, -1.0))  # type: ignore[arg-type]

    assert half == pytest.approx(0.5 * full)
    assert short == pytest.approx(-full)


def test_a_size_uses_nothing_that_came_later() -> None:
    close = closes(np.full(300, 0.02))
    changed = close.copy()
    changed[200:] *= 3

    before, after = (
        volatility_targeted(np.ones(300), given, annual_volatility=0.1, bars_per_year=YEAR)
        for given in (close, changed)
    )

    assert before[:200].tobytes() == after[:200].tobytes()


def test_the_expected_volatility_by_hand() -> None:
    found = expected_volatility(100 * np.exp(np.array([0.0, 0.01, 0.03])))

    assert np.isnan(found[0])
    assert found[1] == pytest.approx(0.01)
    assert found[2] == pytest.approx(np.sqrt((0.94 * 0.01**2 + 0.02**2) / 1.94))


def test_a_band_saves_trades() -> None:
    close = closes(np.full(1000, 0.02))

    def trades(band: float) -> int:
        sized = volatility_targeted(
            np.ones(1000), close, annual_volatility=0.1, bars_per_year=YEAR, rebalance_band=band
        )
        return int(np.count_nonzero(np.diff(sized)))

    assert trades(0.1) < trades(0.0) / 2


def test_a_price_that_never_moved_is_held_at_most_fully_and_the_first_bar_not_at_all() -> None:
    sized = volatility_targeted(np.ones(5), np.full(5, 7.0), annual_volatility=0.1, bars_per_year=YEAR)

    assert sized.tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": [2.0, 0.0]}, "target of bar 0 is 2"),
        ({"close": [1.0, 0.0]}, "close of bar 1 is 0"),
        ({"close": [1.0, np.nan]}, "nan"),
        ({"annual_volatility": 0.0}, "annual_volatility"),
        ({"bars_per_year": 0.0}, "bars_per_year"),
        ({"max_position": 2.0}, "max_position"),
        ({"rebalance_band": 1.0}, "rebalance_band"),
        ({"close": [1.0]}, "equally long"),
    ],
)
def test_what_cannot_be_sized_is_refused(change: dict[str, object], said: str) -> None:
    usual: dict[str, object] = {
        "target": [1.0, 1.0],
        "close": [1.0, 2.0],
        "annual_volatility": 0.1,
        "bars_per_year": YEAR,
    }

    with pytest.raises(InvalidRequest, match=said):
        volatility_targeted(**{**usual, **change})  # type: ignore[arg-type]
