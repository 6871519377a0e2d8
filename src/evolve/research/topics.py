"""What is a text about? The family of strategies whose words it uses."""

from __future__ import annotations

import re
from dataclasses import dataclass

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Family:
    """A family of strategies. cues: regular expressions with their weights; 3 names it, 2 is its own jargon, 1 is a hint."""

    name: str
    cues: tuple[tuple[str, int], ...]


FAMILIES = (
    Family("momentum", ((r"\bmomentum\b", 3), (r"\btrend[- ]follow\w*", 3), (r"\bpast (winners|returns?)\b", 2), (r"\btrends?\b", 1))),
    Family("mean_reversion", ((r"\bmean[- ]rever\w+", 3), (r"\breversals?\b", 3), (r"\bz-?scores?\b", 2), (r"\bcontrarian\b", 2), (r"\boversold\b", 1))),
    Family("moving_average", ((r"\bmoving[- ]averages?\b", 3), (r"\b[sde]?ma\b", 2), (r"\bgolden cross\b", 3), (r"\bcross(es|ing|over)?\b", 1))),
    Family("breakout", ((r"\bbreak-?outs?\b", 3), (r"\bdonchian\b", 3), (r"\bturtles?\b", 2), (r"\bchannels?\b", 1), (r"\bnew highs?\b", 1))),
    Family("oscillator", ((r"\brsi\b", 3), (r"\brelative strength index\b", 3), (r"\bmacd\b", 3), (r"\bbollinger\b", 3), (r"\boscillators?\b", 2))),
    Family("volatility", ((r"\bvolatility[- ](target\w*|manag\w*|scal\w*)", 3), (r"\bvolatility\b", 1), (r"\bgarch\b", 2), (r"\brisk parity\b", 2))),
    Family("carry", ((r"\bcarry\b", 3), (r"\broll yield\b", 2), (r"\binterest[- ]rate differentials?\b", 2))),
    Family("seasonality", ((r"\bseasonal\w*", 3), (r"\bturn[- ]of[- ]the[- ]month\b", 3), (r"\bhalloween\b", 3), (r"\bcalendar (effect|anomal)\w*", 3))),
    Family("pairs", ((r"\bpairs?[- ]trading\b", 3), (r"\bcointegrat\w+", 3), (r"\bstat(istical)?[- ]arb\w*", 2))),
    Family("portfolio", ((r"\bportfolio (optimi[sz]ation|selection|allocation)\b", 3), (r"\bportfolios?\b", 1))),
    Family("machine_learning", ((r"\bmachine[- ]learning\b", 3), (r"\bdeep[- ]learning\b", 3), (r"\bneural\b", 2), (r"\breinforcement\b", 2), (r"\blstm\b", 3), (r"\b(xgboost|random forests?|gradient boosting|ridge regression)\b", 3))),
)  # fmt: skip
NAMES = tuple(family.name for family in FAMILIES)


def weights(text: str) -> dict[str, int]:
    """Each family the text speaks of, with the sum of its cues; a cue counts once however often it stands there."""
    found = {
        family.name: sum(weight for cue, weight in family.cues if re.search(cue, text, re.IGNORECASE))
        for family in FAMILIES
    }
    return {name: weight for name, weight in found.items() if weight}


def tag_of(text: str) -> str:
    """The family that the text speaks of most; `other` when it speaks of none."""
    found = weights(text)
    return max(found, key=lambda name: found[name]) if found else OTHER
