"""Does a fitted model look ahead? It is asked for its forecasts again and again, with the bars after a cut changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolve.agents.track_record import BPS
from evolve.backtest.engine import backtest_positions
from evolve.backtest.lookahead import Columns, Kind, audit_lookahead, settled_after
from evolve.backtest.metrics import sharpe_ratio
from evolve.cards import AuditCard
from evolve.errors import DataUnavailable, InvalidRequest
from evolve.evidence import EvidenceBook, Unit
from evolve.forecasting.base import FittedForecaster
from evolve.forecasting.walk_forward import position_from_forecast
from evolve.market.bars import FIELDS, Bars, Floats
from evolve.market.calendar import default_costs

# Enough forecasts to place the cuts among; a network forecasts each of them for every cut and kind.
AUDITED_BARS = 300
KINDS: tuple[Kind, ...] = ("truncate", "noise", "shuffle")  # bars without a price are no bars, so NaN is not among them
# Matrix products sum in another order for another number of rows. A leak is larger by many orders of magnitude.
ROUNDING = 1e-5
SEED = 20_130_301


def audit_model(model_id: str, fitted: FittedForecaster, bars: Bars) -> AuditCard:
    """The verdict on a fitted model over the last bars that it can forecast. Raises DataUnavailable for too few."""
    needed = fitted.first_bar + 50
    if len(bars) < needed:
        raise DataUnavailable(
            f"{len(bars)} bars of {bars.symbol} are too few to audit {model_id}: it forecasts from bar {fitted.first_bar} on, and {needed} are needed",
            bars=len(bars),
            needed=needed,
        )
    seen = bars.slice(max(0, len(bars) - fitted.first_bar - AUDITED_BARS), len(bars))

    def forecasts(columns: Columns) -> Floats:
        given = _bars(seen, columns)
        found = np.full((len(given), 2), np.nan)
        if len(given) > fitted.first_bar:
            forecast = fitted.predict(given, fitted.first_bar, len(given))
            found[fitted.first_bar :, 0], found[fitted.first_bar :, 1] = forecast.mean, forecast.std
        return found

    columns: Mapping[str, NDArray[np.generic]] = {name: np.array(getattr(seen, name)) for name in ("time", *FIELDS)}
    audit = audit_lookahead(forecasts, columns, kinds=KINDS, tolerance=ROUNDING, rng=np.random.default_rng(SEED))
    book = EvidenceBook()
    last = max(fitted.first_bar, len(seen) - AUDITED_BARS // 2)
    rows = forecasts(columns)
    short = seen.slice(max(0, last - fitted.first_bar), len(seen))
    begun = fitted.predict(short, len(short) - (len(seen) - last), len(short))
    costs = default_costs(bars.symbol)
    position = position_from_forecast(
        rows[last:, 0], rows[last:, 1], horizon_bars=fitted.horizon_bars, bars_per_year=bars.bars_per_year,
        round_trip_cost=2 * (costs.fee_bps + costs.slippage_bps) * BPS,
    )  # fmt: skip
    audit_figures(
        model_id, seen.slice(last, len(seen)), book, warm_up_bars=fitted.first_bar, position=position,
        settled_bars=settled_after(rows[last:], np.column_stack([begun.mean, begun.std])), compared_bars=len(seen) - last,
    )  # fmt: skip
    return AuditCard(
        model_id=model_id,
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        passed=audit.passed,
        reason=audit.reason,
        bars=len(seen),
        cuts=len(audit.cuts),
        runs=audit.runs,
        kinds=tuple(kind for kind in KINDS if kind not in audit.not_run),
        tolerance=ROUNDING,
        figures=tuple(book),
    )


def audit_figures(
    of: str,
    bars: Bars,
    book: EvidenceBook,
    *,
    warm_up_bars: int,
    settled_bars: int | None,
    compared_bars: int,
    position: Floats | None,
) -> None:
    """What an audit shows beside its verdict. position: decided at each close of `bars`, None where there are no positions.

    A strategy that lives on what it could not have known dies when it acts one bar later; so does one that trades on the last
    bar's noise. Either way the two Sharpe ratios side by side say how much hangs on being quick.
    """

    def add(name: str, value: float | None, unit: Unit, computed: str, note: str = "") -> None:
        book.add(name, of, value, unit, as_of=bars.date(-1), source=bars.source, computed=computed, note=note)

    add("warm_up_bars", warm_up_bars, "bars", "bars before the first value")
    add(
        "settled_bars", settled_bars, "bars",
        f"bars after which a history that begins later changes nothing by more than 1 % of the signal's spread, among {compared_bars}",
        "" if settled_bars is not None else f"not within {compared_bars} bars: it depends on all its history",
    )  # fmt: skip
    for name, lag in (("sharpe", 0), ("sharpe_one_bar_later", 1)):
        how = "annual net Sharpe ratio over the audited bars, for a model in sample"
        if position is None:
            add(name, None, "ratio", how, "its values are no positions")
            continue
        target = np.concatenate([np.zeros(lag), position[: len(position) - lag]])
        how += ", each decision carried out one bar later" if lag else ""
        costs = default_costs(bars.symbol)
        try:
            backtest = backtest_positions(bars.open, bars.close, target, costs, bars_per_year=bars.bars_per_year)
        except InvalidRequest as ruin:
            add(name, None, "ratio", how, str(ruin))
            continue
        found = sharpe_ratio(backtest.returns, bars_per_year=bars.bars_per_year)
        add(name, found.value, "ratio", how, found.note)


def _bars(like: Bars, columns: Columns) -> Bars:
    changed: dict[str, Any] = {name: np.asarray(values) for name, values in columns.items()}
    return replace(like, **changed)
