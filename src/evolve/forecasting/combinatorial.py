"""How much does a model's record depend on which past it was tested on? Many test paths, each refitted on what is left.

Combinatorial purged cross-validation: the bars are cut into groups, every choice of some of them is tested by a model fitted on the
others, less the bars whose labels reach into a tested group and an embargo after it. The forecasts of each group by different fits
make up several whole paths over all bars. A model here is fitted on bars *after* those it forecasts as well: the paths say how steady
a record is, never whether it could have been had. That is what walk-forward is for.
Source: López de Prado (2018), Advances in Financial Machine Learning, chapter 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evolve.compute.work import map_work
from evolve.errors import DataUnavailable
from evolve.forecasting.base import Forecaster, Forecasts, HyperValue
from evolve.forecasting.walk_forward import Progress
from evolve.market.bars import FIELDS, Bars, Floats
from evolve.statistics.splits import CombinatorialSplit, combinatorial_counts, combinatorial_purged, group_edges

GROUPS, TEST_GROUPS = 6, 2  # 15 fits and 5 paths: López de Prado's own example, and the fewest that give a spread
EMBARGO_SHARE = 0.01  # of all bars, after each tested group (López de Prado 2018, section 7.4.2)


@dataclass(frozen=True, eq=False)
class Paths:
    """Forecasts at the closes of bars start … start + n − 1 along each path, mean and std of shape (paths, n), as in `Forecasts`.

    fits: how many models were fitted for them.
    """

    start: int
    horizon_bars: int
    mean: Floats
    std: Floats
    fits: int


def combinatorial_paths(
    forecaster: Forecaster,
    bars: Bars,
    *,
    groups: int = GROUPS,
    test_groups: int = TEST_GROUPS,
    features: Sequence[str] = (),
    hyperparameters: Mapping[str, HyperValue] | None = None,
    horizon_bars: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    workers: int = 1,
) -> Paths:
    """Refit for every choice of `test_groups` of `groups`, and join the forecasts to paths. The same for any number of workers.

    Raises InvalidRequest for impossible groups, DataUnavailable for too few bars, and what `Forecaster.fit` raises.
    """
    forecaster.settings(hyperparameters)
    _, paths = combinatorial_counts(groups, test_groups)
    splits = combinatorial_purged(
        len(bars),
        groups=groups,
        test_groups=test_groups,
        horizon_bars=horizon_bars,
        embargo_bars=int(np.ceil(EMBARGO_SHARE * len(bars))),
    )
    edges = group_edges(len(bars), groups)

    def forecast(split: CombinatorialSplit) -> list[Forecasts]:
        fitted = forecaster.fit(
            joined(bars, split.train),
            features=features,
            hyperparameters=hyperparameters,
            horizon_bars=horizon_bars,
            seed=seed,
        )
        made = []
        for group in split.groups:
            first, stop = max(edges[group], fitted.first_bar), edges[group + 1]
            if first >= stop:
                raise DataUnavailable(
                    f"{groups} groups of {len(bars)} bars end before the first can be forecast (bar {fitted.first_bar}); "
                    "take a longer history or fewer groups"
                )
            made.append(fitted.predict(bars.slice(0, stop), first, stop))
        return made

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress(done, total, f"{forecaster.family}: {done} of {total} choices of the past fitted and forecast")

    found = map_work(forecast, splits, workers=workers, progress=tell)
    by_group: dict[int, list[Forecasts]] = {group: [] for group in range(groups)}
    for split, parts in zip(splits, found, strict=True):
        for group, part in zip(split.groups, parts, strict=True):
            by_group[group].append(part)
    start = max(part.start for part in by_group[0])
    mean, std = np.empty((paths, len(bars) - start)), np.empty((paths, len(bars) - start))
    for of_group in by_group.values():
        for path, part in enumerate(of_group):
            late = max(0, start - part.start)
            place = slice(part.start + late - start, part.stop - start)
            mean[path, place], std[path, place] = part.mean[late:], part.std[late:]
    return Paths(start, horizon_bars, mean, std, len(splits))


def joined(bars: Bars, kept: NDArray[np.int64]) -> Bars:
    """The kept bars (ascending), as if those between had not been: each stretch is scaled to open at the close before it.

    So no return is made up at a seam. The few rows whose windows or labels span a seam see a market that skips what is tested;
    nothing of the tested bars is in them.
    """
    breaks = np.flatnonzero(np.diff(kept) > 1) + 1
    factor = np.ones(len(kept))
    for at in breaks:
        factor[at:] = factor[at - 1] * bars.close[kept[at - 1]] / bars.open[kept[at]]
    columns = {name: getattr(bars, name)[kept] * (1 if name == "volume" else factor) for name in FIELDS}
    return replace(bars, time=bars.time[kept], **columns)
