"""Which action does a query ask about? Buy, sell, long or short, and the words that say so."""

from __future__ import annotations

from itertools import pairwise

from evolve.language.frame import Side
from evolve.language.reading import Reading

_SIDES: tuple[tuple[str, Side], ...] = (("BUY", "buy"), ("SELL", "sell"), ("LONG", "long"), ("SHORT", "short"))
_EITHER = frozenset("or / oder o ou u versus vs 或 者 还 是".split())
_POSITION_OF = frozenset("my our his her your mi mein meine meinen mon ma the a an existing current open".split())


def side_of(reading: Reading) -> tuple[Side, int, int] | None:
    """The side of the action that a trading question asks about and the tokens it stands at; None for either/or or no side."""
    found: list[tuple[Side, int, int]] = []
    for mark in reading.marks:
        for concept, side in _SIDES:
            if concept in mark.concepts:
                found.append((side, mark.start, mark.end))
                break
    if not found:
        return None
    kinds = {side for side, _, _ in found}
    if len(kinds) == 1:
        return found[0]
    for left, right in pairwise(found):
        between = reading.words[left[2] : right[1]]
        if left[0] != right[0] and (not between or _EITHER & set(between)):
            return None
    # "exit my long": the action counts, the position it ends does not
    return found[0]
