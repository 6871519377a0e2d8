from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from evolve.errors import InvalidRequest
from evolve.statistics.comparison import diebold_mariano, hac_mean, long_run_variance, regression_alphas

SAMPLE = np.array([1.0, 2.0, 3.0, 4.0, 5.0])


def autoregressive(rho: float, bars: int, rng: np.random.Generator) -> np.ndarray:
    shocks = rng.normal(size=bars)
    path = np.empty(bars)
    path[0] = shocks[0]
    for bar in range(1, bars):
        path[bar] = rho * path[bar - 1] + shocks[bar]
    return path


def test_diebold_mariano_one_bar_ahead_is_the_paired_t_test() -> None:
    """With horizon 1 the HLN factor turns DM into Student's t; scipy is the oracle."""
    rng = np.random.default_rng(1)
    loss, rival = rng.exponential(size=50), rng.exponential(size=50)

    ours, oracle = diebold_mariano(loss, rival), stats.ttest_rel(loss, rival)

    assert ours.t == pytest.approx(oracle.statistic, rel=1e-12)
    assert ours.p == pytest.approx(oracle.pvalue, rel=1e-10)


def test_diebold_mariano_two_bars_ahead_by_hand() -> None:
    # d = 1…5: mean 3, γ0 = 2, γ1 = (2 + 0 + 0 + 2) / 5 = 0.8; variance 2 + 1.6 = 3.6; DM = 3 / √(3.6 / 5).
    # HLN: (5 + 1 − 4 + 2·1/5) / 5 = 0.48.
    result = diebold_mariano(SAMPLE, np.zeros(5), horizon_bars=2)

    assert result.t == pytest.approx(3 / np.sqrt(3.6 / 5) * np.sqrt(0.48))
    assert result.lags == 1


def test_a_negative_variance_is_replaced_and_said_so() -> None:
    alternating = np.array([1.0, -1.0] * 10) + 0.1

    result = diebold_mariano(alternating, np.zeros(20), horizon_bars=2)

    assert result.t is not None
    assert "Bartlett" in result.note


def test_equal_forecasts_have_no_statistic_but_a_reason() -> None:
    result = diebold_mariano(SAMPLE, SAMPLE)

    assert (result.estimate, result.t, result.p) == (0.0, None, None)
    assert "the same on every bar" in result.note


def test_the_one_sided_alternative_asks_whether_the_first_loses_less() -> None:
    rng = np.random.default_rng(2)
    loss = rng.exponential(size=100)

    better = diebold_mariano(loss, loss + rng.normal(0.5, 1, 100), alternative="less").p
    worse = diebold_mariano(loss + rng.normal(0.5, 1, 100), loss, alternative="less").p

    assert better is not None
    assert worse is not None
    assert better < 0.01 < 0.99 < worse


def test_too_few_forecasts_for_the_horizon_have_no_statistic() -> None:
    assert diebold_mariano(SAMPLE, np.zeros(5), horizon_bars=3).t is None


def test_the_size_of_diebold_mariano_holds_for_overlapping_forecasts() -> None:
    """Equal forecasts five bars ahead: a 5 % test should reject about 5 % of the time; the naive t test rejects far more."""
    rng = np.random.default_rng(3)
    worlds = 250
    rejected = naive = 0
    for _ in range(worlds):
        shocks = rng.normal(size=304)
        difference = np.convolve(shocks, np.ones(5), mode="valid")
        rejected += (diebold_mariano(difference, np.zeros(300), horizon_bars=5).p or 1) < 0.05
        naive += stats.ttest_1samp(difference, 0).pvalue < 0.05

    assert rejected / worlds < 0.1
    assert naive / worlds > 0.3


def test_a_mean_without_lags_has_students_t() -> None:
    result = hac_mean(SAMPLE, lags=0)

    assert result.t == pytest.approx(stats.ttest_1samp(SAMPLE, 0).statistic)
    assert result.p == pytest.approx(stats.ttest_1samp(SAMPLE, 0).pvalue)


def test_the_long_run_variance_by_hand() -> None:
    # γ0 = 2, γ1 = 0.8, Bartlett weight ½ at one lag: 2 + 2 · ½ · 0.8.
    assert long_run_variance(SAMPLE, lags=1) == pytest.approx(2.8)


def test_the_long_run_variance_sees_what_autocorrelation_does_to_the_mean() -> None:
    path = autoregressive(0.5, 20_000, np.random.default_rng(4))

    # Theory: variance 4/3, long-run variance 1 / (1 − 0.5)² = 4.
    assert float(long_run_variance(path, lags=40)) == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("values", [[], [1.0], [0.2] * 10])
def test_a_mean_of_nothing_or_of_a_constant_has_no_t(values: list[float]) -> None:
    result = hac_mean(values)

    assert result.t is None
    assert result.note


def test_regression_alpha_equals_statsmodels() -> None:
    """OLS(...).fit(cov_type="HAC", maxlags=5, use_correction=True, use_t=True) of statsmodels 0.14 on these very numbers."""
    rng = np.random.default_rng(7)
    for rho in (0.0, 0.5, 0.9):
        autoregressive(rho, 1000, rng)
    factors = np.column_stack([autoregressive(0.3, 400, rng), autoregressive(0.0, 400, rng)])
    returns = 0.1 + factors @ [0.5, -1.0] + autoregressive(0.4, 400, rng)

    fit = regression_alphas(returns[:, None], factors, lags=5)

    assert fit.alpha[0] == pytest.approx(0.2403092, rel=1e-6)
    assert fit.betas[:, 0] == pytest.approx([0.44445298, -0.88098094], rel=1e-7)
    assert fit.standard_error[0] == pytest.approx(0.06702171, rel=1e-6)
    assert fit.t[0] == pytest.approx(3.58554264, rel=1e-8)


@given(
    returns=arrays(np.float64, (30, 2), elements=st.floats(-1, 1)),
    factors=arrays(np.float64, (30, 2), elements=st.floats(-1, 1)),
)
@settings(deadline=None)
def test_the_mean_influence_is_the_alpha_and_the_parts_add_up(returns: np.ndarray, factors: np.ndarray) -> None:
    fit = regression_alphas(returns, factors)

    assert fit.influence.mean(axis=0) == pytest.approx(fit.alpha, abs=1e-9)
    assert fit.alpha + factors @ fit.betas + fit.residual == pytest.approx(returns, abs=1e-9)


def test_a_column_made_of_the_factors_is_explained_and_has_no_t() -> None:
    rng = np.random.default_rng(5)
    factors = rng.normal(0, 0.01, (100, 2))

    fit = regression_alphas(np.column_stack([factors @ [0.3, 0.7], rng.normal(size=100)]), factors)

    assert fit.explained.tolist() == [True, False]
    assert np.isnan(fit.t[0])


def test_a_constant_or_doubled_factor_changes_nothing() -> None:
    rng = np.random.default_rng(6)
    factor, returns = rng.normal(0, 0.01, (200, 1)), rng.normal(0, 0.01, (200, 3))

    plain = regression_alphas(returns, factor)
    padded = regression_alphas(returns, np.column_stack([factor, factor, np.full(200, 0.1)]))

    assert padded.alpha == pytest.approx(plain.alpha, rel=1e-9)


def test_too_few_bars_for_a_regression_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="at least 5 bars"):
        regression_alphas(np.zeros((4, 1)), np.zeros((4, 2)))
