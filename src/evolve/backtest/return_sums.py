"""What do the figures of a track record need to know of its returns? One pass over them, and one sort where a figure asks for it.

Moments are central ones, updated bar by bar (Pébay 2008, Formulas for robust, one-pass parallel computation of covariances and
arbitrary-order statistical moments, Sandia report SAND2008-6212): a difference of large sums would lose the digits of a small mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from evolve.backtest.engine import Engine, wants_numpy
from evolve.statistics.metric import ROUNDING, Floats, series


@dataclass(frozen=True, eq=False)
class ReturnSums:
    """Of simple returns, fractions per bar, shape (bars,).

    squares, cubes, fourths: sums of the powers of the deviations from the mean, in units of `scale` (about the size of a large
    return): the fourth power of a tiny one would vanish, that of a huge one overflow. gains, losses: sums of what was gained and lost, both ≥ 0;
    winners, losers: bars. downside: sum of the squared losses over scale². growth: the account's end for a start of one. ruined: a
    bar lost everything. drawdown: the deepest fall from a peak, −1 … 0; drawdown_bars: from that peak until the account was
    back at it, or to the last bar; recovered: whether it was. largest: the size of the largest return.
    """

    sample: Floats
    scale: float
    mean: float
    squares: float
    cubes: float
    fourths: float
    gains: float
    losses: float
    winners: int
    losers: int
    downside: float
    growth: float
    ruined: bool
    drawdown: float
    drawdown_bars: int
    recovered: bool
    largest: float

    @property
    def n(self) -> int:
        return self.sample.size

    def deviation(self, *, ddof: int) -> float:
        """Standard deviation; needs more than `ddof` bars."""
        return float(np.sqrt(self.squares / (self.n - ddof))) * self.scale

    @property
    def is_still(self) -> bool:
        """Whether what varies is rounding, so that no ratio to the deviation means anything."""
        return self.deviation(ddof=0) <= ROUNDING * self.largest

    @property
    def downside_deviation(self) -> float:
        """Root mean square of the losses, over all bars."""
        return float(np.sqrt(self.downside / self.n)) * self.scale

    @property
    def skewness(self) -> float:
        """Third standardised moment (population); 0 for a constant series."""
        return float(np.sqrt(self.n)) * self.cubes / self.squares**1.5 if self.squares > 0 else 0.0

    @property
    def kurtosis(self) -> float:
        """Fourth standardised moment (population); 3 for a normal, and for a constant series."""
        return self.n * self.fourths / self.squares**2 if self.squares > 0 else 3.0

    @cached_property
    def ordered(self) -> Floats:
        """The returns, smallest first."""
        return np.sort(self.sample)

    def quantile(self, level: float) -> float:
        """The empirical quantile, between two returns by interpolation (numpy's default, Hyndman & Fan's type 7)."""
        place = level * (self.n - 1)
        below = int(place)
        above = min(below + 1, self.n - 1)
        return float(self.ordered[below] + (place - below) * (self.ordered[above] - self.ordered[below]))


def return_sums(returns: ArrayLike | ReturnSums, *, engine: Engine = "numba") -> ReturnSums:
    """What one pass over the returns tells; they themselves are handed back when they were passed over before.

    Raises InvalidRequest for what is not finite, MissingExtra where the engine is not installed.
    """
    if isinstance(returns, ReturnSums):
        return returns
    sample = series(returns, "returns")
    if wants_numpy(engine):
        return ReturnSums(sample, *pass_over(sample))
    from evolve.backtest.return_kernel import pass_over_compiled

    return ReturnSums(sample, *pass_over_compiled(sample))


Sums = tuple[float, float, float, float, float, float, float, int, int, float, float, bool, float, int, bool, float]


def pass_over(sample: Floats) -> Sums:
    """The reference, by as many passes as it takes: written independently of the compiled kernel."""
    n = sample.size
    largest = float(np.abs(sample).max(initial=0.0))
    scale = largest or 1.0
    away = (sample - sample.mean()) / scale if n else sample
    gained, lost = sample[sample > 0], sample[sample < 0]
    depth = _drawdown(sample)
    trough = int(np.argmin(depth))
    # `depth` has one entry more than there are bars: entry 0 is the start.
    peak = int(np.flatnonzero(depth[: trough + 1] == 0)[-1])
    back = np.flatnonzero(depth[trough:] == 0)
    length = trough + int(back[0]) - peak if back.size else n - peak
    return (
        scale, float(sample.mean()) if n else 0.0, float(np.sum(away**2)), float(np.sum(away**3)), float(np.sum(away**4)),
        float(gained.sum()), float(-lost.sum()), gained.size, lost.size, float(np.sum((lost / scale) ** 2)),
        float(np.prod(1 + sample)), bool((sample <= -1).any()),
        float(depth.min()), length, bool(back.size), largest,
    )  # fmt: skip


def _drawdown(sample: Floats) -> Floats:
    """Fall from the highest equity so far, shape (bars + 1,): entry 0 is the start."""
    equity = np.concatenate([[1.0], np.cumprod(1 + sample)])
    peak: Floats = np.maximum.accumulate(equity)
    return equity / peak - 1
