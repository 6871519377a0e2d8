"""Which bars, records and aliases belong to a model? What the updater's decisions all begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from evolve.agents.charge import Charge, moved_at
from evolve.agents.live_record import LiveRecord, live_record
from evolve.agents.promotion import Pair, alike_but_for_symbol, unseen_from
from evolve.agents.refit import Progress
from evolve.agents.track_record import usable_history
from evolve.cards import ModelCard
from evolve.errors import DataUnavailable
from evolve.market.bars import Bars
from evolve.memory.aliases import Aliases
from evolve.memory.registry import Registry


class BarSource(Protocol):
    """Where bars come from: the catalog, or a feed."""

    def load(self, symbol: str, timeframe: str | None = None, *, simulate: bool = False) -> Bars: ...


@dataclass(frozen=True)
class Roster:
    """The registered models with the bars there are now. default_simulate: SIMULATED bars unless something else is said."""

    catalog: BarSource
    registry: Registry
    aliases: Aliases
    default_simulate: bool = False

    def charge(self, symbol: str, timeframe: str) -> Charge:
        return Charge(self.aliases, self.registry, symbol=symbol, timeframe=timeframe)

    def charge_of(self, card: ModelCard) -> Charge:
        return self.charge(card.recipe.symbol, card.recipe.timeframe)

    def record(self, card: ModelCard, bars: Bars) -> LiveRecord:
        """Raises DataUnavailable when the bars do not hold what it was trained on."""
        return live_record(card, bars, self.registry)

    def bars(self, card: ModelCard, progress: Progress) -> Bars:
        """All usable bars of a model's symbol. Raises DataUnavailable, UnknownSymbol; never mixes real and SIMULATED ones."""
        recipe = card.recipe
        progress("data", 0, 1, f"loading bars of {recipe.symbol}")
        wanted = self.default_simulate or card.data.simulated
        bars, _ = usable_history(self.catalog.load(recipe.symbol, recipe.timeframe, simulate=wanted))
        if bars.simulated != card.data.simulated:
            raise DataUnavailable(
                f"{card.model_id} was trained on {'SIMULATED' if card.data.simulated else 'real'} bars, and there are only "
                f"{'SIMULATED' if bars.simulated else 'real'} ones of {recipe.symbol} at {recipe.timeframe} now: build a model of them"
            )
        progress("data", 1, 1, f"{len(bars):,} bars of {bars.symbol} at {bars.timeframe}, to {bars.date(-1)}")
        return bars

    def alike(self, charge: Charge, champion: LiveRecord, challenger: LiveRecord, progress: Progress) -> list[Pair]:
        """Pairs of other symbols in which the same recipe challenges the same recipe: their bars count for both."""
        pairs = []
        for move in self.aliases.current(timeframe=charge.timeframe):
            other = Charge(self.aliases, self.registry, symbol=move.symbol, timeframe=move.timeframe)
            if move.alias != "challenger" or move.symbol == charge.symbol or other.champion is None:
                continue
            theirs = self.registry.get(other.champion), self.registry.get(str(move.model_id))
            if not all(
                alike_but_for_symbol(one.recipe, record.card.recipe) and one.data.simulated == record.bars.simulated
                for one, record in zip(theirs, (champion, challenger), strict=True)
            ):
                continue
            try:
                bars = self.bars(theirs[0], progress)
                records = [self.record(card, bars) for card in theirs]
            except DataUnavailable:
                continue  # it cannot be judged now; whose symbols were pooled stands in the test
            pairs.append(Pair(records[0], records[1], unseen_from(records[0], records[1], moved_at(move))))
        return pairs
