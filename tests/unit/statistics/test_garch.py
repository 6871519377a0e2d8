"""GARCH(1,1): the known answer of another library, parameters that are found again, and inputs it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.statistics.garch import MIN_RETURNS, Garch, fit_garch


def simulated(bars: int, *, omega: float, alpha: float, beta: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns, and the variance each was drawn with."""
    rng = np.random.default_rng(seed)
    variance, returns, variances = omega / (1 - alpha - beta), [], []
    for shock in rng.standard_normal(bars):
        variances.append(variance)
        returns.append(np.sqrt(variance) * shock)
        variance = omega + alpha * returns[-1] ** 2 + beta * variance
    return np.array(returns), np.array(variances)


@pytest.mark.prove
def test_the_sp500_has_the_known_likelihood_and_parameters() -> None:
    """5,030 returns of arch.data.sp500 in percent; figures of the package arch (findings: LL −6936.72)."""
    sp500 = pytest.importorskip("arch.data.sp500", reason="the oracle's data come with the package arch")
    close = sp500.load()["Adj Close"]
    found = fit_garch(100 * close.pct_change().dropna().to_numpy())

    assert found.log_likelihood == pytest.approx(-6936.72, abs=0.01)
    assert (found.mean, found.omega, found.alpha, found.beta) == pytest.approx(
        (0.0564, 0.0175, 0.1022, 0.8852), abs=2e-4
    )


def test_planted_parameters_and_variances_are_found_again() -> None:
    returns, variances = simulated(4000, omega=2e-6, alpha=0.08, beta=0.90, seed=3)

    found = fit_garch(returns)

    assert (found.alpha, found.beta) == (pytest.approx(0.08, abs=0.025), pytest.approx(0.90, abs=0.03))
    assert np.corrcoef(found.variance[100:], variances[100:])[0, 1] > 0.98
    assert found.variance.mean() == pytest.approx(variances.mean(), rel=0.1)


@pytest.fixture(scope="module")
def fitted() -> tuple[Garch, np.ndarray]:
    returns, _ = simulated(1500, omega=4e-6, alpha=0.1, beta=0.85, seed=5)
    return fit_garch(returns), returns


def test_variance_and_likelihood_follow_from_the_parameters(fitted: tuple[Garch, np.ndarray]) -> None:
    found, returns = fitted
    surprises = (returns - found.mean) ** 2

    after = found.omega + found.alpha * surprises + found.beta * found.variance

    assert np.allclose(np.append(found.variance[1:], found.next_variance), after, rtol=1e-9)
    likelihood = -0.5 * np.sum(np.log(2 * np.pi) + np.log(found.variance) + surprises / found.variance)
    assert found.log_likelihood == pytest.approx(likelihood, rel=1e-9)


def test_it_goes_on_with_returns_that_came_later(fitted: tuple[Garch, np.ndarray]) -> None:
    found, returns = fitted
    later = np.array([0.01, -0.03])

    variances = found.continued(later)

    first = found.omega + found.alpha * (returns[-1] - found.mean) ** 2 + found.beta * found.variance[-1]
    second = found.omega + found.alpha * (0.01 - found.mean) ** 2 + found.beta * first
    assert variances[:2] == pytest.approx([first, second], rel=1e-9)
    assert len(variances) == 3


def test_the_unit_of_the_returns_only_scales_the_fit(fitted: tuple[Garch, np.ndarray]) -> None:
    found, returns = fitted
    percent = fit_garch(100 * returns)

    assert (percent.alpha, percent.beta) == pytest.approx((found.alpha, found.beta), abs=1e-6)
    assert percent.next_variance == pytest.approx(1e4 * found.next_variance, rel=1e-6)


@pytest.mark.parametrize(
    ("returns", "error", "says"),
    [
        (np.zeros(MIN_RETURNS - 1), DataUnavailable, "at least 100 returns, not 99"),
        (np.full(500, 0.001), DataUnavailable, "never vary"),
        (np.append(np.zeros(500), np.nan), InvalidRequest, "returns holds nan at 500"),
    ],
)
def test_returns_that_say_nothing_are_refused(returns: np.ndarray, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        fit_garch(returns)
