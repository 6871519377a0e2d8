"""Does a fitted model look ahead? It is asked for its forecasts again and again, with the bars after a cut changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolve.backtest.lookahead import Columns, Kind, audit_lookahead
from evolve.cards import AuditCard
from evolve.errors import DataUnavailable
from evolve.forecasting.base import FittedForecaster
from evolve.market.bars import FIELDS, Bars, Floats

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
    )


def _bars(like: Bars, columns: Columns) -> Bars:
    changed: dict[str, Any] = {name: np.asarray(values) for name, values in columns.items()}
    return replace(like, **changed)
