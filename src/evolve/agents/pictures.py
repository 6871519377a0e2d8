"""Which figure shows this source in this way? One function per kind of chart: from what is stored to arrays, and on to `charts`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from evolve.agents.board_picture import drift_board
from evolve.agents.drawn import Drawn
from evolve.agents.plot_sources import Found, PlotSources, Tested, light_engine
from evolve.agents.study_pictures import tuning_history, tuning_importance, tuning_slices
from evolve.agents.track_record import RESAMPLING_SEED, curve
from evolve.cards import Curve
from evolve.charts.candlestick import Signals, candlestick_figure
from evolve.charts.equity import check_curves, equity_figure
from evolve.charts.forecast_fan import Fan, forecast_fan_figure
from evolve.charts.importance import feature_importance_figure
from evolve.charts.kinds import PlotOptions
from evolve.charts.model_comparison import Candidate, model_comparison_figure
from evolve.charts.picture import Caption
from evolve.charts.return_distribution import LEAST, return_distribution_figure
from evolve.charts.rolling_metrics import rolling_metrics_figure
from evolve.charts.tables import correlation_figure, monthly_returns_figure
from evolve.charts.walk_forward import FoldSpan, walk_forward_figure
from evolve.errors import DataUnavailable, InvalidRequest
from evolve.evidence import EvidenceBook
from evolve.market.bars import Bars, Floats, Stamps
from evolve.market.types import TIMEFRAME_SECONDS

if TYPE_CHECKING:
    from evolve.forecasting.learned import Learned

CURVES = 6  # models in one picture of curves: as many as there are colours
CANDLES, FAN_BARS = 120, 90  # what can be told apart in 1,200 pixels
SHUFFLE_SEED = 20_130_301
SHUFFLED_ROWS = 1_000
COMMON_DAYS = 60  # fewer common days leave a correlation with a standard error above 0.13


def draw(kind: str, found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    """The figure of this kind. Raises InvalidRequest or DataUnavailable where the source cannot be shown in this way."""
    return KINDS[kind](found, options, sources)


def _model(found: Found, sources: PlotSources, kind: str) -> Tested:
    """The one model of the source, or the newest of its symbol."""
    if found.kind == "models":
        return sources.tested(found.ids[0])
    newest = sources.newest_model(found.ids[0])
    if newest is None:
        raise DataUnavailable(
            f"{kind} needs a model and none of {found.ids[0]} is built yet; `evolve build ridge {found.ids[0]}` makes one"
        )
    return sources.tested(newest)


def _caption(title: str, bars: Bars, options: PlotOptions, more: str = "") -> Caption:
    source = f"{bars.source}, {bars.symbol} {bars.timeframe}, {bars.date(0)} to {bars.date(-1)}{more}"
    return Caption(options.title or title, source, bars.simulated)


def _tested_caption(what: str, tested: Tested, options: PlotOptions) -> Caption:
    tail = f"; out of sample, net of costs, {len(tested.record.backtest.equity) - tested.record.start:,} bars"
    return _caption(f"{what}: {tested.card.model_id}", tested.bars, options, tail)


@dataclass(frozen=True, eq=False)
class _Returns:
    """Net returns of a model beside those of its symbol, or of a symbol alone."""

    caption: Caption
    about: str
    series: dict[str, Floats]
    time: Stamps
    bars: Bars


def _returns(what: str, found: Found, options: PlotOptions, sources: PlotSources) -> _Returns:
    if found.kind == "models":
        tested = sources.tested(found.ids[0])
        series = {tested.record.name: tested.returns, tested.hold.name: tested.hold.returns}
        return _Returns(_tested_caption(what, tested, options), tested.card.model_id, series, tested.time, tested.bars)
    bars = _bars(found, options, sources)
    caption = _caption(f"{what}: {bars.symbol}", bars, options, "; close to close, without costs")
    return _Returns(caption, bars.symbol, {bars.symbol: bars.close[1:] / bars.close[:-1] - 1}, bars.time[1:], bars)


def _bars(found: Found, options: PlotOptions, sources: PlotSources) -> Bars:
    if found.kind == "models":
        return sources.tested(found.ids[0]).bars
    return sources.bars(found.ids[0], options.timeframe, simulate=options.simulate or found.simulate)


# --- one function per kind ---


def equity_curve(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    if found.answer is not None and found.answer.curves:
        answer = found.answer
        data = answer.trust.data if answer.trust else None
        source = f"{data.source}, {data.first} to {data.last}" if data else f"as of {answer.created_at}"
        return _equity(answer.curves, Caption(options.title or answer.query, source), found.said, options)
    if found.kind == "models":
        tested = [sources.tested(id) for id in found.ids[:CURVES]]
        curves = [replace(curve(each.record, each.bars), name=each.card.model_id) for each in tested]
        curves.append(curve(tested[0].hold, tested[0].bars))
        return _equity(curves, _tested_caption("Equity", tested[0], options), ", ".join(each.card.model_id for each in tested), options)  # fmt: skip
    newest = sources.newest_model(found.ids[0])
    if newest is not None and len(found.ids) == 1:
        return equity_curve(Found("models", (newest,), newest), options, sources)
    return held_curve(found, options, sources)


def held_curve(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    """Growth of the symbols themselves, whatever models there are."""
    held = [
        sources.bars(symbol, options.timeframe, simulate=options.simulate or found.simulate)
        for symbol in found.ids[:CURVES]
    ]
    caption = _caption(f"Held without costs: {', '.join(found.ids[:CURVES])}", held[0], options)
    return _equity([_held(bars) for bars in held], caption, ", ".join(found.ids), options)


def _held(bars: Bars) -> Curve:
    picks = np.unique(np.linspace(0, len(bars) - 1, 400).astype(int))
    growth = bars.close / bars.close[0]
    return Curve(bars.symbol, tuple(bars.date(int(pick)) for pick in picks), tuple(float(growth[pick]) for pick in picks), bars.simulated)  # fmt: skip


def _equity(curves: list[Curve] | tuple[Curve, ...], caption: Caption, about: str, options: PlotOptions) -> Drawn:
    check_curves(curves)
    figure = equity_figure(curves, title=caption.title, source=caption.source, theme=options.theme)
    return Drawn(figure, replace(caption, simulated=any(each.simulated for each in curves)), about)


def candlestick(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    bars = _bars(found, options, sources)
    shown = min(options.shown_bars or CANDLES, len(bars))
    signals, more, about = Signals(), "", bars.symbol
    if found.kind == "models":
        tested = sources.tested(found.ids[0])
        signals, about = _signals_of(tested, len(bars) - shown), tested.card.model_id
        more = f"; ▲ ▼ where {about} went in or out of the market, out of sample"
    caption = _caption(f"{bars.symbol} {bars.timeframe}, the last {shown:,} bars", bars, options, more)
    figure = candlestick_figure(
        bars, caption, shown=shown, averages=options.averages, signals=signals, theme=options.theme
    )
    return Drawn(figure, caption, about)


def _signals_of(tested: Tested, first: int) -> Signals:
    """Bars, counted from `first`, at which the position began to be held or was given up or turned."""
    held = np.sign(tested.record.backtest.quantity)
    change = np.diff(held, prepend=0.0)
    within = np.arange(len(held)) >= first
    buys, sells = np.flatnonzero((change > 0) & within), np.flatnonzero((change < 0) & within)
    return Signals(tuple(int(bar) - first for bar in buys), tuple(int(bar) - first for bar in sells))


def forecast_fan(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    tested = _model(found, sources, "forecast_fan")
    fan = fan_of(tested, options.shown_bars or FAN_BARS)
    caption = _caption(
        f"Forecasts and outcomes: {tested.card.model_id}",
        tested.bars,
        options,
        "; out of sample; the last bar is still open",
    )
    return Drawn(forecast_fan_figure(fan, caption, theme=options.theme), caption, tested.card.model_id)


def fan_of(tested: Tested, shown: int) -> Fan:
    """The last `shown` forecasts, at the bar that each is for."""
    forecasts, bars = tested.forecasts, tested.bars
    made = np.arange(max(forecasts.start, forecasts.stop - shown), forecasts.stop)
    ahead = made + forecasts.horizon_bars
    step = TIMEFRAME_SECONDS[bars.timeframe] * 1000
    beyond = bars.time[-1] + step * np.arange(1, forecasts.horizon_bars + 1)
    time = np.concatenate([bars.time, beyond])[ahead]
    outcome = np.concatenate([bars.close, np.full(forecasts.horizon_bars, np.nan)])[ahead]
    mean, std = forecasts.mean[made - forecasts.start], forecasts.std[made - forecasts.start]
    return Fan(time, bars.close[made] * np.exp(mean), std, outcome, forecasts.horizon_bars, bars.currency)


def return_distribution(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    of = _returns("Returns of a bar", found, options, sources)
    returns, caption = next(iter(of.series.values())), of.caption
    if found.kind == "models":  # a column of bars without a position would dwarf what the model did
        returns = returns[returns != 0.0]
        caption = replace(caption, source=f"{caption.source}, {len(returns):,} of them with a gain or a loss")
        if len(returns) < LEAST:
            symbol = of.bars.symbol
            raise InvalidRequest(
                f"{of.about} was in the market on {len(returns)} bars only, and a distribution needs {LEAST}: it showed no skill to act on; "
                f"`evolve plot return_distribution {symbol}` draws that of {symbol} itself"
            )
    return Drawn(return_distribution_figure(returns, caption, theme=options.theme), caption, of.about)


def rolling_metrics(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    of = _returns("Rolling Sharpe ratio and volatility", found, options, sources)
    window = options.window_bars or min(round(of.bars.bars_per_year), max(2, len(of.time) // 4))
    title = options.title or f"{of.caption.title}, {window} bars"
    caption = replace(of.caption, title=title)
    figure = rolling_metrics_figure(
        of.series, of.time, caption, window=window, bars_per_year=of.bars.bars_per_year, theme=options.theme
    )
    return Drawn(figure, caption, of.about)


def monthly_returns(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    of = _returns("Monthly returns", found, options, sources)
    figure = monthly_returns_figure(next(iter(of.series.values())), of.time, of.caption, theme=options.theme)
    return Drawn(figure, of.caption, of.about)


def correlation_heatmap(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    symbols = (
        found.ids if found.kind == "symbols" else tuple(dict.fromkeys(sources.card(id).data.symbol for id in found.ids))
    )
    if len(symbols) == 1:  # one symbol alone is alike to itself: the others that have real bars stand beside it
        symbols = (*symbols, *(other for other in sources.real_symbols() if other != symbols[0]))
    everything = [sources.bars(symbol, "1d", simulate=options.simulate or found.simulate) for symbol in symbols]
    matrix, days = correlations(everything)
    names = ", ".join(symbols) if len(symbols) <= 8 else f"{len(symbols)} symbols"
    first, last = max(bars.date(0) for bars in everything), min(bars.date(-1) for bars in everything)
    source = f"{', '.join(sorted({bars.source for bars in everything}))}, 1d, {first} to {last}"
    caption = Caption(options.title or f"Correlation: {names}", source, any(bars.simulated for bars in everything))
    return Drawn(correlation_figure(symbols, matrix, caption, bars=days, theme=options.theme), caption, ", ".join(symbols))  # fmt: skip


def correlations(everything: list[Bars]) -> tuple[Floats, int]:
    """Of the log returns between the days that all have, and how many those are. Raises DataUnavailable for fewer than 60."""
    days = [bars.time // 86_400_000 for bars in everything]
    common = days[0]
    for each in days[1:]:
        common = np.intersect1d(common, each)
    if len(common) <= COMMON_DAYS:
        raise DataUnavailable(
            f"these symbols have {len(common)} days in common, and a correlation needs {COMMON_DAYS + 1}; choose others"
        )
    closes = np.stack([bars.close[np.searchsorted(each, common)] for bars, each in zip(everything, days, strict=True)])
    return np.corrcoef(np.diff(np.log(closes), axis=1)), len(common) - 1


def feature_importance(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    tested = _model(found, sources, "feature_importance")
    importance = importance_of(tested, sources)
    caption = _caption(f"What moves the forecast: {tested.card.model_id}", tested.bars, options, f"; the last {SHUFFLED_ROWS:,} bars, each feature shuffled once")  # fmt: skip
    return Drawn(feature_importance_figure(importance, caption, theme=options.theme), caption, tested.card.model_id)


def importance_of(tested: Tested, sources: PlotSources) -> dict[str, float]:
    """Feature → rms change of the committee's vote when that feature's values are shuffled among the bars, over the vote's own spread.

    It says what the model listens to, not what pays. Raises InvalidRequest for a model without features.
    """
    from evolve.forecasting.learned import Learned

    fitted = sources.fitted(tested.card.model_id)
    if not isinstance(fitted, Learned):
        raise InvalidRequest(
            f"{tested.card.model_id} has no table of features of its own; build a model that has one, such as ridge"
        )
    from evolve.forecasting.features import feature_matrix

    matrix = fitted.standardisation.apply(feature_matrix(tested.bars, fitted.features))
    rows = np.arange(max(fitted.first_bar, len(tested.bars) - SHUFFLED_ROWS), len(tested.bars))
    vote = _vote(fitted, matrix, rows)
    spread = float(vote.std())
    if spread == 0.0:
        raise InvalidRequest(f"{tested.card.model_id} forecasts the same at every bar: no feature moves it")
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(rows))
    moved = {}
    for column, name in enumerate(fitted.features):
        shuffled = matrix.copy()
        shuffled[rows, column] = matrix[rows[order], column]
        moved[name] = float(np.sqrt(np.mean((_vote(fitted, shuffled, rows) - vote) ** 2))) / spread
    return moved


def _vote(fitted: Learned, matrix: Floats, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    from evolve.forecasting.learned import windows

    table = windows(matrix, rows, fitted.window_bars)
    votes: Floats = np.stack([member.parts(table).sum(axis=0) for member in fitted.members]).mean(axis=0)
    return votes


def walk_forward(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    tested = _model(found, sources, "walk_forward")
    equity = tested.record.backtest.equity
    spans = [
        FoldSpan(fold.train_stop, fold.test_start, fold.test_stop, float(equity[fold.test_stop - 1] / equity[fold.test_start] - 1))
        for fold in tested.forecasts.folds
    ]  # fmt: skip
    caption = _tested_caption("Walk-forward", tested, options)
    growth = equity[tested.record.start :] / equity[tested.record.start]
    figure = walk_forward_figure(spans, growth, tested.bars.time, caption, theme=options.theme)
    return Drawn(figure, caption, tested.card.model_id)


def model_comparison(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    ids = found.ids if found.kind == "models" else tuple(id for symbol in found.ids for id in sources.models_of(symbol))
    if not ids:
        raise DataUnavailable(
            f"no model of {', '.join(found.ids)} is built yet; `evolve build ridge {found.ids[0]}` makes one"
        )
    if found.answer is not None and found.answer.rows:
        rows = [(row.name, row.figures.get("sharpe"), row.kind == "model") for row in found.answer.rows]
    else:
        cards = [sources.card(id) for id in ids]
        known = [next((item for item in card.metrics if item.name == "sharpe"), None) for card in cards]
        rows = [(card.model_id, item, True) for card, item in zip(cards, known, strict=True)]
        from evolve.agents.figures import sharpe_alone

        first = sources.tested(ids[0])
        held = sharpe_alone(first.hold, first.bars, EvidenceBook(), seed=RESAMPLING_SEED, engine=light_engine())
        rows.append((f"buy and hold {first.bars.symbol}", held, False))
    candidates = [
        Candidate(name, float(item.value), item.low, item.high, is_model)
        for name, item, is_model in rows
        if item is not None and isinstance(item.value, int | float)
    ]
    notes = tuple(f"{name} has no Sharpe ratio: {item.note if item else 'it was not computed'}" for name, item, _ in rows if item is None or item.value is None)  # fmt: skip
    card = sources.card(ids[0])
    level = next((item.level for _, item, _ in rows if item is not None and item.level is not None), None)
    interval = f", line: {100 * level:.0f} % interval" if level is not None else ""
    source = f"{card.data.source}, {card.data.symbol} {card.data.timeframe}, to {card.data.last}; out of sample, net of costs"
    caption = Caption(options.title or f"Sharpe ratios: {found.said}", source, card.data.simulated)
    unit = f"Sharpe ratio a year{interval}"
    return Drawn(
        model_comparison_figure(candidates, caption, unit=unit, theme=options.theme), caption, ", ".join(ids), notes
    )


KINDS: dict[str, Callable[[Found, PlotOptions, PlotSources], Drawn]] = {
    "equity_curve": equity_curve,
    "held_curve": held_curve,
    "candlestick": candlestick,
    "forecast_fan": forecast_fan,
    "return_distribution": return_distribution,
    "rolling_metrics": rolling_metrics,
    "correlation_heatmap": correlation_heatmap,
    "monthly_returns": monthly_returns,
    "feature_importance": feature_importance,
    "walk_forward": walk_forward,
    "model_comparison": model_comparison,
    "drift_board": drift_board,
    "tuning_history": tuning_history,
    "tuning_importance": tuning_importance,
    "tuning_slices": tuning_slices,
}
