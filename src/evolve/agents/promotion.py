"""May this model take that one's place? Only evidence says so, and each kind of change needs its own.

A refresh (the same recipe, trained on newer bars) must show that it is not worse than the champion by more than a margin; a new
recipe that it is better. Both are shown in the shadow: on bars that came after both were trained and the challenger was named, which
nobody could have chosen it on. What was promoted is held against its predecessor for a while, and rolled back where that does better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import cast

import numpy as np
from numpy.typing import NDArray

from evolve.agents.live_record import LiveRecord
from evolve.cards import Recipe
from evolve.evidence import Evidence, EvidenceBook, Unit
from evolve.market.bars import Floats
from evolve.statistics.comparison import Inference, diebold_mariano
from evolve.statistics.sequential import Looks, cautious_looks, prompt_looks
from evolve.updates import ModelTest, TestKind, TestStage

# Three and a half and seven months of days: 8 symbols together then show a gain of 3 % R² nearly nine times in ten (docs/updating.md).
SHADOW = cautious_looks(75, 150)
# Monthly for half a year; what is worse by more than that shows sooner, what is worse by less costs little.
AFTER_PROMOTION = prompt_looks(21)
# Of R². A good signal explains 2 %: a refresh may not cost as much. Half of that could not be told from luck within half a year.
REFRESH_MARGIN = 0.02
HISTORY_ALPHA = 0.05
MIN_HISTORY_BARS = (
    250  # a year of days that both forecast out of sample, before history says anything about two recipes
)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two models of one symbol. champion: who is in charge; since: first decision bar that counts."""

    champion: LiveRecord
    challenger: LiveRecord
    since: int

    @property
    def symbol(self) -> str:
        return self.champion.bars.symbol

    @property
    def begins(self) -> int:
        """When the first decision that counts was made, or will be: Unix ms of the bar, of the last one there is if it is to come."""
        time = self.champion.bars.time
        return int(time[min(self.since, len(time) - 1)]) + max(0, self.since - len(time) + 1)

    def advantage(self) -> tuple[NDArray[np.int64], Floats]:
        """Times of the decision bars that count, and by how much the challenger lost less at each."""
        ahead = self.champion.loss - self.challenger.loss
        bars = self.since + np.flatnonzero(np.isfinite(ahead[self.since :]))
        return self.champion.bars.time[bars], ahead[bars]


def same_recipe(one: Recipe, other: Recipe) -> bool:
    """Whether two models differ only in the bars they were trained and tested on."""
    trained = ("folds", "embargo_bars", "first_train_bars", "period_days")
    return replace(one, **{name: getattr(other, name) for name in trained}) == other


def alike_but_for_symbol(one: Recipe, other: Recipe) -> bool:
    """Whether the same recipe stands on two symbols, so that what is learned about it on one counts for the other."""
    return same_recipe(replace(one, symbol=other.symbol), other)


def unseen_from(champion: LiveRecord, challenger: LiveRecord, named_at: float) -> int:
    """The first decision bar whose outcome was unknown when both had been trained and the challenger was named (Unix seconds)."""
    seen = int(np.searchsorted(champion.bars.available_at, 1000 * named_at, side="right")) - 1
    return max(seen, champion.trained_to + 1, challenger.trained_to + 1)


def shadow_test(pairs: Sequence[Pair]) -> ModelTest:
    """The challenger of the first pair against its champion, all pairs pooled; each must have the same recipes."""
    first = pairs[0]
    refresh = same_recipe(first.champion.card.recipe, first.challenger.card.recipe)
    return _by_plan(pairs, SHADOW, "refresh" if refresh else "new_recipe", "shadow", REFRESH_MARGIN if refresh else 0.0)


def rollback_test(predecessor: LiveRecord, promoted: LiveRecord, since: int) -> ModelTest:
    """Does the model that was replaced do better than the one that replaced it? passed: put it back."""
    return _by_plan([Pair(promoted, predecessor, since)], AFTER_PROMOTION, "rollback", "after_promotion", 0.0)


def history_test(pair: Pair, *, trials: int) -> ModelTest:
    """A new recipe against another on all bars that both forecast out of sample.

    The recipe was chosen with those bars in view: the limit is divided by the recipes ever tried on the symbol (Bonferroni).
    """
    _, ahead = pair.advantage()
    limit = HISTORY_ALPHA / max(1, trials)
    found = _tested(ahead, pair.champion.horizon_bars, 0.0)
    enough = len(ahead) >= MIN_HISTORY_BARS
    passed = enough and found.p is not None and found.p <= limit
    if not enough:
        why = f"untested: both forecast only {len(ahead)} bars out of sample, and {MIN_HISTORY_BARS} are needed"
    else:
        beside = f", limit {HISTORY_ALPHA:g} over {trials} recipe{'' if trials == 1 else 's'} tried = {limit:.2g}"
        why = _verdict(passed, "new_recipe", ahead, found, beside)
    return _card([pair], "new_recipe", "history", passed, True, why, len(ahead), MIN_HISTORY_BARS, found, limit, ahead)


def _by_plan(pairs: Sequence[Pair], plan: Looks, kind: TestKind, stage: TestStage, margin: float) -> ModelTest:
    """The first look of the plan that passes, else the last that could be made."""
    ahead = pooled(pairs)
    horizon = pairs[0].champion.horizon_bars
    looks = plan.due(len(ahead))
    # Made in order and each on its own bars, so that a round that was missed changes nothing.
    for bars, limit in looks:
        found = _tested(ahead[:bars], horizon, margin)
        if _passes(ahead[:bars], found, limit, margin):
            why = _verdict(True, kind, ahead[:bars], found, f", limit {limit:.3f} at look {plan.bars.index(bars) + 1} of {len(plan.bars)}")  # fmt: skip
            return _card(pairs, kind, stage, True, True, why, bars, bars, found, limit, ahead[:bars])
    following = plan.next_after(len(ahead))
    seen = ahead[: looks[-1][0]] if looks else ahead
    found = _tested(seen, horizon, margin)
    limit = looks[-1][1] if looks else plan.p[0]
    if following is None:
        why = _verdict(False, kind, seen, found, f", limit {limit:.3f}, after the last of {len(plan.bars)} looks")
        return _card(pairs, kind, stage, False, True, why, len(seen), len(seen), found, limit, seen)
    why = f"{len(ahead)} of {following} bars until the next look"
    if looks:
        why = f"{_verdict(False, kind, seen, found, f', limit {limit:.3f} at look {len(looks)} of {len(plan.bars)}')}; {why}"
    return _card(pairs, kind, stage, False, False, why, len(ahead), following, found, limit, seen)


def pooled(pairs: Sequence[Pair]) -> Floats:
    """The advantage at each time that all symbols have, averaged over them: what moves them together then counts once."""
    parts = [pair.advantage() for pair in pairs]
    times = reduce(np.intersect1d, [time for time, _ in parts])
    rows = [values[np.isin(time, times)] for time, values in parts]
    return cast("Floats", np.mean(rows, axis=0)) if times.size else np.empty(0)


def _tested(ahead: Floats, horizon_bars: int, margin: float) -> Inference:
    return diebold_mariano(-ahead, np.full(len(ahead), margin), horizon_bars=horizon_bars, alternative="less")


def _passes(ahead: Floats, found: Inference, limit: float, margin: float) -> bool:
    if found.p is not None:
        return found.p <= limit
    # Two models that forecast the same on every bar do not vary: not worse, and not better.
    return bool(len(ahead)) and margin > 0 and float(ahead.mean()) > -margin


def _verdict(passed: bool, kind: TestKind, ahead: Floats, found: Inference, beside: str) -> str:
    gain = float(ahead.mean()) if len(ahead) else 0.0
    p = found.note if found.p is None else f"p = {found.p:.3f}" if found.p >= 0.0005 else "p < 0.001"
    over = f"over {len(ahead)} bars by {gain:+.2%} of the variance ({p}{beside})"
    if kind == "refresh":
        within = f"worse than the champion by more than {REFRESH_MARGIN:.0%}"
        return f"not {within}: it differs {over}" if passed else f"not shown not to be {within}: it differs {over}"
    if kind == "rollback":
        return f"its predecessor does better {over}" if passed else f"its predecessor is not shown to do better {over}"
    return f"better than the champion {over}" if passed else f"not shown to be better: it differs {over}"


def _card(
    pairs: Sequence[Pair], kind: TestKind, stage: TestStage, passed: bool, decided: bool, reason: str, bars: int, needed: int,
    found: Inference, limit: float, ahead: Floats,
) -> ModelTest:  # fmt: skip
    first, book = pairs[0], EvidenceBook()
    symbols = tuple(pair.symbol for pair in pairs)
    _add = _adder(book, first, len(ahead), symbols)
    _add("improvement", float(ahead.mean()) if len(ahead) else None, "fraction", "mean of the champion's loss less the challenger's, over variance (R²)")  # fmt: skip
    _add("dm_p_value", found.p, "probability", f"Diebold–Mariano, one-sided; limit {limit:.4f}", found.note)
    return ModelTest(
        champion=first.champion.card.model_id, challenger=first.challenger.card.model_id, kind=kind, stage=stage,
        passed=passed, decided=decided, reason=reason, bars=bars, needed=needed, symbols=symbols, figures=tuple(book),
    )  # fmt: skip


def _adder(book: EvidenceBook, pair: Pair, bars: int, symbols: tuple[str, ...]) -> Callable[..., Evidence]:
    def add(name: str, value: float | None, unit: Unit, computed: str, note: str = "") -> Evidence:
        shown = pair.challenger.bars
        over = f"{computed}; {bars} bars of {', '.join(symbols)}"
        why = note or ("no bars to compare yet" if value is None else "")
        return book.add(name, pair.challenger.card.model_id, value, unit, as_of=shown.date(-1), source=shown.source, computed=over, note=why)  # fmt: skip

    return add
