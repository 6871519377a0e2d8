"""What would these out-of-sample forecasts have earned, net of costs?

Models and baselines are put through the same bars, costs and convention here, so that nothing about them differs but the
decisions. `figures` says how good a record is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evolve.backtest.engine import Backtest, Engine, backtest_positions
from evolve.cards import Costs, Curve, Recipe
from evolve.errors import DataUnavailable
from evolve.forecasting.base import BASELINES, Forecaster, forecaster
from evolve.forecasting.skill import position_with_skill, skill_p_values
from evolve.forecasting.walk_forward import OutOfSample, Progress, out_of_sample, position_from_forecast
from evolve.market.bars import Bars, Floats
from evolve.memory.canonical import recipe_hash
from evolve.memory.trials import Trial
from evolve.statistics.splits import Fold, walk_forward

FOLDS = 5
# A year of days before the first forecast: below it no feature with a long window, and no volatility regime, was seen twice.
MIN_FIRST_TRAIN_BARS = 250
MAX_FIRST_TRAIN_BARS = 1_000  # then four years are enough to start, and the rest is better spent on testing
MIN_TEST_BARS = 50
# Neural fits grow with the bars; ten thousand keep a build within a minute or two on two cores.
MAX_HISTORY_BARS = 10_000
BPS = 1e-4
CURVE_POINTS = 400
# The seed of intervals and resampling: figures are reproduced bit for bit, and no run gets to draw again.
RESAMPLING_SEED = 20_130_301

Kind = Literal["model", "baseline"]


@dataclass(frozen=True, eq=False)
class TrackRecord:
    """One candidate over the tested stretch. returns: net, shape (tested bars,); forecasts: None for what forecasts nothing.

    target: what it decided at each close, shape (bars,), zero before `start`.
    """

    name: str
    kind: Kind
    model_id: str | None
    backtest: Backtest
    returns: Floats
    start: int
    target: Floats
    forecasts: OutOfSample | None = None

    @property
    def decision(self) -> float:
        """The target position decided at the last close, which no bar has filled yet."""
        return float(self.target[-1])

    def since(self, start: int) -> TrackRecord:
        """The record seen from a later bar on."""
        if self.start == start:
            return self
        return replace(self, returns=self.returns[start - self.start :], start=start)


def trials_of(records: Sequence[TrackRecord], recipes: Sequence[Recipe], bars: Bars) -> list[Trial]:
    """What the ledger counts: each learned model that was tried counts against the best one found; baselines are not candidates."""
    return [
        Trial(counted_on(bars), recipe_hash(recipe), bars.fingerprint, _sharpe_per_bar(record.returns))
        for record, recipe in zip(records, recipes, strict=True)
        if recipe.model_type not in BASELINES
    ]


def counted_on(bars: Bars) -> str:
    """The symbol as the ledger knows it: what was tried on invented bars says nothing about the real ones, nor the other way."""
    return f"{bars.symbol} SIMULATED" if bars.simulated else bars.symbol


def _sharpe_per_bar(returns: Floats) -> float | None:
    deviation = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    return float(returns.mean()) / deviation if deviation > 0 else None


def usable_history(bars: Bars) -> tuple[Bars, tuple[str, ...]]:
    """The latest `MAX_HISTORY_BARS`, and a note when older ones are left out."""
    if len(bars) <= MAX_HISTORY_BARS:
        return bars, ()
    note = f"the latest {MAX_HISTORY_BARS:,} of {len(bars):,} bars are used"
    return bars.slice(len(bars) - MAX_HISTORY_BARS, len(bars)), (note,)


def first_train_bars(bars: int, *, horizon_bars: int) -> int:
    """How many bars to train on before the first forecast: a third, within limits.

    The least grows with the horizon: the last of them have no outcome yet, and so nothing to teach.
    """
    return int(np.clip(bars // 3, MIN_FIRST_TRAIN_BARS + horizon_bars - 1, MAX_FIRST_TRAIN_BARS))


def folds_for(bars: Bars, recipe: Recipe) -> tuple[Fold, ...]:
    """The walk-forward folds of a recipe on these bars. Raises DataUnavailable, saying how many are needed."""
    needed = recipe.first_train_bars + recipe.embargo_bars + MIN_TEST_BARS
    if len(bars) < needed:
        apart = f", {recipe.embargo_bars} to keep them apart" if recipe.embargo_bars else ""
        raise DataUnavailable(
            f"{len(bars)} bars of {bars.symbol} at {bars.timeframe} are too few: {recipe.first_train_bars} to train on first{apart} and "
            f"{MIN_TEST_BARS} to test on make {needed}; import a longer history or take a finer timeframe",
            bars=len(bars),
            needed=needed,
        )
    return walk_forward(
        len(bars), folds=recipe.folds, first_train_bars=recipe.first_train_bars, embargo_bars=recipe.embargo_bars
    )


def forecast_out_of_sample(
    bars: Bars, recipe: Recipe, *, progress: Progress | None = None, workers: int = 1
) -> OutOfSample:
    """Walk the recipe's family forward over the bars."""
    family: Forecaster = forecaster(recipe.model_type)
    return out_of_sample(
        family,
        bars,
        folds_for(bars, recipe),
        features=recipe.features,
        hyperparameters=recipe.hyperparameters,
        horizon_bars=recipe.horizon_bars,
        seed=recipe.seed,
        progress=progress,
        workers=workers,
    )


def record_of_forecasts(
    name: str,
    forecasts: OutOfSample,
    bars: Bars,
    costs: Costs,
    *,
    model_id: str | None,
    kind: Kind = "model",
    engine: Engine = "numba",
) -> TrackRecord:
    """Trade the forecasts by the documented position rule: hurdle, volatility, and nothing before skill was shown.

    engine: as in `backtest_positions`.
    """
    position = positions_of(forecasts, bars, costs)
    return _record(name, kind, model_id, bars, forecasts.start, position, costs, forecasts, engine=engine)


def positions_of(forecasts: OutOfSample, bars: Bars, costs: Costs) -> Floats:
    """The target positions that the documented rule makes of forecasts, shape (forecasts,)."""
    position = position_from_forecast(
        forecasts.mean,
        forecasts.std,
        horizon_bars=forecasts.horizon_bars,
        bars_per_year=bars.bars_per_year,
        round_trip_cost=2 * (costs.fee_bps + costs.slippage_bps) * BPS,
    )
    return position_with_skill(position, _skill_of(forecasts, bars))


def _skill_of(forecasts: OutOfSample, bars: Bars) -> Floats:
    log_close = np.log(bars.close[forecasts.start : forecasts.stop])
    return skill_p_values(forecasts.mean, forecasts.std, log_close, horizon_bars=forecasts.horizon_bars)


def record_of_constant(
    name: str, position: float, start: int, bars: Bars, costs: Costs, *, engine: Engine = "numba"
) -> TrackRecord:
    """A baseline that holds one position throughout: 1 is buy-and-hold, 0 is flat."""
    held = np.full(len(bars) - start, position)
    return _record(name, "baseline", None, bars, start, held, costs, None, engine=engine)


def record_of_positions(name: str, position: Floats, start: int, bars: Bars, costs: Costs) -> TrackRecord:
    """What decided by itself: target positions at each close from `start` on, shape (bars − start,)."""
    return _record(name, "model", None, bars, start, position, costs, None)


def _record(
    name: str,
    kind: Kind,
    model_id: str | None,
    bars: Bars,
    start: int,
    position: Floats,
    costs: Costs,
    forecasts: OutOfSample | None,
    *,
    engine: Engine = "numba",
) -> TrackRecord:
    target = np.concatenate([np.zeros(start), position])
    backtest = backtest_positions(bars.open, bars.close, target, costs, bars_per_year=bars.bars_per_year, engine=engine)
    # The first decision is made at the close of `start`, so the first bar it can earn on is the one after.
    return TrackRecord(name, kind, model_id, backtest, backtest.returns[start + 1 :], start, target, forecasts)


def decided_alike(records: Sequence[TrackRecord]) -> list[list[TrackRecord]]:
    """Groups of two or more that held the same positions at every bar, as families do of which only a shared part was believed."""
    groups: dict[bytes, list[TrackRecord]] = {}
    for record in records:
        groups.setdefault(record.backtest.position.tobytes(), []).append(record)
    return [group for group in groups.values() if len(group) > 1]


def curve(record: TrackRecord, bars: Bars) -> Curve:
    """Growth of 1 over the tested stretch, thinned to a few hundred points; the last one is kept."""
    equity = record.backtest.equity[record.start :] / record.backtest.equity[record.start]
    picks = np.unique(np.linspace(0, len(equity) - 1, min(CURVE_POINTS, len(equity))).astype(int))
    return Curve(
        name=record.name,
        dates=tuple(bars.date(record.start + int(pick)) for pick in picks),
        equity=tuple(float(equity[pick]) for pick in picks),
        simulated=bars.simulated,
    )


def arrays_of(forecasts: OutOfSample) -> dict[str, NDArray[np.generic]]:
    """Out-of-sample forecasts as arrays to store; `forecasts_from` reads them back."""
    return {
        "start": np.array([forecasts.start]),
        "horizon_bars": np.array([forecasts.horizon_bars]),
        "mean": forecasts.mean,
        "std": forecasts.std,
        "folds": np.array([[fold.train_stop, fold.test_start, fold.test_stop] for fold in forecasts.folds]),
    }


def forecasts_from(arrays: Mapping[str, NDArray[np.generic]]) -> OutOfSample:
    return OutOfSample(
        start=int(arrays["start"][0]),
        horizon_bars=int(arrays["horizon_bars"][0]),
        mean=np.asarray(arrays["mean"], dtype=np.float64),
        std=np.asarray(arrays["std"], dtype=np.float64),
        folds=tuple(Fold(*(int(bar) for bar in fold)) for fold in arrays["folds"]),
    )
