"""How much does a model's record depend on the past it was tested on? Its figures along the paths of combinatorial cross-validation."""

from __future__ import annotations

import numpy as np

from evolve.agents.bench import Progress
from evolve.agents.track_record import BPS
from evolve.backtest.engine import backtest_positions
from evolve.backtest.metrics import max_drawdown, sharpe_ratio
from evolve.cards import Recipe
from evolve.evidence import Evidence, EvidenceBook, Unit
from evolve.forecasting.base import forecaster
from evolve.forecasting.combinatorial import GROUPS, TEST_GROUPS, combinatorial_paths
from evolve.forecasting.skill import position_with_skill, skill_p_values
from evolve.forecasting.walk_forward import position_from_forecast
from evolve.market.bars import Bars
from evolve.market.calendar import default_costs


def cross_validate(
    bars: Bars,
    recipe: Recipe,
    *,
    groups: int = GROUPS,
    test_groups: int = TEST_GROUPS,
    workers: int = 1,
    progress: Progress,
) -> tuple[Evidence, ...]:
    """The recipe refitted for every choice of tested groups, each path traded like a walk-forward record, net of costs.

    Never part of a verdict: these models were fitted on later bars as well. Raises as `combinatorial_paths` does.
    """
    costs = default_costs(bars.symbol)

    def per_fit(done: int, total: int, message: str) -> None:
        progress("cross-validate", done, total, message)

    paths = combinatorial_paths(
        forecaster(recipe.model_type),
        bars,
        groups=groups,
        test_groups=test_groups,
        features=recipe.features,
        hyperparameters=recipe.hyperparameters,
        horizon_bars=recipe.horizon_bars,
        seed=recipe.seed,
        progress=per_fit,
        workers=workers,
    )
    sharpes, falls = [], []
    for mean, std in zip(paths.mean, paths.std, strict=True):
        position = position_from_forecast(
            mean,
            std,
            horizon_bars=paths.horizon_bars,
            bars_per_year=bars.bars_per_year,
            round_trip_cost=2 * (costs.fee_bps + costs.slippage_bps) * BPS,
        )
        tested = slice(paths.start, None)
        shown = skill_p_values(mean, std, np.log(bars.close[tested]), horizon_bars=paths.horizon_bars)
        position = position_with_skill(position, shown)
        backtest = backtest_positions(
            bars.open[tested], bars.close[tested], position, costs, bars_per_year=bars.bars_per_year
        )
        # A path on which nothing was traded earned nothing: as in a ranking, 0.
        sharpes.append(sharpe_ratio(backtest.returns, bars_per_year=bars.bars_per_year).value or 0.0)
        falls.append(max_drawdown(backtest.returns).value or 0.0)
    book = EvidenceBook()
    how = (
        f"{len(sharpes)} paths of combinatorial purged cross-validation ({test_groups} of {groups} groups tested, {paths.fits} refits, "
        f"{len(bars) - paths.start} bars); fitted on later bars as well, so no verdict rests on it"
    )

    def add(name: str, value: float, unit: Unit, computed: str, low: float | None = None, high: float | None = None) -> None:  # fmt: skip
        book.add(name, recipe.model_type, value, unit, as_of=bars.date(-1), source=bars.source, computed=f"{computed} over {how}",
                 low=low, high=high, level=None if low is None else 1.0)  # fmt: skip

    add("cpcv_sharpe", float(np.median(sharpes)), "ratio", "median, least and largest annual net Sharpe ratio",
        min(sharpes), max(sharpes))  # fmt: skip
    add("cpcv_share_positive", float(np.mean(np.array(sharpes) > 0)), "fraction", "share with a positive net Sharpe ratio")  # fmt: skip
    add("cpcv_worst_drawdown", float(min(falls)), "fraction", "deepest drawdown")
    return tuple(book)
