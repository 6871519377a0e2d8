"""Do independent libraries give the same figures? To 1e-10 on many random series, and random tests within their sampling error.

`make prove` installs the libraries (dependency group `oracles`); one that cannot be installed is skipped by name.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evolve.backtest import metrics, significance
from evolve.statistics import scores
from evolve.statistics.bootstrap import optimal_block_bars, superior_predictive_ability
from evolve.statistics.comparison import diebold_mariano, regression_alphas
from evolve.statistics.selection import model_confidence_set, stepwise_superior

# Other people's deprecations are not our errors.
pytestmark = [pytest.mark.prove, pytest.mark.filterwarnings("ignore")]
YEAR = 252
SERIES = 50


def oracle(module: str, package: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(module, reason=f"the oracle {package} is not installed: make prove")


def returns(seed: int) -> np.ndarray:
    """Daily returns: 20 to 3,000 of them, with fat tails, a drift, and some bars of nothing."""
    rng = np.random.default_rng([20, seed])
    sample = rng.standard_t(4, int(rng.integers(20, 3000))) * 0.01 + rng.normal(0, 0.001)
    sample[rng.random(sample.size) < 0.1] = 0.0
    return np.maximum(sample, -0.9)


def test_the_figures_equal_empyrical_reloaded() -> None:
    empyrical = oracle("empyrical", "empyrical-reloaded")
    for seed in range(SERIES):
        sample = returns(seed)
        market = 0.5 * sample + np.random.default_rng(seed).normal(0, 0.01, sample.size)
        expected = [
            (metrics.total_return(sample), empyrical.cum_returns_final(sample)),
            (metrics.cagr(sample, bars_per_year=YEAR), empyrical.annual_return(sample)),
            (metrics.annual_volatility(sample, bars_per_year=YEAR), empyrical.annual_volatility(sample)),
            (metrics.sharpe_ratio(sample, bars_per_year=YEAR), empyrical.sharpe_ratio(sample)),
            (metrics.sortino_ratio(sample, bars_per_year=YEAR), empyrical.sortino_ratio(sample)),
            (metrics.calmar_ratio(sample, bars_per_year=YEAR), empyrical.calmar_ratio(sample)),
            (metrics.max_drawdown(sample), empyrical.max_drawdown(sample)),
            (metrics.value_at_risk(sample), empyrical.value_at_risk(sample)),
            (metrics.conditional_value_at_risk(sample), empyrical.conditional_value_at_risk(sample)),
            (metrics.omega_ratio(sample), empyrical.omega_ratio(sample)),
            (metrics.tail_ratio(sample), empyrical.tail_ratio(sample)),
            (metrics.alpha_beta(sample, market, bars_per_year=YEAR)[1], empyrical.beta(sample, market)),
        ]
        for row, (ours, theirs) in enumerate(expected):
            assert ours.value == pytest.approx(theirs, rel=1e-10, abs=1e-13), (seed, row)


def test_drawdowns_and_the_deflated_sharpe_ratio_equal_skfolio() -> None:
    measures = oracle("skfolio.measures", "skfolio")
    for seed in range(SERIES):
        sample = returns(seed)
        sharpe = float(sample.mean() / sample.std(ddof=1))
        known: dict[str, Any] = {
            "bars": sample.size, "skew": metrics.skewness(sample), "kurtosis": metrics.kurtosis(sample),
        }  # fmt: skip
        trials = np.random.default_rng(seed).normal(0, 0.03, 40)

        fall = measures.max_drawdown(measures.get_drawdowns(sample, compounded=True))
        psr = significance.probabilistic_sharpe_ratio(sharpe, benchmark=0.02, **known)
        dsr = significance.deflated_sharpe_ratio(sharpe, trials=40, variance=float(trials.var(ddof=1)), **known)

        assert metrics.max_drawdown(sample).value == pytest.approx(-fall, rel=1e-10)
        assert psr.value == pytest.approx(measures.probabilistic_sharpe_ratio(sample, 0.02), rel=1e-10)
        assert dsr.value == pytest.approx(measures.deflated_sharpe_ratio(sample, trials), rel=1e-10)


def test_the_alpha_and_its_hac_error_equal_statsmodels() -> None:
    models = oracle("statsmodels.api", "statsmodels")
    for seed in range(SERIES):
        sample = returns(seed)
        rng = np.random.default_rng(seed)
        factors = np.column_stack([0.5 * sample, sample**2]) + rng.normal(0, 0.01, (sample.size, 2))

        ours = regression_alphas(sample[:, None], factors, lags=4)
        fit = models.OLS(sample, models.add_constant(factors)).fit(
            cov_type="HAC", cov_kwds={"maxlags": 4, "use_correction": True}
        )

        assert ours.alpha[0] == pytest.approx(fit.params[0], rel=1e-9, abs=1e-13)
        assert ours.standard_error[0] == pytest.approx(fit.bse[0], rel=1e-9)


def test_scores_equal_scikit_learn_and_scipy() -> None:
    learn = oracle("sklearn.metrics", "scikit-learn")
    for seed in range(SERIES):
        actual = returns(seed)
        predicted = 0.1 * actual + np.random.default_rng(seed).normal(0, 0.01, actual.size)

        assert scores.mean_absolute_error(predicted, actual).value == pytest.approx(
            learn.mean_absolute_error(actual, predicted), rel=1e-10
        )
        assert scores.root_mean_squared_error(predicted, actual).value == pytest.approx(
            learn.root_mean_squared_error(actual, predicted), rel=1e-10
        )
        assert scores.pinball(predicted, actual, quantile=0.1).value == pytest.approx(
            learn.mean_pinball_loss(actual, predicted, alpha=0.1), rel=1e-10
        )
        difference = (predicted - actual) ** 2 - actual**2
        test = stats.ttest_1samp(difference, 0.0)
        ours = diebold_mariano((predicted - actual) ** 2, actual**2)
        # One bar ahead without lags the test is Student's: HLN's factor is the small-sample variance.
        assert ours.t == pytest.approx(test.statistic, rel=1e-9)
        assert ours.p == pytest.approx(test.pvalue, rel=1e-9, abs=1e-15)


def test_resampled_tests_equal_arch_within_their_sampling_error() -> None:
    bootstrap = oracle("arch.bootstrap", "arch")
    rng = np.random.default_rng(12)
    losses = rng.normal(1, 1, (500, 5)) + np.array([0, 0, 0.05, 0.15, 0.4])
    benchmark = rng.normal(1.1, 1, 500)
    frame = pd.DataFrame(losses)

    theirs = bootstrap.MCS(frame, 0.1, reps=2000, block_size=5, method="max", seed=1)
    theirs.compute()
    ours = model_confidence_set(losses, mean_block_bars=5, rng=np.random.default_rng(1))
    assert ours.p_values == pytest.approx(theirs.pvalues.sort_index()["Pvalue"].to_numpy(), abs=0.03)

    spread = (benchmark[:, None] - losses).std(axis=0)
    spa = bootstrap.SPA(benchmark * 0, -(benchmark[:, None] - losses) / spread, reps=4000, block_size=5, studentize=True, seed=1)  # fmt: skip
    spa.compute()
    mine = superior_predictive_ability(
        benchmark[:, None] - losses, mean_block_bars=5, draws=4000, rng=np.random.default_rng(1)
    )
    assert mine.p == pytest.approx(float(spa.pvalues["consistent"]), abs=0.03)

    step = bootstrap.StepM(benchmark, frame, 0.05, reps=2000, block_size=5, studentize=True, seed=1)
    step.compute()
    found = stepwise_superior(benchmark[:, None] - losses, mean_block_bars=5, rng=np.random.default_rng(1))
    assert list(found.superior) == sorted(step.superior_models)

    path = np.zeros(2000)
    for bar in range(1, 2000):
        path[bar] = 0.6 * path[bar - 1] + rng.normal()
    length = float(bootstrap.optimal_block_length(path)["stationary"].iloc[0])
    assert optimal_block_bars(path) == pytest.approx(length, rel=0.1)
