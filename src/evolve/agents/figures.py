"""How good is a track record, as trading and as forecasts? Each figure leaves as `Evidence`, with how it was computed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from evolve.agents.track_record import TrackRecord
from evolve.backtest.engine import Backtest, Engine
from evolve.backtest.metrics import METRIC_UNITS, MetricName, performance, sharpe_ratio_bootstrapped
from evolve.backtest.return_sums import return_sums
from evolve.errors import InvalidRequest, nearest
from evolve.evidence import Evidence, EvidenceBook, Unit
from evolve.forecasting.skill import MIN_OUTCOMES, skill_p_values
from evolve.forecasting.walk_forward import OutOfSample
from evolve.market.bars import Bars, Floats
from evolve.statistics.comparison import diebold_mariano
from evolve.statistics.metric import Metric
from evolve.statistics.scores import (
    coverage,
    crps_normal,
    directional_accuracy,
    mean_absolute_error,
    out_of_sample_r2,
    pinball,
    qlike,
    relative_mae,
    root_mean_squared_error,
    scaled_error,
)

QUANTILE = 0.95
BAND_LEVEL = 0.90
BAND_Z = 1.6448536269514722  # standard normal quantile of 0.95: the two-sided 90 % band
INTERVAL_DRAWS = 1_000

FORECAST_UNITS: dict[str, Unit] = {
    "decision": "fraction",
    "skill_r2": "fraction",
    "relative_mae": "ratio",
    "dm_p_value": "probability",
    "skill_p_value": "probability",
    "direction": "fraction",
    "band_coverage": "fraction",
    "mae": "fraction",
    "rmse": "fraction",
    "mase": "ratio",
    "qlike": "ratio",
    "pinball_05": "fraction",
    "pinball_95": "fraction",
    "crps": "fraction",
}
# What a model expects from the last close on: no score, so no model is ranked by it.
OUTLOOK_UNITS: dict[str, Unit] = {"next_return": "fraction", "up_probability": "probability", "horizon_bars": "bars"}
# What the gate and random entry find about a model; a baseline, which is not judged, has none of them.
JUDGED_METRICS = (
    "alpha", "alpha_t", "alpha_p_value", "probabilistic_sharpe", "deflated_sharpe", "min_track_record_years",
    "random_entry_sharpe", "random_entry_percentile",
)  # fmt: skip
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
    "skill_p_value": "Clark–West test that outcomes go with the forecasts, one-sided, one in horizon_bars counted; positions are 0 while it is above 0.05",
    "direction": "share of non-zero forecasts with the right sign; Wilson interval",
    "band_coverage": "share of outcomes inside the 90 % band",
    "mae": "mean absolute error of the forecast log return",
    "rmse": "root mean squared error of the forecast log return",
    "mase": "mean absolute error / mean absolute change over the horizon within the first training stretch",
    "qlike": "quasi-likelihood loss of the forecast variance against the squared log return",
    "pinball_05": "quantile loss of the 5 % quantile of the forecast",
    "pinball_95": "quantile loss of the 95 % quantile of the forecast",
    "next_return": "return that the model expects from the last close over its horizon; interval: its normal 90 % band",
    "up_probability": "probability of a rise over the horizon, by the normal distribution of the forecast",
    "horizon_bars": "bars ahead that the model forecasts",
    "crps": "continuous ranked probability score of the normal forecast, in log return",
}


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


def sharpe_alone(record: TrackRecord, bars: Bars, book: EvidenceBook, *, seed: int, engine: Engine) -> Evidence:
    """The Sharpe ratio as `figures` has it, without the others, and so without numba where `engine` is "numpy"."""
    sums = return_sums(record.returns, engine=engine)
    metric = sharpe_ratio_bootstrapped(
        sums, bars_per_year=bars.bars_per_year, rng=np.random.default_rng(seed), draws=INTERVAL_DRAWS
    )
    return _evidence("sharpe", record.name, metric, bars, book, "")


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
        "skill_p_value": _skill_shown(forecasts, log_close, last_bars),
        "direction": directional_accuracy(mean, realised),
        "band_coverage": coverage(mean - BAND_Z * std, mean + BAND_Z * std, realised),
        "mae": mean_absolute_error(mean, realised),
        "rmse": root_mean_squared_error(mean, realised),
        "mase": scaled_error(mean, realised, log_close[: forecasts.start + 1], season=horizon)
        if forecasts.start >= horizon
        else Metric.undefined(len(known), "no bars before the first forecast to scale by"),
        "qlike": qlike(std**2, realised**2),
        "pinball_05": pinball(mean - BAND_Z * std, realised, quantile=1 - QUANTILE),
        "pinball_95": pinball(mean + BAND_Z * std, realised, quantile=QUANTILE),
        "crps": crps_normal(mean, std, realised),
    }


def _skill_shown(forecasts: OutOfSample, log_close: Floats, last_bars: int | None) -> Metric:
    """What switched the position at the last decision: the p-value of all skill shown by then, or of the last bars alone."""
    first = (
        forecasts.start
        if last_bars is None
        else max(forecasts.start, forecasts.stop - last_bars - forecasts.horizon_bars)
    )
    asked = slice(first - forecasts.start, None)
    mean, std, horizon = forecasts.mean[asked], forecasts.std[asked], forecasts.horizon_bars
    known = len(mean) - horizon
    if not mean.any():
        return Metric.undefined(known, "it never forecast anything but no change")
    if known < MIN_OUTCOMES * horizon:
        return Metric.undefined(known, f"needs at least {MIN_OUTCOMES * horizon} outcomes")
    p = skill_p_values(mean, std, log_close[first : forecasts.stop], horizon_bars=horizon)[-1]
    return Metric(float(p), known)


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
        computed=f"{COMPUTED[name]}; {conventions(metric)}{over}",
        low=metric.low,
        high=metric.high,
        level=metric.level,
        note=metric.note if metric.value is None else "",
    )


def conventions(metric: Metric) -> str:
    """`n = 500, ddof 1, 252 bars a year, risk-free rate 0`: what a figure of the same name elsewhere must share to be equal."""
    said = [f"n = {metric.n}"]
    if metric.ddof is not None:
        said.append(f"ddof {metric.ddof}")
    if metric.bars_per_year is not None:
        said.append(f"{metric.bars_per_year:g} bars a year")
        said.append("risk-free rate 0")
    return ", ".join(said)


def check_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """The names, canonical. Raises InvalidRequest with the nearest known ones."""
    aliases = {
        "max_drawdown": "drawdown", "return": "total_return", "sharpe_ratio": "sharpe", "accuracy": "direction",
        "r2": "skill_r2", "psr": "probabilistic_sharpe", "dsr": "deflated_sharpe",
    }  # fmt: skip
    known = metric_names()
    resolved = tuple(aliases.get(name.strip().lower(), name.strip().lower()) for name in names)
    for name in resolved:
        if name not in known:
            close = nearest(name, known) or list(known)
            raise InvalidRequest(f"there is no metric {name!r}; nearest: {', '.join(close)}", known=sorted(known))
    return resolved
