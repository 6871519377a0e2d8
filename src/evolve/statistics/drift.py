"""Has the world changed since the model was tested? Two samples compared by tests that must agree.

One test alone cries wolf: the Kolmogorov–Smirnov distance grows significant over nothing when it is looked at every bar, the
population stability index is large for small samples. An alarm needs both. Values are compared, never their order: standardise by
volatility first, for under volatility clustering raw losses always differ.

Sources: Smirnov (1948), Annals of Mathematical Statistics 19(2); Stephens (1970), JRSS B 32(1), for the small-sample correction;
Siddiqi (2006), Credit Risk Scorecards, for the index and its usual limits; Geyer (1992), Statistical Science 7(4), for the
effective sample size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import kolmogorov

from evolve.errors import InvalidRequest
from evolve.statistics.metric import Floats, series

BINS = 10  # of the index: the usual deciles
MIN_SAMPLE = 20  # below, no p-value of 0.001 can be had from a shift that anybody would call small


@dataclass(frozen=True, slots=True)
class Drift:
    """How far recent values lie from earlier ones. distance: largest gap between both distribution functions, and its p-value;
    stability: the population stability index. reference, recent: how many values stood on each side, `effective` how many
    independent ones the recent are worth.
    """

    distance: float
    p: float
    stability: float
    reference: int
    recent: int
    effective: float

    def agree(self, *, p: float, stability: float) -> bool:
        """Whether both tests say that something changed."""
        return self.p < p and self.stability > stability


def drift_between(reference: Floats, recent: Floats, *, independent: bool = True) -> Drift:
    """Compare two samples, shape (values,) each. independent=False: neighbours resemble each other, as features over windows do,
    and count for less. Raises InvalidRequest for fewer than MIN_SAMPLE values on a side.
    """
    before, now = series(reference, "reference"), series(recent, "recent")
    if min(before.size, now.size) < MIN_SAMPLE:
        raise InvalidRequest(
            f"comparing needs at least {MIN_SAMPLE} values on each side, not {before.size} and {now.size}"
        )
    distance = smirnov_distance(before, now)
    worth = (float(before.size), float(now.size))
    if not independent:
        # One persistence for both, from the longer side: that of a short stretch is mostly its own mean.
        share = effective_size(before) / before.size
        worth = (max(2.0, share * before.size), max(2.0, share * now.size))
    return Drift(
        distance=distance,
        p=smirnov_p(distance, *worth),
        stability=population_stability(before, now),
        reference=before.size,
        recent=now.size,
        effective=worth[1],
    )


def smirnov_distance(first: Floats, second: Floats) -> float:
    """The largest gap between two empirical distribution functions, 0 … 1."""
    first, second = np.sort(first), np.sort(second)
    places = np.concatenate([first, second])
    gap = np.searchsorted(first, places, side="right") / first.size
    gap = gap - np.searchsorted(second, places, side="right") / second.size
    return float(np.abs(gap).max())


def smirnov_p(distance: float, first: float, second: float) -> float:
    """Chance of such a gap between samples of one continuous law, by Stephens' correction of the limit law.

    first, second: independent values on each side. With ties (a feature of few levels) it is conservative.
    """
    root = np.sqrt(first * second / (first + second))
    return float(kolmogorov((root + 0.12 + 0.11 / root) * distance))


def population_stability(reference: Floats, recent: Floats) -> float:
    """Σ (p − q) ln (p / q) over the deciles of the reference. Half a value is added to each bin, so that an empty one is not infinite.

    0 for equal shares; by custom above 0.1 is some change and above 0.25 a large one. Its mean over nothing is about
    (bins − 1)(1/n + 1/m): samples should be well above 100.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = edges.size + 1
    before = np.bincount(np.searchsorted(edges, reference), minlength=bins) + 0.5
    now = np.bincount(np.searchsorted(edges, recent), minlength=bins) + 0.5
    p, q = before / before.sum(), now / now.sum()
    return float(((q - p) * np.log(q / p)).sum())


def effective_size(values: Floats) -> float:
    """How many independent values a persistent series is worth: n / (1 + 2 Σ autocorrelations), summed while pairs of them are positive."""
    centred = values - values.mean()
    n = centred.size
    energy = float(centred @ centred)
    if energy <= 0:
        return 1.0
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(centred, size)
    correlation = np.fft.irfft(spectrum * spectrum.conj(), size)[:n] / energy
    pairs = correlation[1 : n - (n - 1) % 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    total = float(pairs[: ends[0] if ends.size else None].sum())
    return float(np.clip(n / (1 + 2 * total), 1.0, n))
