"""Where do these bars come from, how were they adjusted, and since when could one know them?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evolve.market.calendar import Venue

# "unstated": the source adjusts by rules that it does not publish.
Adjustment = Literal["none", "splits", "splits and dividends", "unstated"]


@dataclass(frozen=True, slots=True)
class Split:
    """On `date` (ISO, first day traded anew) one share became `ratio` shares; 0.1 is a reverse split of ten into one."""

    date: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Dividend:
    """Cash per share, as paid then, that shares bought from `date` (ISO, the ex-date) on do not get."""

    date: str
    amount: float


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a source said about the bars it gave.

    url: of the request, never with a key. fetched_at: ISO, UTC. asked_from, asked_to: ISO dates, both inclusive.
    delay_s: seconds from the close of a bar until the source publishes it. splits, dividends: what the source tells about
    the span; empty where it tells nothing, which `tells_actions` distinguishes from "none happened".
    delisted: the ISO date of the last session, where the source knows that trading ended.
    """

    source: str
    url: str
    fetched_at: str
    venue: Venue
    adjusted: Adjustment
    asked_from: str
    asked_to: str
    delay_s: float = 0.0
    tells_actions: bool = False
    splits: tuple[Split, ...] = ()
    dividends: tuple[Dividend, ...] = ()
    delisted: str | None = None

    def notes(self) -> tuple[str, ...]:
        """The same as sentences, for a reader of an answer."""
        said = [f"fetched from {self.source} ({self.url}) on {self.fetched_at[:10]}; {_ADJUSTED[self.adjusted]}"]
        if self.splits:
            shown = ", ".join(f"{split.date} ({split.ratio:g}:1)" for split in self.splits[-MOST_NAMED:])
            said.append(f"{len(self.splits)} split{'s' if len(self.splits) > 1 else ''} in the span: {shown}")
        if self.dividends:
            last = self.dividends[-1]
            said.append(f"{len(self.dividends)} dividends in the span, the last one {last.amount:g} on {last.date}")
        if self.delisted:
            said.append(f"DELISTED: trading ended on {self.delisted}")
        return tuple(said)


MOST_NAMED = 5  # splits shown in one sentence; the rest are in the record

_ADJUSTED: dict[Adjustment, str] = {
    "none": "prices are as traded, not adjusted for splits or dividends",
    "splits": "prices are adjusted for splits but not for dividends, which a holder got on top",
    "splits and dividends": "prices are adjusted for splits and dividends",
    "unstated": "the source adjusts prices by rules it does not state",
}
