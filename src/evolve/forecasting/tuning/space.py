"""Where does a search look? In the ranges that a family declares for it, or where the user says, within what the family allows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from evolve.errors import InvalidRequest, nearest
from evolve.forecasting.base import Forecaster, Hyperparameter, HyperValue
from evolve.tunings import Dimension

Scalar = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Range:
    """From low to high, inclusive; log: steps are ratios (None: as the family declares)."""

    low: float
    high: float
    log: bool | None = None


Wanted = Range | Sequence[Scalar] | Scalar
"""A range, a list of values, or one value that is settled."""


@dataclass(frozen=True)
class SearchSpace:
    """dimensions: what is searched; settled: what the user fixed; defaults: every hyperparameter of the family."""

    family: str
    dimensions: tuple[Dimension, ...]
    settled: Mapping[str, HyperValue]
    defaults: Mapping[str, HyperValue]

    def complete(self, chosen: Mapping[str, HyperValue]) -> dict[str, HyperValue]:
        """Every hyperparameter: the chosen, the settled, else the default."""
        return {**self.defaults, **self.settled, **chosen}

    def holds(self, params: Mapping[str, HyperValue]) -> bool:
        """Whether a whole set of hyperparameters lies in this space."""
        searched = {dimension.name for dimension in self.dimensions}
        return all(
            params.get(name) == self.settled.get(name, default)
            for name, default in self.defaults.items()
            if name not in searched
        ) and all(holds(dimension, params.get(dimension.name)) for dimension in self.dimensions)


def search_space(family: Forecaster, wanted: Mapping[str, Wanted] | None = None) -> SearchSpace:
    """The family's own space, with what is wanted in place of its ranges.

    wanted {} searches all; with some names given, only those with more than one value are searched, others keep their defaults.
    Raises InvalidRequest for a family without hyperparameters, an unknown name (with the nearest), a value out of what is allowed
    (naming it), an empty list, or a space of a single point.
    """
    if not family.hyperparameters:
        raise InvalidRequest(f"{family.family} has no hyperparameters: there is nothing to tune")
    known = {declared.name: declared for declared in family.hyperparameters}
    for name in wanted or {}:
        if name not in known:
            near = nearest(name, known)
            suggestion = f"nearest: {', '.join(near)}; " if near else ""
            raise InvalidRequest(
                f"{family.family}: unknown hyperparameter {name!r} in param_space; {suggestion}known: {', '.join(sorted(known))}"
            )
    dimensions: list[Dimension] = []
    settled: dict[str, HyperValue] = {}
    for declared in family.hyperparameters:
        if not wanted:
            dimensions.append(_declared(declared))
        elif declared.name in wanted:
            found = _wanted(family.family, declared, wanted[declared.name])
            if isinstance(found, Dimension):
                dimensions.append(found)
            else:
                settled[declared.name] = found
    if not dimensions:
        raise InvalidRequest(
            f"{family.family}: param_space leaves a single point; give a list of values or {{'low': …, 'high': …}} for at least one of {', '.join(known)}"
        )
    defaults = {declared.name: declared.default for declared in family.hyperparameters}
    return SearchSpace(family.family, tuple(dimensions), settled, defaults)


def _declared(declared: Hyperparameter) -> Dimension:
    if declared.kind == "choice":
        return Dimension(declared.name, "choice", choices=declared.choices)
    low, high = declared.search or (declared.low, declared.high)
    assert low is not None
    assert high is not None
    return Dimension(declared.name, declared.kind, low, high, declared.scale if low > 0 else "linear")


def _wanted(family: str, declared: Hyperparameter, wanted: Wanted) -> Dimension | HyperValue:
    if isinstance(wanted, Range):
        return _range(family, declared, wanted)
    if isinstance(wanted, list | tuple):
        values = tuple(dict.fromkeys(declared.check(family, value) for value in wanted))
        if not values:
            raise InvalidRequest(
                f"{family}: param_space gives no value for {declared.name}; it may be {declared.allowed}"
            )
        return values[0] if len(values) == 1 else Dimension(declared.name, "choice", choices=values)
    return declared.check(family, wanted)


def _range(family: str, declared: Hyperparameter, wanted: Range) -> Dimension | HyperValue:
    if declared.kind == "choice":
        raise InvalidRequest(f"{family}: {declared.name} must be {declared.allowed}; give a list of them, not a range")
    low, high = (cast("float", declared.check(family, bound)) for bound in (wanted.low, wanted.high))
    if low > high:
        raise InvalidRequest(f"{family}: the range of {declared.name} begins at {low:g}, above its end {high:g}")
    if low == high:
        return low
    log = wanted.log if wanted.log is not None else declared.scale == "log" and low > 0
    if log and low <= 0:
        raise InvalidRequest(f"{family}: a log range of {declared.name} must begin above 0, not at {low:g}")
    return Dimension(declared.name, declared.kind, low, high, "log" if log else "linear")


def holds(dimension: Dimension, value: object) -> bool:
    if dimension.kind == "choice":
        return value in dimension.choices
    return isinstance(value, int | float) and dimension.low <= value <= dimension.high


def at(dimension: Dimension, share: float) -> HyperValue:
    """The value that lies so far (0 … 1) along a dimension, in its own scale."""
    if dimension.kind == "choice":
        return dimension.choices[min(int(share * len(dimension.choices)), len(dimension.choices) - 1)]
    if dimension.scale == "log":
        value = math.exp(math.log(dimension.low) + share * (math.log(dimension.high) - math.log(dimension.low)))
    else:
        value = dimension.low + share * (dimension.high - dimension.low)
    value = min(max(value, dimension.low), dimension.high)
    return round(value) if dimension.kind == "int" else value


def grid(space: SearchSpace, points: int) -> list[dict[str, HyperValue]]:
    """At most `points` combinations, in a fixed order; lists of the user are taken whole.

    Ranges get as many levels as fit: one after the other in the declared order, a level more each round, so that the first ones are
    cut finest. Raises InvalidRequest when the lists alone make more combinations than there may be trials.
    """
    levels = [len(each.choices) if each.kind == "choice" else 1 for each in space.dimensions]
    if math.prod(levels) > points:
        raise InvalidRequest(
            f"this grid has {math.prod(levels):,} combinations and n_trials is {points:,}; raise n_trials, drop values, or search by bayesian or random"
        )
    grown = True
    while grown:
        grown = False
        for number, dimension in enumerate(space.dimensions):
            most = dimension.high - dimension.low + 1 if dimension.kind == "int" else math.inf
            more = [*levels[:number], levels[number] + 1, *levels[number + 1 :]]
            if dimension.kind != "choice" and levels[number] < most and math.prod(more) <= points:
                levels, grown = more, True
    values = [_levels(space, each, count) for each, count in zip(space.dimensions, levels, strict=True)]
    names = [each.name for each in space.dimensions]
    return [dict(zip(names, point, strict=True)) for point in itertools.product(*values)]


def _levels(space: SearchSpace, dimension: Dimension, count: int) -> list[HyperValue]:
    if dimension.kind == "choice":
        return list(dimension.choices)
    if count == 1:
        default = space.defaults[dimension.name]
        return [default if holds(dimension, default) else at(dimension, 0.5)]
    return list(dict.fromkeys(at(dimension, float(share)) for share in np.linspace(0, 1, count)))
