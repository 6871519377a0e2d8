"""Paths of forecasts by models refitted for every choice of the past, none of which saw what it forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from worlds import bars_of, planted

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.forecasting.base import Arrays, FittedForecaster, Forecaster, Header, HyperValue, forecaster
from evolve.forecasting.combinatorial import combinatorial_paths, joined
from evolve.market.bars import Bars


class Witness(FittedForecaster):
    """Forecasts the number of bars that it was fitted on, and remembers which they were."""

    family, horizon_bars, timeframe, hyperparameters = "witness", 1, "1d", {}
    first_bar = 10  # type: ignore[assignment]

    def __init__(self, seen: np.ndarray) -> None:
        self.seen = seen

    def _predict(self, bars: Bars, start: int) -> tuple[np.ndarray, np.ndarray]:
        assert not np.isin(bars.time[start:], self.seen).any(), "it was fitted on what it forecasts"
        return np.full(len(bars) - start, float(len(self.seen))), np.ones(len(bars) - start)

    def to_bytes(self) -> bytes:
        return b""


class Witnesses(Forecaster):
    family = "witness"
    fits: list[np.ndarray]

    def __init__(self) -> None:
        self.fits = []

    def fit(
        self,
        bars: Bars,
        *,
        features: Sequence[str] = (),
        hyperparameters: Mapping[str, HyperValue] | None = None,
        horizon_bars: int = 1,
        seed: int = 0,
    ) -> Witness:
        self.fits.append(bars.time)
        return Witness(bars.time)

    def restore(self, header: Header, arrays: Arrays) -> FittedForecaster:
        raise NotImplementedError


def noise(bars: int) -> Bars:
    return bars_of(np.random.default_rng(1).normal(0, 0.01, bars))


@pytest.mark.parametrize(("groups", "test_groups", "fits", "paths"), [(6, 2, 15, 5), (10, 2, 45, 9), (10, 5, 252, 126)])
def test_there_is_a_refit_for_every_choice_and_as_many_paths_as_lopez_de_prado_counts(
    groups: int, test_groups: int, fits: int, paths: int
) -> None:
    family = Witnesses()

    found = combinatorial_paths(family, noise(600), groups=groups, test_groups=test_groups)

    assert (len(family.fits), found.fits) == (fits, fits)
    assert found.mean.shape == (paths, 590)
    assert np.isfinite(found.mean).all()


def test_each_fit_keeps_its_distance_from_what_it_forecasts() -> None:
    """Purged: the five bars before a tested group, whose labels reach into it; embargoed: 1 % of 600 bars after it."""
    family = Witnesses()
    bars = noise(600)

    combinatorial_paths(family, bars, groups=6, test_groups=1, horizon_bars=5)

    middle = np.searchsorted(bars.time, family.fits[2])  # tests bars 200 … 299
    assert middle.tolist() == [*range(195), *range(306, 600)]


def test_stretches_are_joined_without_a_made_up_return() -> None:
    bars = noise(100)
    kept = np.array([*range(20), *range(50, 100)])

    given = joined(bars, kept)

    assert given.open[20] == pytest.approx(given.close[19])
    own = np.log(bars.close[51:] / bars.close[50:-1])
    assert np.log(given.close[21:] / given.close[20:-1]) == pytest.approx(own)
    assert (given.time == bars.time[kept]).all()


def test_a_planted_signal_is_found_on_every_path_and_none_in_noise() -> None:
    world, silence = planted("ar1", bars=1500, seed=3, r2=0.06), planted("noise", bars=1500, seed=4)

    known = combinatorial_paths(forecaster("ridge"), world.bars)
    nothing = combinatorial_paths(forecaster("ridge"), silence.bars)

    assert all(world.r2(path, known.start) > 0.02 for path in known.mean[:, :-1])
    assert all(silence.r2(path, nothing.start) < 0.01 for path in nothing.mean[:, :-1])


def test_the_same_whatever_the_number_of_workers() -> None:
    bars = noise(500)

    one, two = (combinatorial_paths(forecaster("drift"), bars, groups=4, workers=workers) for workers in (1, 2))

    assert (one.mean == two.mean).all()


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="test_groups"):
        combinatorial_paths(Witnesses(), noise(100), groups=3, test_groups=3)
    with pytest.raises(DataUnavailable, match="fewer groups"):
        combinatorial_paths(Witnesses(), noise(60), groups=10, test_groups=1)
