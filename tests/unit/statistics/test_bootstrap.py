from __future__ import annotations

import numpy as np
import pytest

from evolve.errors import InvalidRequest
from evolve.statistics.bootstrap import (
    bootstrap_interval,
    optimal_block_bars,
    resampling_weights,
    stationary_indices,
    superior_predictive_ability,
)

# (lower, consistent, upper) p-values by mean block length.
ORACLE = {1.0: (0.0863, 0.0995, 0.1181), 5.0: (0.0529, 0.0621, 0.0728)}


def autoregressive(rho: float, bars: int, rng: np.random.Generator) -> np.ndarray:
    shocks = rng.normal(size=bars)
    path = np.empty(bars)
    path[0] = shocks[0]
    for bar in range(1, bars):
        path[bar] = rho * path[bar - 1] + shocks[bar]
    return path


def means(samples: np.ndarray) -> np.ndarray:
    return samples.mean(axis=1)


def test_blocks_have_the_mean_length_asked_for_and_wrap_around() -> None:
    indices = stationary_indices(1000, 200, mean_block_bars=10, rng=np.random.default_rng(1))

    continued = (np.diff(indices, axis=1) % 1000) == 1
    # A block goes on with probability 1 − 1/10 (and a new one starts at the next bar by chance once in 1,000).
    assert continued.mean() == pytest.approx(0.9001, abs=0.003)
    assert indices.min() == 0
    assert indices.max() == 999
    assert np.any((indices[:, :-1] == 999) & (indices[:, 1:] == 0))


def test_a_mean_block_of_one_bar_is_the_ordinary_bootstrap() -> None:
    indices = stationary_indices(50, 400, mean_block_bars=1, rng=np.random.default_rng(2))

    assert ((np.diff(indices, axis=1) % 50) == 1).mean() == pytest.approx(1 / 50, abs=0.005)


def test_every_bar_is_drawn_equally_often() -> None:
    weights = np.concatenate(list(resampling_weights(20, 2000, mean_block_bars=4, rng=np.random.default_rng(3))))

    assert weights.shape == (2000, 20)
    assert (weights.sum(axis=1) == 20).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(20), abs=0.12)


def test_the_same_seed_gives_the_same_resamples() -> None:
    first, second = (stationary_indices(100, 5, mean_block_bars=5, rng=np.random.default_rng(4)) for _ in range(2))

    assert (first == second).all()


@pytest.mark.parametrize("wrong", [0.5, float("nan")])
def test_a_block_shorter_than_a_bar_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidRequest, match="mean_block_bars"):
        stationary_indices(100, 5, mean_block_bars=wrong, rng=np.random.default_rng(4))


def test_the_optimal_block_length_equals_arch() -> None:
    """arch 8.0, optimal_block_length(...)["stationary"], on these very numbers: 1.549494, 13.355963, 28.870025.

    Within 1 %: arch takes the first insignificant lag for the bandwidth, the paper (and we) the last significant one.
    """
    rng = np.random.default_rng(7)

    lengths = [optimal_block_bars(autoregressive(rho, 1000, rng)) for rho in (0.0, 0.5, 0.9)]

    assert lengths == pytest.approx([1.549494, 13.355963, 28.870025], rel=0.01)


@pytest.mark.parametrize("values", [[], [1.0] * 100, [0.3, 0.1, 0.2]])
def test_where_nothing_can_be_estimated_a_block_is_one_bar(values: list[float]) -> None:
    assert optimal_block_bars(values) == 1.0


def test_the_interval_of_a_mean_covers_it_at_its_level_despite_autocorrelation() -> None:
    rng = np.random.default_rng(5)
    worlds = 100
    covered = naive = 0
    for _ in range(worlds):
        path = autoregressive(0.5, 300, rng)
        blocks = bootstrap_interval(path, means, draws=300, level=0.9, rng=rng)
        single = bootstrap_interval(path, means, mean_block_bars=1, draws=300, level=0.9, rng=rng)
        covered += blocks.low <= 0 <= blocks.high  # type: ignore[operator]
        naive += single.low <= 0 <= single.high  # type: ignore[operator]

    assert 0.8 < covered / worlds < 0.97
    assert naive / worlds < 0.75


def test_resamples_for_which_a_statistic_is_undefined_are_counted() -> None:
    def rare(samples: np.ndarray) -> np.ndarray:
        return np.where((samples == 1).any(axis=1), samples.mean(axis=1), np.nan)

    metric = bootstrap_interval([1.0, *[0.0] * 9], rare, mean_block_bars=1, draws=200, rng=np.random.default_rng(6))

    assert metric.value == pytest.approx(0.1)
    assert "of 200 resamples" in metric.note


def test_a_statistic_undefined_for_the_data_has_no_interval() -> None:
    metric = bootstrap_interval([1.0, 2.0], lambda s: np.full(len(s), np.nan), rng=np.random.default_rng(6))

    assert (metric.value, metric.low) == (None, None)


def test_superior_predictive_ability_equals_arch() -> None:
    """arch 8.0, SPA(...).pvalues with 20,000 draws, on these very numbers.

    Its `studentize` only decides which candidates count, and never divides by the deviations; so it was given the columns
    already divided.
    """
    noise = np.random.default_rng(12).normal(size=(800, 6))
    differences = noise * [1, 2, 0.5, 1, 1, 3] + [0, 0, -0.2, 0, 0.03, 0.2]

    for block, expected in ORACLE.items():
        ours = superior_predictive_ability(
            differences, mean_block_bars=block, draws=10_000, rng=np.random.default_rng(3)
        )
        assert (ours.p_lower, ours.p, ours.p_upper) == pytest.approx(expected, abs=0.015)


def test_among_many_lucky_candidates_the_best_is_rarely_called_superior() -> None:
    rng = np.random.default_rng(8)
    worlds = 120

    p = [
        superior_predictive_ability(rng.normal(size=(250, 10)), mean_block_bars=2, draws=200, rng=rng).p
        for _ in range(worlds)
    ]

    # 5 % of 120 is 6, give or take 2.4; picking the best of ten by its own t test would give about 48.
    assert sum(value <= 0.05 for value in p) <= 14
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)


def test_one_skilled_candidate_among_many_is_found() -> None:
    rng = np.random.default_rng(9)
    differences = rng.normal(size=(500, 20))
    differences[:, 7] += 0.25

    result = superior_predictive_ability(differences, draws=500, rng=rng)

    assert result.best == 7
    assert result.p < 0.01


def test_a_loud_candidate_does_not_hide_a_quiet_good_one() -> None:
    """What studentising is for: in units of the differences the loud one dominates every maximum."""
    rng = np.random.default_rng(10)
    differences = np.column_stack([rng.normal(0.4, 1, 500), rng.normal(0, 100, 500)])

    result = superior_predictive_ability(differences, mean_block_bars=1, draws=500, rng=rng)

    assert result.best == 0
    assert result.p < 0.01


def test_hopeless_candidates_cost_no_power() -> None:
    rng = np.random.default_rng(11)
    good = rng.normal(0.05, 1, (400, 1))
    hopeless = rng.normal(-1, 1, (400, 60))

    alone = superior_predictive_ability(good, mean_block_bars=1, draws=2000, rng=np.random.default_rng(1))
    crowd = superior_predictive_ability(
        np.hstack([good, hopeless]), mean_block_bars=1, draws=2000, rng=np.random.default_rng(1)
    )

    assert crowd.p == pytest.approx(alone.p, abs=0.02)
    assert crowd.p_upper > crowd.p + 0.1


def test_when_all_are_worse_nothing_is_superior() -> None:
    result = superior_predictive_ability(
        np.random.default_rng(13).normal(-1, 1, (100, 3)), draws=200, rng=np.random.default_rng(1)
    )

    assert (result.p, result.statistic) == (1.0, 0.0)


def test_a_candidate_that_never_differs_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="candidate 1 differs"):
        superior_predictive_ability(np.column_stack([np.arange(10.0), np.zeros(10)]), rng=np.random.default_rng(1))
