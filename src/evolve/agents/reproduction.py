"""Does the same question give the same figures again, and if not, what differs?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evolve.cards import AnswerCard, Recipe
from evolve.errors import Unavailable
from evolve.evidence import Evidence
from evolve.memory.canonical import from_json


@dataclass(frozen=True, slots=True)
class Earlier:
    """The answer to be reproduced: count trials as then, refit everything, and compare figure by figure."""

    answer: AnswerCard
    ledger_position: int


def compare_figures(before: AnswerCard, after: AnswerCard) -> dict[str, Any]:
    """Did the same question give the same figures? The largest relative difference, and everything that differs."""
    old, new = _numbered(before.figures), _numbered(after.figures)
    differing, largest = [], 0.0
    for key in old.keys() | new.keys():
        difference = _difference(old.get(key), new.get(key))
        if difference > 0:
            differing.append(
                {"figure": f"{key[0]} of {key[1]}", "before": _value(old.get(key)), "now": _value(new.get(key))}
            )
            largest = max(largest, difference)
    circumstances = [
        f"{name}: {before.recipe.get(name)} then, {after.recipe.get(name)} now"
        for name in ("code_version", "data", "seed")
        if before.recipe.get(name) != after.recipe.get(name)
    ]
    return {
        "answer_id": before.answer_id,
        "identical": not differing and bool(old or new or before.headline == after.headline),
        "figures": len(old),
        "differing": sorted(differing, key=lambda each: str(each["figure"])),
        "largest_relative_difference": largest,
        "circumstances": circumstances,
    }


def _numbered(figures: Sequence[Evidence]) -> dict[tuple[str, str, int], Evidence]:
    """Figures by name and subject, and the how-manieth of these it is: an id shifts when a model before it is missing."""
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for item in figures:
        found[item.name, item.of, seen[item.name, item.of]] = item
        seen[item.name, item.of] += 1
    return found


def _difference(old: Evidence | None, new: Evidence | None) -> float:
    """Relative difference of value and interval; 1 for what is on one side only or is no number on one."""
    if old is None or new is None:
        return 1.0
    worst = 0.0
    for a, b in ((old.value, new.value), (old.low, new.low), (old.high, new.high)):
        if a == b:
            continue
        if isinstance(a, int | float) and isinstance(b, int | float):
            worst = max(worst, abs(a - b) / max(abs(a), abs(b)))
        else:
            worst = 1.0
    return worst


def _value(item: Evidence | None) -> object:
    return None if item is None else item.value


def recipes_of(answer: AnswerCard) -> tuple[Recipe, ...]:
    """Raises Unavailable for recipes that this version cannot read."""
    recipes = from_json(tuple[Recipe, ...], json.dumps(answer.recipe.get("recipes") or []))
    if len(recipes) == 1:
        raise Unavailable("one recipe alone was never compared; an answer holds none, or two and more")
    return recipes
