"""Which point of the space is tried next? Chosen by what earlier trials scored, reproducibly.

A choice is a function of the seed, the trial's number and what the sampler was shown, never of the time of day, the process, or what
was chosen before in it: a trial whose worker died is chosen again as it was. Larger scores are better.

Bayesian choices are Optuna's: a Gaussian process with logarithmic expected improvement, or a tree-structured Parzen estimator. The first
ten trials of either are drawn at random.
Source: Akiba et al. (2019), Optuna, KDD; Bergstra et al. (2011), NeurIPS 24; Ament et al. (2023), NeurIPS 36 (LogEI).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from evolve.errors import InvalidRequest
from evolve.forecasting.base import HyperValue
from evolve.forecasting.tuning.space import SearchSpace, at
from evolve.tunings import Dimension, Method, SamplerName

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study

# Fitting a Gaussian process grows with the cube of the trials: 0.2 s at 50, and at 200 above a second on a slow core.
GP_TRIALS = 200


@dataclass(frozen=True, slots=True)
class Observed:
    """A trial that was tried (score: what it is worth) or is being tried (score None). chosen: the searched hyperparameters."""

    number: int
    chosen: Mapping[str, HyperValue]
    score: float | None


class Sampler(Protocol):
    def choose(self, number: int, seen: Sequence[Observed]) -> dict[str, HyperValue]:
        """What trial `number` tries. seen: by number; what is shown once is shown in every later call too, or the process is a new one."""
        ...


def sampler_name(method: Method, *, trials: int, dear: bool) -> SamplerName:
    """Which sampler a method means: for `bayesian` the Gaussian process where a trial is dear and there are few, else TPE."""
    if method != "bayesian":
        return method
    return "gp" if dear and trials <= GP_TRIALS else "tpe"


def sampler(
    name: SamplerName, space: SearchSpace, *, seed: int, points: Sequence[dict[str, HyperValue]] = ()
) -> Sampler:
    """points: of the grid, which is walked in an order drawn by the seed, so that a part of it is spread over all of it."""
    if name == "grid":
        order = np.random.default_rng([seed, 0]).permutation(len(points))
        return _Grid([points[int(index)] for index in order])
    if name == "random":
        return _Random(space.dimensions, seed)
    return _Bayesian(space.dimensions, seed, name)


@dataclass(frozen=True)
class _Grid:
    points: Sequence[dict[str, HyperValue]]

    def choose(self, number: int, seen: Sequence[Observed]) -> dict[str, HyperValue]:
        if number >= len(self.points):
            raise InvalidRequest(f"the grid has {len(self.points):,} points; there is no trial {number}")
        return dict(self.points[number])


@dataclass(frozen=True)
class _Random:
    dimensions: Sequence[Dimension]
    seed: int

    def choose(self, number: int, seen: Sequence[Observed]) -> dict[str, HyperValue]:
        shares = np.random.default_rng([self.seed, number]).uniform(size=len(self.dimensions))
        return {each.name: at(each, float(share)) for each, share in zip(self.dimensions, shares, strict=True)}


class _Bayesian:
    """A mirror of the study in Optuna's memory, brought up to date by what is shown."""

    def __init__(self, dimensions: Sequence[Dimension], seed: int, name: SamplerName) -> None:
        self._seed, self._name = seed, name
        self._space = {each.name: _distribution(each) for each in dimensions}
        self._mirror: Study | None = None
        self._held: dict[
            int, tuple[int, bool]
        ] = {}  # trial → its number in the mirror, and whether it has a score there

    def choose(self, number: int, seen: Sequence[Observed]) -> dict[str, HyperValue]:
        from optuna.trial import TrialState

        if self._name == "gp":
            seen, self._mirror, self._held = _believed(seen), None, {}
        mirror = self._shown(seen)
        mirror.sampler = self._sampler(number)
        asked = mirror.ask(fixed_distributions=self._space)
        # It must not stay in the mirror as running: there it would stand beside the trial that it becomes.
        mirror.tell(asked, state=TrialState.FAIL)
        return dict(asked.params)

    def _shown(self, seen: Sequence[Observed]) -> Study:
        import optuna
        from optuna.trial import TrialState, create_trial

        known = {each.number: each for each in seen}
        if self._mirror is None or any(
            number not in known or (scored and known[number].score is None)
            for number, (_, scored) in self._held.items()
        ):
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            self._mirror, self._held = optuna.create_study(direction="maximize"), {}
        for each in seen:
            held = self._held.get(each.number)
            if held is None:
                running = each.score is None
                self._mirror.add_trial(
                    create_trial(
                        params=dict(each.chosen),
                        distributions=self._space,
                        state=TrialState.RUNNING if running else TrialState.COMPLETE,
                        value=each.score,
                    )
                )
                self._held[each.number] = (len(self._mirror.get_trials(deepcopy=False)) - 1, not running)
            elif not held[1] and each.score is not None:
                self._mirror.tell(held[0], each.score)
                self._held[each.number] = (held[0], True)
        return self._mirror

    def _sampler(self, number: int):  # type: ignore[no-untyped-def]  # Optuna's base class, imported here only
        from optuna.samplers import GPSampler, TPESampler

        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        if self._name == "gp":
            return GPSampler(seed=seed)
        return TPESampler(seed=seed)


def _believed(seen: Sequence[Observed]) -> list[Observed]:
    """With what is under way taken to score as the others did in the mean, so that nobody looks at the same place meanwhile.

    Half as dear as the expected improvement over all its possible outcomes (1.2 against 2.3 CPU s at 30 trials of 8 hyperparameters).
    Source: Ginsbourger, Le Riche & Carraro (2010), Kriging is well-suited to parallelize optimization (the constant liar).
    """
    known = [each.score for each in seen if each.score is not None]
    mean = float(np.mean(known)) if known else 0.0
    return [replace(each, score=mean) if each.score is None else each for each in seen]


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.kind == "choice":
        return CategoricalDistribution(dimension.choices)
    if dimension.kind == "int":
        return IntDistribution(math.ceil(dimension.low), math.floor(dimension.high), log=dimension.scale == "log")
    return FloatDistribution(dimension.low, dimension.high, log=dimension.scale == "log")
