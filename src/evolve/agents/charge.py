"""Who is in charge of a symbol, who challenges, and how does that change hands? Every move by compare-and-set, with its reason.

Each move is written to the log of updates before it is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from evolve.agents.live_record import LiveRecord
from evolve.agents.promotion import Pair, shadow_test, unseen_from
from evolve.agents.update_log import UpdateLog
from evolve.cards import AliasMove, AliasName, ModelCard
from evolve.errors import InvalidRequest, UnknownModel
from evolve.memory.aliases import Aliases
from evolve.memory.registry import Registry
from evolve.updates import ModelTest

ROLLED_BACK = "rolled back: "
FORCED = "forced: "


class Charge:
    """The aliases of one symbol and timeframe."""

    def __init__(self, aliases: Aliases, registry: Registry, *, symbol: str, timeframe: str) -> None:
        self._aliases = aliases
        self._registry = registry
        self.symbol, self.timeframe = symbol, timeframe

    @property
    def champion(self) -> str | None:
        return self._aliases.holder("champion", symbol=self.symbol, timeframe=self.timeframe)

    @property
    def challenger(self) -> str | None:
        return self._aliases.holder("challenger", symbol=self.symbol, timeframe=self.timeframe)

    def last_move(self, alias: AliasName) -> AliasMove | None:
        moves = self._aliases.history(symbol=self.symbol, timeframe=self.timeframe, limit=None)
        return next((move for move in moves if move.alias == alias), None)

    def predecessor(self) -> ModelCard | None:
        """The champion before the present one, if it was one and is still registered."""
        move = self.last_move("champion")
        if move is None or move.previous is None:
            return None
        try:
            return self._registry.get(move.previous)
        except UnknownModel:
            return None

    def move(
        self, alias: AliasName, model_id: str | None, *, expected: str | None, reason: str, request_id: str
    ) -> AliasMove:
        """Raises InvalidRequest when another than `expected` holds the alias."""
        return self._aliases.move(
            alias, symbol=self.symbol, timeframe=self.timeframe, model_id=model_id, expected=expected, reason=reason,
            request_id=f"{request_id}/{alias}/{self.symbol}",
        )  # fmt: skip

    def name_challenger(self, model_id: str, log: UpdateLog, reason: str, *, request_id: str) -> None:
        """Let a model run in the champion's shadow, in the place of who did so far."""
        log.add("challenged", model_id, reason, other=self.champion)
        self.move("challenger", model_id, expected=self.challenger, reason=reason, request_id=request_id)

    def retire(self, log: UpdateLog, reason: str, *, request_id: str) -> None:
        """End the shadow of the challenger; the champion stays."""
        gone = self.challenger
        if gone is not None:
            log.add("retired", gone, reason, other=self.champion, symbol=self.symbol)
            self.move("challenger", None, expected=gone, reason=reason, request_id=f"{request_id}/retire")

    def promote(
        self, model_id: str, log: UpdateLog, reason: str, *, request_id: str, forced: bool = False
    ) -> AliasMove:
        """Put a model in charge; if it was the challenger, nobody challenges any more."""
        before = self.champion
        log.add("promoted", model_id, reason, other=before, forced=forced, symbol=self.symbol)
        move = self.move("champion", model_id, expected=before, reason=reason, request_id=request_id)
        if self.challenger == model_id:
            self.move("challenger", None, expected=model_id, reason="in charge now", request_id=request_id)
        return move

    def roll_back(self, log: UpdateLog, reason: str, *, request_id: str) -> AliasMove:
        """Put the champion before the present one in charge again. Raises InvalidRequest when there is none."""
        now, before = self.champion, self.predecessor()
        if now is None or before is None:
            raise InvalidRequest(
                f"there is no earlier champion of {self.symbol} {self.timeframe} to go back to; `evolve models aliases` lists every move"
            )
        log.add("rolled_back", before.model_id, reason, other=now)
        return self.move(
            "champion", before.model_id, expected=now, reason=f"{ROLLED_BACK}{reason}", request_id=f"{request_id}/back"
        )


def moved_at(move: AliasMove) -> float:
    """Unix seconds."""
    return datetime.fromisoformat(move.at).timestamp()


def in_shadow(
    charge: Charge, champion: LiveRecord, challenger: LiveRecord, alike: Sequence[Pair]
) -> tuple[ModelTest, tuple[Pair, ...]]:
    """The test of the challenger as far as it has come, and the pairs of other symbols that it is pooled with.

    alike: pairs with the same recipes. Those whose shadow began later are left out: bars that only they lack would be lost to it.
    """
    named = charge.last_move("challenger")
    assert named is not None
    own = Pair(champion, challenger, unseen_from(champion, challenger, moved_at(named)))
    others = tuple(pair for pair in alike if pair.begins <= own.begins)
    return shadow_test([own, *others]), others
