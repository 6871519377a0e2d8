"""What would these out-of-sample forecasts have earned, net of costs, and how good were they as forecasts?

Models and baselines are put through the same bars, costs and convention here, so that nothing about them differs but the
decisions. Figures leave as `Evidence`, with how they were computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evolve.backtest.engine import Backtest, backtest_positions
from evolve.backtest.metrics import METRIC_UNITS, MetricName, performance, sharpe_ratio_bootstrapped
from evolve.cards import Costs, Curve, Recipe
from evolve.errors import DataUnavailable, InvalidRequest, nearest
from evolve.evidence import Evidence, EvidenceBook, Unit
from evolve.forecasting.base import BASELINES, Forecaster, forecaster
from evolve.forecasting.walk_forward import OutOfSample, Progress, out_of_sample, position_from_forecast
from evolve.market.bars import Bars, Floats
from evolve.memory.canonical import recipe_hash
from evolve.memory.trials import Trial
from evolve.statistics.comparison import diebold_mariano
from evolve.statistics.metric import Metric
from evolve.statistics.scores import coverage, directional_accuracy, out_of_sample_r2, relative_mae
from evolve.statistics.splits import Fold, walk_forward

FOLDS = 5
# A year of days before the first forecast: below it no feature with a long window, and no volatility regime, was seen twice.
MIN_FIRST_TRAIN_BARS = 250
MAX_FIRST_TRAIN_BARS = 1_000  # then four years are enough to start, and the rest is better spent on testing
MIN_TEST_BARS = 50
# Neural fits grow with the bars; ten thousand keep a build within a minute or two on two cores.
MAX_HISTORY_BARS = 10_000
BAND_LEVEL = 0.90
BAND_Z = 1.6448536269514722  # standard normal quantile of 0.95: the two-sided 90 % band
BPS = 1e-4
CURVE_POINTS = 400
INTERVAL_DRAWS = 1_000
# The seed of intervals and resampling: figures are reproduced bit for bit, and no run gets to draw again.
RESAMPLING_SEED = 20_130_301

Kind = Literal["model", "baseline"]

FORECAST_UNITS: dict[str, Unit] = {
    "decision": "fraction",
    "skill_r2": "fraction",
    "relative_mae": "ratio",
    "dm_p_value": "probability",
    "direction": "fraction",
    "band_coverage": "fraction",
}
# What a model expects from the last close on: no score, so no model is ranked by it.
OUTLOOK_UNITS: dict[str, Unit] = {"next_return": "fraction", "up_probability": "probability", "horizon_bars": "bars"}
# What the gate finds about a model; a baseline, which is not judged, has none of them.
JUDGED_METRICS = ("alpha", "alpha_t", "alpha_p_value", "deflated_sharpe")
COMPUTED: dict[str, str] = {
    "total_return": "growth of the account over all bars, less one",
    "cagr": "growth a year, compounded",
    "volatility": "standard deviation of net returns (ddof 1), annualised",
    "sharpe_autocorrelation_corrected": "Sharpe ratio annualised with the autocorrelations of the returns (Lo 2002)",
    "sortino": "mean / root mean square of the losses, annualised",
    "calmar": "growth a year / size of the maximum drawdown",
    "drawdown": "deepest fall of the account from a peak",
    "drawdown_bars": "bars from the peak before the deepest fall until the account was back at it, or to the end",
    "win_rate": "share of bars with a gain among those with a gain or a loss",
    "profit_factor": "sum of the gains / sum of the losses, by bar",
    "var_95": "the 5 % quantile of the net returns of a bar (historical value at risk)",
    "cvar_95": "mean of the worst 5 % of the net returns (expected shortfall)",
    "omega": "sum of the gains / sum of the losses around a threshold of 0",
    "tail_ratio": "95 % quantile / size of the 5 % quantile of the net returns",
    "turnover_per_year": "notional traded a year, in multiples of equity",
    "exposure": "share of bars that closed with a position",
    "costs_paid": "fees, slippage and borrow, as a fraction of the equity at the start",
    "beta": "slope of net returns on those of buy-and-hold",
    "decision": "target position decided at the last close, as a fraction of equity",
    "sharpe": "mean / standard deviation of net returns, annualised; interval by stationary bootstrap",
    "skill_r2": "1 − squared error / squared error of forecasting no change",
    "relative_mae": "mean absolute error / that of forecasting no change; below 1 is better",
    "dm_p_value": "Diebold–Mariano test (HLN) on squared errors against no change, one-sided",
    "direction": "share of non-zero forecasts with the right sign; Wilson interval",
    "band_coverage": "share of outcomes inside the 90 % band",
    "next_return": "return that the model expects from the last close over its horizon; interval: its normal 90 % band",
    "up_probability": "probability of a rise over the horizon, by the normal distribution of the forecast",
    "horizon_bars": "bars ahead that the model forecasts",
}


@dataclass(frozen=True, eq=False)
class TrackRecord:
    """One candidate over the tested stretch. returns: net, shape (tested bars,); forecasts: None for what forecasts nothing.

    decision: the target position decided at the last close, which no bar has filled yet.
    """

    name: str
    kind: Kind
    model_id: str | None
    backtest: Backtest
    returns: Floats
    start: int
    decision: float = 0.0
    forecasts: OutOfSample | None = None


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
    name: str, forecasts: OutOfSample, bars: Bars, costs: Costs, *, model_id: str | None, kind: Kind = "model"
) -> TrackRecord:
    """Trade the forecasts by the documented position rule."""
    position = position_from_forecast(
        forecasts.mean,
        forecasts.std,
        horizon_bars=forecasts.horizon_bars,
        bars_per_year=bars.bars_per_year,
        round_trip_cost=2 * (costs.fee_bps + costs.slippage_bps) * BPS,
    )
    return _record(name, kind, model_id, bars, forecasts.start, position, costs, forecasts)


def record_of_constant(name: str, position: float, start: int, bars: Bars, costs: Costs) -> TrackRecord:
    """A baseline that holds one position throughout: 1 is buy-and-hold, 0 is flat."""
    return _record(name, "baseline", None, bars, start, np.full(len(bars) - start, position), costs, None)


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
) -> TrackRecord:
    target = np.concatenate([np.zeros(start), position])
    backtest = backtest_positions(bars.open, bars.close, target, costs, bars_per_year=bars.bars_per_year)
    # The first decision is made at the close of `start`, so the first bar it can earn on is the one after.
    return TrackRecord(
        name, kind, model_id, backtest, backtest.returns[start + 1 :], start, float(position[-1]), forecasts
    )


def metric_names() -> tuple[str, ...]:
    """Every metric that can be asked for, in canonical form."""
    return tuple(dict.fromkeys((*METRIC_UNITS, *FORECAST_UNITS, *JUDGED_METRICS)))


def figures(
    record: TrackRecord,
    bars: Bars,
    book: EvidenceBook,
    *,
    names: Iterable[str],
    last_bars: int | None = None,
    benchmark: Floats | None = None,
    seed: int = 0,
) -> dict[str, Evidence]:
    """The named figures of a record as evidence, over the whole tested stretch or its last bars; `JUDGED_METRICS` are the gate's."""
    stretch = _tail(record, last_bars)
    over = "" if last_bars is None else f"; over the last {len(stretch.returns)} bars"
    metrics: dict[str, Metric] = {}
    if len(stretch.returns):
        metrics |= _trading(stretch, bars, None if benchmark is None else benchmark[-len(stretch.returns) :], seed=seed)
    metrics |= _forecasting(record, bars, last_bars)
    metrics["decision"] = Metric(record.decision, 1)
    metrics |= _outlook(record, bars)
    made: dict[str, Evidence] = {}
    for name in names:
        metric = metrics.get(name) or Metric.undefined(
            0, "it makes no forecasts" if name in FORECAST_UNITS or name in OUTLOOK_UNITS else "no bars"
        )
        made[name] = _evidence(name, record.name, metric, bars, book, over)
    return made


@dataclass(frozen=True, eq=False)
class _Stretch:
    returns: Floats
    backtest: Backtest
    first: int


def _tail(record: TrackRecord, last_bars: int | None) -> _Stretch:
    count = len(record.returns) if last_bars is None else min(last_bars, len(record.returns))
    return _Stretch(record.returns[len(record.returns) - count :], record.backtest, len(record.backtest.equity) - count)


def _trading(stretch: _Stretch, bars: Bars, benchmark: Floats | None, *, seed: int) -> dict[str, Metric]:
    part = stretch.backtest.since(stretch.first)
    found: dict[MetricName, Metric] = performance(part, bars_per_year=bars.bars_per_year, benchmark_returns=benchmark)
    sharpe = found["sharpe"]
    if sharpe.value is not None:
        found["sharpe"] = sharpe_ratio_bootstrapped(
            stretch.returns, bars_per_year=bars.bars_per_year, rng=np.random.default_rng(seed), draws=INTERVAL_DRAWS
        )
    return {str(name): metric for name, metric in found.items()}


def _forecasting(record: TrackRecord, bars: Bars, last_bars: int | None) -> dict[str, Metric]:
    """Scores of the forecasts whose outcome is known, against forecasting no change."""
    forecasts = record.forecasts
    if forecasts is None:
        return {}
    horizon = forecasts.horizon_bars
    # From the bar on which the record is judged: a model that started earlier gains nothing by it.
    known = np.arange(max(record.start, forecasts.start), min(forecasts.stop, len(bars) - horizon))
    if last_bars is not None:
        known = known[-last_bars:]
    if not known.size:
        return {}
    log_close = np.log(bars.close)
    realised = log_close[known + horizon] - log_close[known]
    mean, std = forecasts.mean[known - forecasts.start], forecasts.std[known - forecasts.start]
    none = np.zeros_like(realised)
    test = diebold_mariano((mean - realised) ** 2, realised**2, horizon_bars=horizon, alternative="less")
    return {
        "skill_r2": out_of_sample_r2(mean, realised),
        "relative_mae": relative_mae(mean, realised, none),
        "dm_p_value": Metric(test.p, test.n, test.note),
        "direction": directional_accuracy(mean, realised),
        "band_coverage": coverage(mean - BAND_Z * std, mean + BAND_Z * std, realised),
    }


def _outlook(record: TrackRecord, bars: Bars) -> dict[str, Metric]:
    """The forecast made at the last close, whose outcome nobody knows yet."""
    forecasts = record.forecasts
    if forecasts is None or forecasts.stop != len(bars):
        return {}
    mean, std = float(forecasts.mean[-1]), float(forecasts.std[-1])
    low, high = math.expm1(mean - BAND_Z * std), math.expm1(mean + BAND_Z * std)
    return {
        "next_return": Metric.between(math.expm1(mean), 1, low=low, high=high, level=BAND_LEVEL),
        "up_probability": Metric.of(0.5 * math.erfc(-mean / (std * math.sqrt(2))), 1),
        "horizon_bars": Metric(float(forecasts.horizon_bars), 1),
    }


def _evidence(name: str, of: str, metric: Metric, bars: Bars, book: EvidenceBook, over: str) -> Evidence:
    unit: Unit = FORECAST_UNITS.get(name) or OUTLOOK_UNITS.get(name) or METRIC_UNITS[name]  # type: ignore[index]
    return book.add(
        name,
        of,
        metric.value,
        unit,
        as_of=bars.date(-1),
        source=bars.source,
        computed=f"{COMPUTED[name]}; n = {metric.n}{over}",
        low=metric.low,
        high=metric.high,
        level=metric.level,
        note=metric.note if metric.value is None else "",
    )


def check_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """The names, canonical. Raises InvalidRequest with the nearest known ones."""
    aliases = {"max_drawdown": "drawdown", "return": "total_return", "sharpe_ratio": "sharpe", "accuracy": "direction"}
    known = metric_names()
    resolved = tuple(aliases.get(name.strip().lower(), name.strip().lower()) for name in names)
    for name in resolved:
        if name not in known:
            close = nearest(name, known) or list(known)
            raise InvalidRequest(f"there is no metric {name!r}; nearest: {', '.join(close)}", known=sorted(known))
    return resolved


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
