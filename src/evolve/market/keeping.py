"""How do fetched bars join those that are kept already? What stands is never thinned out in silence.

Prices adjusted for splits and dividends change back to the first day with every new one. Two fetches are put together only
when they agree wherever they overlap; otherwise the new one must cover all of the old, or the user must say so.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolve.errors import Busy, DataUnavailable, InvalidRequest
from evolve.market.bars import FIELDS, Bars
from evolve.market.provenance import Provenance
from evolve.market.sources.base import BarSpec
from evolve.market.store import BarStore, Replaced

SAME = 1e-6  # relative: services send four to six decimals
TURNS = 5  # of who finds, when about to save, that another fetch was saved first


@dataclass(frozen=True, slots=True)
class Kept:
    """What is in the store now, how many of its bars are new, and what was given up for it."""

    bars: Bars
    added: int
    replaced: Replaced | None


def keep(fetched: Bars, store: BarStore, *, replacing: bool = False) -> Kept:
    """Save fetched bars, together with kept ones of the same source where they agree.

    Of several who do so at once none overwrites what another added. Raises InvalidRequest when kept bars would be lost and
    replacing is False, Busy when others save the same bars again and again.
    """
    for _ in range(TURNS - 1):
        with suppress(Busy):  # what stands now is not what was joined with
            return _keep(fetched, store, replacing=replacing)
    return _keep(fetched, store, replacing=replacing)


def _keep(fetched: Bars, store: BarStore, *, replacing: bool) -> Kept:
    spec = BarSpec(fetched.symbol, fetched.timeframe)
    standing = _standing(store, spec)
    if standing is None or replacing:
        return Kept(fetched, len(fetched), store.save(fetched, seen=None if replacing else ""))
    if standing.source == fetched.source and (whole := _joined(standing, fetched)) is not None:
        store.save(whole, seen=standing.fingerprint)
        return Kept(whole, len(whole) - len(standing), None)
    if fetched.time[0] <= standing.time[0] and fetched.time[-1] >= standing.time[-1]:
        return Kept(fetched, len(fetched), store.save(fetched, seen=standing.fingerprint))
    why = (
        "do not agree with the new ones where both are known"
        if standing.source == fetched.source
        else f"are from {standing.source}"
    )
    raise InvalidRequest(
        f"{len(standing):,} bars of {spec.symbol} at {spec.timeframe}, {standing.date(0)} to {standing.date(-1)}, are kept already and {why}; "
        f"fetch from {standing.date(0)[:10]} on, or give them up with --replace"
    )


def _standing(store: BarStore, spec: BarSpec) -> Bars | None:
    if spec not in store.symbols():
        return None
    try:
        return store.load(spec)
    except DataUnavailable:
        return None  # damaged: fetching again is the cure


def _joined(old: Bars, new: Bars) -> Bars | None:
    """Both together, or None when they do not overlap or do not agree where they do."""
    shared, in_old, in_new = np.intersect1d(old.time, new.time, assume_unique=True, return_indices=True)
    if not len(shared):
        return None
    for name in FIELDS[:4]:
        before, after = getattr(old, name)[in_old], getattr(new, name)[in_new]
        if np.any(np.abs(before - after) > SAME * np.abs(after)):
            return None
    missing = np.setdiff1d(np.arange(len(old)), in_old)
    order = np.argsort(np.concatenate([old.time[missing], new.time]), kind="stable")

    def joined(name: str) -> NDArray[Any]:
        column: NDArray[Any] = np.concatenate([getattr(old, name)[missing], getattr(new, name)])[order]
        return column

    return replace(
        new,
        time=joined("time"),
        open=joined("open"),
        high=joined("high"),
        low=joined("low"),
        close=joined("close"),
        volume=joined("volume"),
        provenance=_both(old.provenance, new.provenance),
    )


def _both(old: Provenance | None, new: Provenance | None) -> Provenance | None:
    if old is None or new is None:
        return new
    return replace(
        new,
        asked_from=min(old.asked_from, new.asked_from),
        asked_to=max(old.asked_to, new.asked_to),
        splits=tuple(sorted({*old.splits, *new.splits}, key=lambda split: split.date)),
        dividends=tuple(sorted({*old.dividends, *new.dividends}, key=lambda dividend: dividend.date)),
    )
