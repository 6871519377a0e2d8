"""Does a model still meet the world it was tested in?

The live outcomes are compared with those of its test, in three ways: what it loses, what it gains over "no change" (both over the
variance known at the time, so that a wild month is no drift), and how often its 90 % band holds. The gain shows a lost relation long
before the loss does, since what cannot be forecast is taken out of it. The features are compared too, and only reported.
Limits and their false-alarm rates: docs/updating.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evolve.agents.live_record import LiveRecord
from evolve.evidence import Evidence, EvidenceBook, Unit
from evolve.forecasting.features import feature_matrix
from evolve.market.bars import Bars, Floats
from evolve.statistics.drift import Drift, drift_between
from evolve.updates import DriftCard

WINDOW_BARS = 126  # half a year of days: shorter windows see faster and cry wolf five times as often
MIN_LIVE_BARS = 42  # two months of days: below, two tests that agree are still luck too often
REFERENCE_BARS = 750  # three years of days of the test: enough that its own chance does not matter beside the window's
# At 0.001 and 0.2 half as many false alarms (0.24 per 1,000 bars, not 0.44), and a relation of 5 % that fades over half a year is seen 30 bars later.
P_LIMIT = 0.003
STABILITY_LIMIT = {
    "losses": 0.25,
    "gain": 0.12,
}  # 0.25 is the usual limit of a large shift; the gain's tails are calmer
FEATURE_P_LIMIT = 0.001  # over all features of a model together
COVERAGE_LIMIT = 0.82  # of a 90 % band: three standard errors below over 126 independent outcomes
TESTED = {"losses": "loss over variance", "gain": "loss of no change less its own, over variance"}


def drift_of(record: LiveRecord) -> DriftCard:
    """What the live bars of a model say. too_early: fewer than MIN_LIVE_BARS outcomes since it was trained."""
    live = record.live[-WINDOW_BARS:]
    card, bars = record.card, record.bars
    book, alarms = EvidenceBook(), []
    reference = record.known(0, record.trained_to + 1)[-REFERENCE_BARS:]
    if min(len(live), len(reference)) < MIN_LIVE_BARS:
        reason = f"{len(record.live)} outcomes since {card.data.last}, too few to judge: it needs {MIN_LIVE_BARS}"
        return DriftCard(card.model_id, bars.symbol, bars.timeframe, "too_early", reason, len(record.live))
    for name, values in (("losses", record.loss), ("gain", record.gain)):
        found = compared(values[reference], values[live], overlapping=record.horizon_bars > 1)
        if found is None:
            continue
        _figures(book, f"{name}_drift", card.model_id, found, STABILITY_LIMIT[name], TESTED[name], bars)
        if found.agree(p=P_LIMIT, stability=STABILITY_LIMIT[name]):
            alarms.append(name)
    held = float(record.covered[live].mean())
    _figure(
        book, "live_coverage", card.model_id, held, "fraction", f"share of the last {len(live)} outcomes inside the 90 % band; "
        f"alarm below {COVERAGE_LIMIT:.0%} over {WINDOW_BARS}", bars,
    )  # fmt: skip
    if len(live) >= WINDOW_BARS and held < COVERAGE_LIMIT:
        alarms.append("coverage")
    features = features_moved(bars, card.recipe.features, trained_to=record.trained_to)
    for name, found in features.items():
        _figures(book, f"{name}_drift", name, found, STABILITY_LIMIT["losses"], "values of the feature", bars)
    moved = tuple(features)
    return DriftCard(
        model_id=card.model_id,
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        state="drift" if alarms else "steady",
        reason=_reason(alarms, held, len(live), moved),
        live_bars=len(record.live),
        alarms=tuple(alarms),
        features=moved,
        figures=tuple(book),
    )


def compared(reference: Floats, live: Floats, *, overlapping: bool) -> Drift | None:
    """None where the live values do not vary: a model that now forecasts no change claims no gain that it could lose."""
    if np.ptp(live) == 0:
        return None
    return drift_between(reference, live, independent=not overlapping)


def features_moved(bars: Bars, names: Sequence[str], *, trained_to: int) -> dict[str, Drift]:
    """Features whose recent values do not look like those of the training part, each test as strict as their number asks.

    trained_to: index of the last bar of the training part. Empty while fewer than MIN_LIVE_BARS bars have come since.
    """
    now = np.arange(max(trained_to + 1, len(bars) - WINDOW_BARS), len(bars))
    if not names or len(now) < MIN_LIVE_BARS:
        return {}
    matrix = feature_matrix(bars, names)
    moved = {}
    for column, name in enumerate(names):
        before, recent = matrix[: trained_to + 1, column], matrix[now, column]
        before, recent = before[np.isfinite(before)], recent[np.isfinite(recent)]
        if min(len(before), len(recent)) < MIN_LIVE_BARS or np.ptp(before) == 0:
            continue
        found = drift_between(before, recent, independent=False)
        if found.agree(p=FEATURE_P_LIMIT / len(names), stability=STABILITY_LIMIT["losses"]):
            moved[name] = found
    return moved


def _figures(book: EvidenceBook, name: str, of: str, found: Drift, limit: float, what: str, bars: Bars) -> None:
    sizes = f"{what}, last {found.recent} bars against {found.reference} before"
    _figure(
        book, f"{name}_p", of, found.p, "probability", f"Kolmogorov–Smirnov test; {sizes}; alarm below {P_LIMIT}", bars
    )
    _figure(book, f"{name}_psi", of, found.stability, "ratio", f"population stability index; {sizes}; alarm above {limit}", bars)  # fmt: skip


def _figure(book: EvidenceBook, name: str, of: str, value: float, unit: Unit, computed: str, bars: Bars) -> Evidence:
    return book.add(name, of, value, unit, as_of=bars.date(-1), source=bars.source, computed=computed)


def _reason(alarms: list[str], held: float, window: int, moved: tuple[str, ...]) -> str:
    beside = f"; {len(moved)} feature{'' if len(moved) == 1 else 's'} moved ({', '.join(moved[:3])})" if moved else ""
    if not alarms:
        return f"the last {window} outcomes look like those of its test, its 90 % band held {held:.0%} of them{beside}"
    said = {
        "losses": "its losses no longer follow those of its test",
        "gain": "what it gains over no change no longer follows its test",
        "coverage": f"its 90 % band held only {held:.0%} of the outcomes",
    }
    return f"over the last {window} bars {' and '.join(said[alarm] for alarm in alarms)}{beside}"
