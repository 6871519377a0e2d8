"""Which of many candidates are better than the benchmark, and which may be the best, when all are tested at once?

Both answers come from one stationary bootstrap of all columns together, so that what they share (a market, a month) is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evolve.errors import InvalidRequest
from evolve.statistics.bootstrap import optimal_block_bars, resampling_weights
from evolve.statistics.metric import Floats, table


@dataclass(frozen=True, slots=True)
class SuperiorSet:
    """superior: columns better than the benchmark, ascending; steps: rounds until no further one was found."""

    superior: tuple[int, ...]
    steps: int
    level: float
    mean_block_bars: float


@dataclass(frozen=True, slots=True)
class ConfidenceSet:
    """included: columns among which the best is, with the confidence asked for; p_values: of each column, 1 for the best."""

    included: tuple[int, ...]
    p_values: tuple[float, ...]
    confidence: float
    mean_block_bars: float


def stepwise_superior(
    differences: ArrayLike,
    *,
    level: float = 0.05,
    mean_block_bars: float | None = None,
    draws: int = 2000,
    rng: np.random.Generator,
) -> SuperiorSet:
    """Every candidate that beats the benchmark, with the chance of naming even one falsely held at `level` (StepM, studentised).

    differences: (bars, candidates), candidate minus benchmark, larger is better. Raises InvalidRequest for a candidate that never
    differs. Source: Romano & Wolf (2005), Stepwise multiple testing as formalized data snooping, Econometrica 73(4).
    """
    _check_level(level)
    sample, block = _sample(differences, mean_block_bars, least=1)
    replicas = _resampled_means(sample - sample.mean(axis=0), block, draws, rng)
    error = replicas.std(axis=0)
    _refuse_still(error)
    statistic, simulated = sample.mean(axis=0) / error, replicas / error
    left = np.ones(sample.shape[1], dtype=bool)
    steps = 0
    while left.any():
        steps += 1
        critical = np.quantile(simulated[:, left].max(axis=1), 1 - level)
        found = left & (statistic > critical)
        if not found.any():
            break
        left &= ~found
    return SuperiorSet(tuple(np.flatnonzero(~left).tolist()), steps, level, block)


def model_confidence_set(
    losses: ArrayLike,
    *,
    confidence: float = 0.90,
    mean_block_bars: float | None = None,
    draws: int = 2000,
    rng: np.random.Generator,
) -> ConfidenceSet:
    """The models that cannot be told from the best: the worst is left out until what remains may be equal (T_max).

    losses: (bars, models), smaller is better. Raises InvalidRequest for fewer than two models, or two that always lose the same.
    Source: Hansen, Lunde & Nason (2011), The model confidence set, Econometrica 79(2), sect. 3.1.2.
    """
    _check_level(1 - confidence)
    sample, block = _sample(losses, mean_block_bars, least=2)
    mean = sample.mean(axis=0)
    replicas = _resampled_means(sample - mean, block, draws, rng)
    p_values = np.ones(sample.shape[1])
    left = list(range(sample.shape[1]))
    highest = 0.0
    while len(left) > 1:
        above = mean[left] - mean[left].mean()
        shifted = replicas[:, left] - replicas[:, left].mean(axis=1, keepdims=True)
        error = shifted.std(axis=0)
        _refuse_still(error)
        worst = int(np.argmax(above / error))
        p = float(np.mean((shifted / error).max(axis=1) >= (above / error)[worst]))
        # Once a set was not rejected, none within it is: p-values never fall along the eliminations.
        highest = max(highest, p)
        p_values[left[worst]] = highest
        del left[worst]
    included = tuple(np.flatnonzero(p_values > 1 - confidence).tolist())
    return ConfidenceSet(included, tuple(p_values.tolist()), confidence, block)


def _sample(values: ArrayLike, mean_block_bars: float | None, *, least: int) -> tuple[Floats, float]:
    sample = table(values, "values")
    if sample.shape[0] < 2 or sample.shape[1] < least:
        raise InvalidRequest(
            f"needs at least two bars and {least} columns, not {sample.shape[0]} and {sample.shape[1]}"
        )
    if mean_block_bars is None:
        mean_block_bars = float(np.median([optimal_block_bars(column) for column in sample.T]))
    return sample, float(mean_block_bars)


def _resampled_means(centred: Floats, mean_block_bars: float, draws: int, rng: np.random.Generator) -> Floats:
    bars = len(centred)
    weights = resampling_weights(bars, draws, mean_block_bars=mean_block_bars, rng=rng)
    return np.concatenate([each @ centred / bars for each in weights])


def _refuse_still(error: Floats) -> None:
    still = np.flatnonzero(error <= 1e-300)
    if still.size:
        raise InvalidRequest(
            f"column {int(still[0])} differs from the others by the same amount on every bar; leave it out"
        )


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InvalidRequest(f"the level must lie between 0 and 1, not {level}")
