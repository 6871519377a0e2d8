"""How does a model forecast bars it has never seen, refitted as time goes on?

Each fold is fitted on a copy of the bars before its `train_stop` and forecasts its test stretch from a copy that ends with it:
nothing in either call holds a later bar, so no mistake in a model can look ahead of its fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from evolve.errors import InvalidRequest
from evolve.forecasting.base import Forecaster, Forecasts, HyperValue, unheard
from evolve.market.bars import Bars, Floats
from evolve.statistics.splits import Fold

Progress = Callable[[int, int, str], None]
"""(folds done, folds, a sentence). What it raises, `Cancelled` say, ends the work."""

DEFAULT_TARGET_VOLATILITY = 0.15  # a year; what a broad share index has: a single stock is then held at a half or less


@dataclass(frozen=True, eq=False)
class OutOfSample:
    """Forecasts at the closes of bars start … stop − 1, each by a model fitted on bars before its fold.

    mean, std: shape (stop − start,), as in `Forecasts`, no NaN. notes: fallbacks that were taken, each once.
    """

    start: int
    horizon_bars: int
    mean: Floats
    std: Floats
    folds: tuple[Fold, ...]
    notes: tuple[str, ...] = ()

    @property
    def stop(self) -> int:
        return self.start + len(self.mean)


def out_of_sample(
    forecaster: Forecaster,
    bars: Bars,
    folds: Sequence[Fold],
    *,
    features: Sequence[str] = (),
    hyperparameters: Mapping[str, HyperValue] | None = None,
    horizon_bars: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    workers: int = 1,
) -> OutOfSample:
    """Refit on every fold and join the forecasts of the test stretches. The same for any number of workers.

    progress: told of every fold, and with one worker of the parts and epochs of each fit too.

    folds: in time order, test stretches contiguous, each training part at least horizon_bars − 1 before its test (`embargo`
    in `statistics.splits.walk_forward`): a label must be known before the first decision that it informs. Raises InvalidRequest
    for other folds, and what `Forecaster.fit` raises.
    """
    _check(folds, bars, horizon_bars)
    # A misspelt setting fails here, once, rather than in every worker.
    forecaster.settings(hyperparameters)

    def within(_: int, __: int, message: str) -> None:
        if progress is not None:
            progress(folds_done, len(folds), f"fold {folds_done + 1} of {len(folds)}, {message}")

    # Another process has no way back to who listens; its folds are heard of as they end.
    listener = within if workers == 1 else unheard

    def forecast(fold: Fold) -> tuple[Forecasts, tuple[str, ...]]:
        fitted = forecaster.fit(
            bars.slice(0, fold.train_stop),
            features=features,
            hyperparameters=hyperparameters,
            horizon_bars=horizon_bars,
            seed=seed,
            progress=listener,
        )
        seen = bars.slice(0, fold.test_stop)
        return fitted.predict(seen, fold.test_start, fold.test_stop), fitted.notes

    folds_done = 0

    def tell(done: int, total: int) -> None:
        nonlocal folds_done
        folds_done = done
        if progress is not None:
            progress(done, total, f"{forecaster.family}: {done} of {total} folds fitted and forecast")

    # Here, not at the top: who only reads what was forecast needs no processes, and so neither psutil nor structlog.
    from evolve.compute.work import map_work

    parts = map_work(forecast, folds, workers=workers, progress=tell)
    return OutOfSample(
        start=folds[0].test_start,
        horizon_bars=horizon_bars,
        mean=np.concatenate([forecasts.mean for forecasts, _ in parts]),
        std=np.concatenate([forecasts.std for forecasts, _ in parts]),
        folds=tuple(folds),
        notes=tuple(dict.fromkeys(note for _, notes in parts for note in notes)),
    )


def position_from_forecast(
    mean: Floats,
    std: Floats,
    *,
    horizon_bars: int,
    bars_per_year: float,
    round_trip_cost: float,
    target_volatility: float = DEFAULT_TARGET_VOLATILITY,
    long_only: bool = False,
) -> Floats:
    """Target position in −1 … 1 (fraction of equity) decided at each close from the forecast made there.

    Zero where |mean| ≤ round_trip_cost (a fraction, both legs: 0.002 = 20 bp): a position entered for this forecast must be left
    again, and an expected gain that the two trades eat is no reason to trade. Whether skill was
    demonstrated at all is asked by `skill.position_with_skill`.
    Elsewhere sign(mean) · min(1, target_volatility / forecast volatility a year): the size follows risk, not the height of the
    forecast, because volatility can be forecast and the height of a return hardly. A bet in proportion to mean / std² (Kelly)
    would be above 1 for nearly every forecast past the hurdle, and so bet most where the estimate errs most.

    mean, std: shape (decisions,), log returns over horizon_bars. long_only: short positions become 0.

    Source: Moreira & Muir (2017), Volatility-Managed Portfolios, J. Finance 72(4); Gârleanu & Pedersen (2013) for the hurdle.
    """
    if round_trip_cost < 0:
        raise InvalidRequest(f"round_trip_cost must not be negative, not {round_trip_cost}")
    if target_volatility <= 0:
        raise InvalidRequest(f"target_volatility must be above 0, not {target_volatility}")
    yearly = std * np.sqrt(bars_per_year / horizon_bars)
    position: Floats = np.where(np.abs(mean) > round_trip_cost, np.sign(mean), 0.0) * np.minimum(
        1.0, target_volatility / yearly
    )
    return np.maximum(position, 0.0) if long_only else position


def _check(folds: Sequence[Fold], bars: Bars, horizon_bars: int) -> None:
    if not folds:
        raise InvalidRequest("no folds to test on")
    for fold in folds:
        if not 0 < fold.train_stop <= fold.test_start - (
            horizon_bars - 1
        ) or not fold.test_start < fold.test_stop <= len(bars):
            raise InvalidRequest(
                f"fold {fold} does not fit {len(bars)} bars and a horizon of {horizon_bars}: train_stop must lie at least {horizon_bars - 1} bars before test_start, and test_stop within the bars"
            )
    for before, after in pairwise(folds):
        if before.test_stop != after.test_start:
            raise InvalidRequest(
                f"the test stretches must follow each other: one ends at bar {before.test_stop}, the next starts at {after.test_start}"
            )
