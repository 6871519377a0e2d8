"""How does a family learn from features, and how much of what it learned is believed?

All learning families share this path; a family adds only how one member is fitted to a table (`fit_member`).

1. Target: log return over the horizon, divided by the volatility known at the close of t. Forecasts are scaled back by it.
2. Committee: the training part is cut into blocks; each member is fitted without one of them and purged of rows whose target
   reaches into it. The forecast is the members' mean (Parmanto, Munro & Doyle 1996, cross-validation committees).
3. Shrinkage: forecasts of the blocks by the members that had not seen them show what the family can do on these data; the
   forecast is multiplied by a factor from 0 (none shown: the forecast is "no change") to 1. A member whose forecast is a sum
   (a line, and a network's departure from it) has each part believed on its own, the second for what the first left.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from evolve.errors import DataUnavailable
from evolve.forecasting import features as feature_set
from evolve.forecasting.base import (
    Arrays,
    FittedForecaster,
    Forecaster,
    Header,
    HyperValue,
    Progress,
    check_horizon,
    forecaster,
    pack,
    unheard,
)
from evolve.forecasting.features import Standardisation
from evolve.forecasting.shrinkage import Shrinkage, believed, numbers_of, shrinkages
from evolve.market.bars import Bars, Floats

MIN_SAMPLES = (
    200  # below, the standard error of a correlation is above 0.07: half of the R² of 2 % that a good signal has
)
BLOCKS = 5


class Member(Protocol):
    """One fitted estimator of the scaled return."""

    def parts(self, table: Floats) -> Floats:
        """shape (rows, features) or (rows, window, features) → (parts, rows), the summands of the forecast, most trusted first.

        A row's values do not depend on the other rows.
        """
        ...

    def arrays(self) -> Arrays: ...


Vote = Callable[[Floats], Floats]
"""A table as a member's `parts` takes it → (parts, rows): the mean of all members."""


@dataclass(frozen=True)
class Samples:
    """table: standardised features by row; target: scaled return ahead; bar: each row's decision bar, increasing."""

    table: Floats
    target: Floats
    bar: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bar)

    def __getitem__(self, rows: NDArray[np.bool_] | slice) -> Samples:
        return Samples(self.table[rows], self.target[rows], self.bar[rows])


class Learned(FittedForecaster):
    """A committee of members with everything that turns bars into their table."""

    def __init__(
        self,
        header: Header,
        *,
        window_bars: int,
        standardisation: Standardisation,
        members: Sequence[Member],
        vote: Vote | None = None,
    ) -> None:
        """vote: how all members are asked in one call, once that is prepared (`compiled`); without it one by one."""
        self.header = header
        self.family = header.family
        self.horizon_bars = header.horizon_bars
        self.timeframe = header.timeframe
        self.features = header.features
        self.hyperparameters = header.hyperparameters
        self.notes = header.notes
        self.shrinkage = tuple(
            Shrinkage(**{name: header.numbers[f"{name}{part}"] for name in ("factor", "r2", "t", "residual")})
            for part in range(int(header.numbers["parts"]))
        )
        self.window_bars = window_bars
        self.standardisation = standardisation
        self.members = tuple(members)
        self._vote = vote or self._one_by_one

    @property
    def first_bar(self) -> int:
        return first_bar(self.features, self.window_bars)

    @property
    def has_skill(self) -> bool:
        """Whether anything it forecasts is believed."""
        return any(each.factor > 0 for each in self.shrinkage)

    def _predict(self, bars: Bars, start: int) -> tuple[Floats, Floats]:
        scale = feature_set.causal_volatility(bars)[start:] * np.sqrt(self.horizon_bars)
        if not (scale > 0).all():
            raise DataUnavailable(
                f"the closes of {bars.symbol} do not move before bar {start}: no volatility to forecast with"
            )
        mean = np.zeros(len(scale))
        if self.has_skill:
            matrix = self.standardisation.apply(feature_set.feature_matrix(bars, self.features))
            table = windows(matrix, np.arange(start, len(bars)), self.window_bars)
            mean = self.scaled_forecast(table) * scale
        return mean, self.shrinkage[-1].residual * scale

    def scaled_forecast(self, table: Floats) -> Floats:
        """The believed forecast in units of volatility, shape (rows,), of standardised features: (rows, features) or (rows, window, features)."""
        return believed(self._vote(table), self.shrinkage)

    def _one_by_one(self, table: Floats) -> Floats:
        votes: Floats = np.stack([member.parts(table) for member in self.members]).mean(axis=0)
        return votes

    def compiled(self) -> Learned:
        family = forecaster(self.family)
        assert isinstance(family, LearnedForecaster)
        vote = family.compiled_vote(self.members, inputs=len(self.features), window_bars=self.window_bars)
        if vote is None:
            return self
        return Learned(
            self.header,
            window_bars=self.window_bars,
            standardisation=self.standardisation,
            members=self.members,
            vote=vote,
        )

    def to_bytes(self) -> bytes:
        arrays: Arrays = {"feature_mean": self.standardisation.mean, "feature_std": self.standardisation.std}
        for number, member in enumerate(self.members):
            arrays |= {f"member{number}.{name}": values for name, values in member.arrays().items()}
        return pack(self.header, arrays)


@dataclass(frozen=True, eq=False)
class Lesson:
    """A fitted model with what it forecast where its members had not looked, for who wants to weigh it against others.

    bar: decision bars, increasing; target: scaled return ahead; out_of_fold: believed forecast of it, all of shape (rows,).
    """

    fitted: Learned
    bar: NDArray[np.int64]
    target: Floats
    out_of_fold: Floats


class LearnedForecaster(Forecaster):
    """A family that fits members to a table of features."""

    blocks = BLOCKS

    def require(self) -> None:
        """Raise MissingExtra unless what the family needs is installed."""

    def remarks(self) -> tuple[str, ...]:
        """What the reader of a card should know of how members are fitted here."""
        return ()

    def window_bars(self, settings: Mapping[str, HyperValue]) -> int:
        """How many bars a row of the table holds; 1: a row is one bar's features, shape (rows, features)."""
        return 1

    @abstractmethod
    def fit_member(
        self, samples: Samples, *, settings: Mapping[str, HyperValue], horizon_bars: int, seed: int, progress: Progress
    ) -> Member:
        """An estimator of `samples.target`. The same arguments give an equal one. progress: told of each step of a long fit."""

    @abstractmethod
    def restore_member(self, arrays: Arrays, *, inputs: int, settings: Mapping[str, HyperValue]) -> Member:
        """The member whose `arrays()` these are; KeyError for a missing one."""

    def compiled_vote(self, members: Sequence[Member], *, inputs: int, window_bars: int) -> Vote | None:
        """How to ask all members in one call; None where that gains nothing. Raises MissingExtra for a missing package."""
        return None

    def fit(
        self,
        bars: Bars,
        *,
        features: Sequence[str] = (),
        hyperparameters: Mapping[str, HyperValue] | None = None,
        horizon_bars: int = 1,
        seed: int = 0,
        progress: Progress = unheard,
    ) -> Learned:
        return self.learn(
            bars,
            features=features,
            hyperparameters=hyperparameters,
            horizon_bars=horizon_bars,
            seed=seed,
            progress=progress,
        ).fitted

    def learn(
        self,
        bars: Bars,
        *,
        features: Sequence[str],
        hyperparameters: Mapping[str, HyperValue] | None,
        horizon_bars: int,
        seed: int,
        progress: Progress,
    ) -> Lesson:
        """`fit`, with its out-of-fold forecasts. Raises as `fit` does."""
        settings = self.settings(hyperparameters)
        check_horizon(horizon_bars)
        names, notes = feature_set.usable(bars, features)
        window = self.window_bars(settings)
        standardisation, samples = training_samples(
            self.family, bars, names, window_bars=window, horizon_bars=horizon_bars
        )
        self.require()
        members: list[Member] = []
        held: list[tuple[NDArray[np.bool_], Floats]] = []
        for number, (train, held_out) in enumerate(purged_blocks(samples.bar, self.blocks, purge_bars=horizon_bars)):
            part = f"{self.family}: part {number + 1} of {self.blocks}"
            progress(number, self.blocks, part)
            member = self.fit_member(
                samples[train],
                settings=settings,
                horizon_bars=horizon_bars,
                seed=member_seed(seed, number),
                progress=lambda done, total, message, part=part: progress(done, total, f"{part}, {message}"),  # type: ignore[misc]
            )
            held.append((held_out, member.parts(samples.table[held_out])))
            members.append(member)
        out_of_fold = np.zeros((len(held[0][1]), len(samples)))
        for held_out, forecast in held:
            out_of_fold[:, held_out] = forecast
        shrunk = shrinkages(out_of_fold, samples.target, horizon_bars=horizon_bars)
        header = Header(
            family=self.family,
            horizon_bars=horizon_bars,
            timeframe=bars.timeframe,
            features=names,
            hyperparameters=settings,
            notes=(*notes, *self.remarks()),
            numbers=numbers_of(shrunk),
        )
        fitted = Learned(header, window_bars=window, standardisation=standardisation, members=members)
        return Lesson(fitted, samples.bar, samples.target, believed(out_of_fold, shrunk))

    def restore(self, header: Header, arrays: Arrays) -> Learned:
        standardisation = Standardisation(
            mean=np.asarray(arrays["feature_mean"], np.float64), std=np.asarray(arrays["feature_std"], np.float64)
        )
        of_member: dict[int, Arrays] = {}
        for key, values in arrays.items():
            if key.startswith("member"):
                number, _, name = key.removeprefix("member").partition(".")
                of_member.setdefault(int(number), {})[name] = values
        settings = self.settings(header.hyperparameters)
        feature_set.resolve(header.features)  # a model of a later version may use features that this one lacks
        members = [
            self.restore_member(of_member[number], inputs=len(header.features), settings=settings)
            for number in sorted(of_member)
        ]
        return Learned(header, window_bars=self.window_bars(settings), standardisation=standardisation, members=members)


def first_bar(features: Sequence[str], window_bars: int) -> int:
    # Bar 0 has no return, so no volatility, whatever the features.
    return max(feature_set.warm_up_bars(features), 1) + window_bars - 1


def windows(matrix: Floats, bars: NDArray[np.int64], window_bars: int) -> Floats:
    """Rows of `matrix` (bars, features) at `bars`, or the window_bars rows that end there: (rows, window, features)."""
    if window_bars == 1:
        return np.ascontiguousarray(matrix[bars])
    view = sliding_window_view(matrix, window_bars, axis=0)[bars - window_bars + 1]
    return np.ascontiguousarray(view.transpose(0, 2, 1))


def training_samples(
    family: str, bars: Bars, names: Sequence[str], *, window_bars: int, horizon_bars: int
) -> tuple[Standardisation, Samples]:
    """Every bar whose features and target lie within `bars`. DataUnavailable when they are fewer than MIN_SAMPLES."""
    target = feature_set.scaled_return_ahead(bars, horizon_bars)
    first = first_bar(names, window_bars)
    rows = first + np.flatnonzero(np.isfinite(target[first:]))
    if len(bars) - horizon_bars - first >= MIN_SAMPLES and len(np.unique(bars.close[first:])) == 1:
        raise DataUnavailable(f"the closes of {bars.symbol} never change after {bars.date(0)}: nothing to learn")
    if len(rows) < MIN_SAMPLES:
        raise DataUnavailable(
            f"{family} needs at least {first + MIN_SAMPLES + horizon_bars} {bars.timeframe} bars to learn from; {bars.symbol} has {len(bars)} here"
        )
    matrix = feature_set.feature_matrix(bars, names)
    standardisation = Standardisation.fit(matrix[feature_set.warm_up_bars(names) :])
    table = windows(standardisation.apply(matrix), rows, window_bars)
    # Clipped as the features are: a crash teaches that it happened, not by how many standard deviations.
    clipped = np.clip(target[rows], -feature_set.CLIP, feature_set.CLIP)
    return standardisation, Samples(table=table, target=clipped, bar=rows)


def purged_blocks(
    bar: NDArray[np.int64], blocks: int, *, purge_bars: int
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """(train, held out) row masks, one pair per consecutive block; train rows keep purge_bars away from the block on both sides."""
    for part in np.array_split(np.arange(len(bar)), blocks):
        first, last = bar[part[0]], bar[part[-1]]
        held_out = (bar >= first) & (bar <= last)
        near = (bar >= first - purge_bars) & (bar <= last + purge_bars)
        yield ~near, held_out


def member_seed(seed: int, number: int) -> int:
    """Seeds of one committee that are unrelated, also between neighbouring `seed`s."""
    return int(np.random.SeedSequence([abs(seed), number]).generate_state(1)[0]) >> 1
