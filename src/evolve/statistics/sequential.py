"""How often may evidence be looked at while it comes in? Limits for a fixed plan of looks, so that all of them together err as one test.

A test at 5 % that is read every week is wrong far more often than 5 % of the time. Here the looks are fixed in advance, as numbers of
bars; each uses exactly the first so many, so that a look that was missed and made up for later decides the same.

Source: O'Brien & Fleming (1979), Biometrics 35(3), for two looks; Pocock (1977), Biometrika 64(2), as in Jennison & Turnbull (2000), Group
Sequential Methods, table 2.1 (two-sided 0.10, one side of which is used), for six.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import ndtr

from evolve.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Looks:
    """A plan: after how many bars to look, and the largest p-value that counts at each. alpha: chance that any look errs."""

    bars: tuple[int, ...]
    p: tuple[float, ...]
    alpha: float

    def due(self, known: int) -> tuple[tuple[int, float], ...]:
        """The looks that can be made with so many bars: (bars, largest p)."""
        return tuple((bars, p) for bars, p in zip(self.bars, self.p, strict=True) if bars <= known)

    def next_after(self, known: int) -> int | None:
        """How many bars the next look needs; None when all have been made."""
        return next((bars for bars in self.bars if bars > known), None)


# z of the last of two looks; the first needs √2 times as much. Little is spent early: a half-time lead is mostly luck.
# 3 %, not 5: that the variance is estimated costs a little, and what is measured must stay below 5 % (docs/updating.md).
OBRIEN_FLEMING_2, CAUTIOUS_ALPHA = 1.9015, 0.03
# The same z at each of six looks: for harm, which should be stopped as soon as it shows.
POCOCK_6, PROMPT_ALPHA = 2.164, 0.05


def cautious_looks(half: int, full: int) -> Looks:
    """Two looks, the first at half the bars and hard to pass (O'Brien & Fleming 1979)."""
    if full != 2 * half:
        raise InvalidRequest(f"the first look is at half of the bars, not at {half} of {full}")
    first, last = (float(1 - ndtr(z)) for z in (OBRIEN_FLEMING_2 * 2**0.5, OBRIEN_FLEMING_2))
    return Looks((half, full), (first, last), CAUTIOUS_ALPHA)


def prompt_looks(every: int) -> Looks:
    """Six looks of equal strictness, `every` bars apart (Pocock 1977)."""
    p = float(1 - ndtr(POCOCK_6))
    return Looks(tuple(every * look for look in range(1, 7)), (p,) * 6, PROMPT_ALPHA)
