"""How variable was each return, if variance follows its own past and the last surprise? GARCH(1,1) by normal quasi-likelihood.

The yardstick that other forecasts of volatility are held against, not one of ours: from daily closes alone it knows less than the
ranges of the bars do (docs/models.md).

Source: Bollerslev (1986), J. Econometrics 31(3); Bollerslev & Wooldridge (1992) on why normal likelihood serves other errors too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from evolve.errors import DataUnavailable
from evolve.statistics.metric import Floats, series

MIN_RETURNS = 100  # four parameters; below, the likelihood is flat along alpha + beta
# The variance before the first return: the first 75 squared surprises, each later one counting 6 % less (as RiskMetrics' mirror).
BACKCAST_RETURNS, BACKCAST_DECAY = 75, 0.94
# Whatever the surprise, a variance stays within these multiples of the sample's: a search then cannot leave the numbers.
NARROWEST, WIDEST = 1e-8, 1e6
STARTS = ((0.05, 0.90), (0.10, 0.80), (0.20, 0.50))  # alpha, beta: from slow to quick; the best is refined


@dataclass(frozen=True, eq=False, slots=True)
class Garch:
    """variance(t) = omega + alpha · (return(t − 1) − mean)² + beta · variance(t − 1), in the unit of the returns squared.

    variance: of each return as known before it, shape (returns,); next_variance: of the one after the last; log_likelihood: normal.
    """

    mean: float
    omega: float
    alpha: float
    beta: float
    log_likelihood: float
    variance: Floats
    next_variance: float

    def continued(self, returns: ArrayLike) -> Floats:
        """Variance of each return that followed those fitted, and of the one after them: shape (returns + 1,)."""
        surprises = (series(returns, "returns") - self.mean) ** 2
        return _recursion(surprises, self.next_variance, self.omega, self.alpha, self.beta)


def fit_garch(returns: ArrayLike) -> Garch:
    """The GARCH(1,1) of greatest likelihood, alpha + beta < 1. Raises DataUnavailable for too few returns or ones that never move."""
    sample = series(returns, "returns")
    if sample.size < MIN_RETURNS:
        raise DataUnavailable(f"GARCH needs at least {MIN_RETURNS} returns, not {sample.size}")
    centre, scale = float(sample.mean()), float(sample.std())
    if scale <= 1e-12 * max(1.0, float(np.abs(sample).max())):
        raise DataUnavailable("the returns never vary: no volatility to fit")
    standard = (sample - centre) / scale

    def loss(at: Floats) -> float:
        mean, omega, alpha, beta = (float(value) for value in at)
        variance = _variances((standard - mean) ** 2, omega, alpha, beta)[:-1]
        return float(np.log(variance).sum() + ((standard - mean) ** 2 / variance).sum()) / 2

    def loss_from(start: tuple[float, float]) -> float:
        return loss(np.array([0.0, 1 - sum(start), *start]))

    alpha, beta = min(STARTS, key=loss_from)
    found = minimize(
        loss,
        np.array([0.0, 1 - alpha - beta, alpha, beta]),
        method="SLSQP",
        bounds=[(-1.0, 1.0), (1e-8, 2.0), (0.0, 1.0), (0.0, 1.0)],
        constraints={"type": "ineq", "fun": lambda at: 1 - 1e-8 - at[2] - at[3]},
        options={"ftol": 1e-10, "maxiter": 500},
    )
    mean, omega, alpha, beta = (float(value) for value in found.x)
    variance = _variances((standard - mean) ** 2, omega, alpha, beta) * scale**2
    constant = sample.size * (np.log(2 * np.pi) / 2 + np.log(scale))
    return Garch(
        mean=centre + scale * mean,
        omega=omega * scale**2,
        alpha=alpha,
        beta=beta,
        log_likelihood=-float(found.fun) - float(constant),
        variance=variance[:-1],
        next_variance=float(variance[-1]),
    )


def _variances(squares: Floats, omega: float, alpha: float, beta: float) -> Floats:
    """The variance of each return and of the next one, shape (returns + 1,)."""
    weights = BACKCAST_DECAY ** np.arange(min(BACKCAST_RETURNS, len(squares)))
    before = float(weights @ squares[: len(weights)] / weights.sum())
    return _recursion(squares, omega + (alpha + beta) * before, omega, alpha, beta, narrowest=NARROWEST, widest=WIDEST)


def _recursion(
    squares: Floats,
    variance: float,
    omega: float,
    alpha: float,
    beta: float,
    *,
    narrowest: float = 0.0,
    widest: float = np.inf,
) -> Floats:
    found = [variance]
    for square in squares.tolist():
        variance = min(max(omega + alpha * square + beta * variance, narrowest), widest)
        found.append(variance)
    return np.array(found)
