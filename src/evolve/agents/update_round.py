"""What does a symbol's champion need now? One round: roll back, promote or retire, look for drift, train anew.

Asked in this order: does the champion's predecessor do better? has the challenger shown what it must? has the champion drifted, or
grown old? The round does what the first answer asks for, and says why.
"""

from __future__ import annotations

from evolve.agents.charge import ROLLED_BACK, Charge, in_shadow, moved_at
from evolve.agents.drift_watch import drift_of
from evolve.agents.live_record import LiveRecord
from evolve.agents.promotion import rollback_test, unseen_from
from evolve.agents.retraining import retrain
from evolve.agents.roster import Roster
from evolve.agents.update_log import UpdateLog
from evolve.agents.updater_desk import UpdaterDesk
from evolve.cards import ModelCard
from evolve.market.bars import Bars
from evolve.updates import AutoUpdated, DriftCard, ModelTest


class Round:
    """One round over a symbol. acts: False only looks."""

    def __init__(
        self, roster: Roster, charge: Charge, log: UpdateLog, desk: UpdaterDesk, request_id: str, *, acts: bool
    ) -> None:
        self._roster, self._charge, self._log, self._desk, self._id = roster, charge, log, desk, request_id
        self._acts = acts
        self._updated: list[str] = []
        self._replaced: list[str] = []
        self._improvement: float | None = None
        self._drift: DriftCard | None = None
        self._test: ModelTest | None = None

    def adopt(self) -> bool:
        """Put the newest model in charge where nobody is: that claims nothing, and gives the next one something to beat."""
        models = self._roster.registry.list(symbol=self._charge.symbol, timeframe=self._charge.timeframe, limit=1)
        if not models or not self._acts:
            return False
        said = "first in charge: nobody was, and it is the newest model; that says nothing about how good it is"
        self._charge.promote(models[0].model_id, self._log, said, request_id=f"{self._id}/adopt")
        return True

    def go(self, bars: Bars, *, retrain: bool, max_age_bars: int) -> str:
        """Do what is due; what was done, or why nothing was, in a sentence."""
        roster = self._roster
        card = roster.registry.get(str(self._charge.champion))
        champion = roster.record(card, bars)
        back = self._worse_than_before(champion)
        if back is not None:
            return back
        self._drift = drift_of(champion)
        if self._drift.state == "drift":
            self._log.add("drifted", card.model_id, self._drift.reason)
        if self._charge.challenger is not None:
            return self._try_challenger(champion)
        age = len(bars) - 1 - champion.trained_to
        if retrain:
            return self._train(card, bars, "asked for", "incremental")
        if self._drift.state == "drift":
            return self._train(card, bars, f"drift: {self._drift.reason}", "full")
        if age >= max_age_bars:
            return self._train(card, bars, f"{age} bars old, and {max_age_bars} is the most", "incremental")
        said = f"nothing to do: {self._drift.reason}; trained {age} bars ago"
        self._log.add("looked", card.model_id, said)
        return said

    def _worse_than_before(self, champion: LiveRecord) -> str | None:
        """Roll back a champion whose predecessor does better since it was replaced."""
        move, before = self._charge.last_move("champion"), self._charge.predecessor()
        if move is None or before is None or move.reason.startswith(ROLLED_BACK):
            return None
        predecessor = self._roster.record(before, champion.bars)
        test = rollback_test(predecessor, champion, unseen_from(champion, predecessor, moved_at(move)))
        if not test.passed:
            return None
        self._test = test
        said = f"{champion.card.model_id} does worse than {before.model_id}, which it replaced: {test.reason}"
        if not self._acts:
            return f"would roll back: {said}"
        self._charge.roll_back(self._log, said, request_id=self._id)
        self._charge.retire(self._log, "it challenged a champion that was rolled back", request_id=self._id)
        self._replaced.append(before.model_id)
        self._improvement = _improvement(test)
        return f"{ROLLED_BACK}{said}"

    def _try_challenger(self, champion: LiveRecord) -> str:
        roster, charge = self._roster, self._charge
        named = str(charge.challenger)
        challenger = roster.record(roster.registry.get(named), champion.bars)
        alike = roster.alike(charge, champion, challenger, self._desk.progress)
        test, others = in_shadow(charge, champion, challenger, alike)
        self._test = test
        if not test.decided:
            said = f"{named} is in the shadow of {champion.card.model_id}: {test.reason}"
            self._log.add("looked", named, said, other=champion.card.model_id)
            return said
        if not self._acts:
            return f"would {'promote' if test.passed else 'retire'} {named}: {test.reason}"
        if not test.passed:
            charge.retire(self._log, test.reason, request_id=self._id)
            return f"retired {named}: {test.reason}"
        for pair in (None, *others):
            self._promote(charge if pair is None else roster.charge(pair.symbol, charge.timeframe), named if pair is None else pair.challenger.card.model_id, test)  # fmt: skip
        self._improvement = _improvement(test)
        return f"promoted {', '.join(self._replaced)}: {test.reason}"

    def _promote(self, charge: Charge, model_id: str, test: ModelTest) -> None:
        charge.promote(model_id, self._log, test.reason, request_id=self._id)
        self._replaced.append(model_id)

    def _train(self, card: ModelCard, bars: Bars, why: str, retrain_type: str) -> str:
        if not self._acts:
            return f"would retrain {card.model_id}: {why}"
        done = retrain(
            card, bars, roster=self._roster, log=self._log, desk=self._desk, period="30d", retrain_type=retrain_type, why=why,
            request_id=self._id,
        )  # fmt: skip
        if done.model_id == card.model_id:
            return done.reason
        self._updated.append(done.model_id)
        return f"retrained as {done.model_id}, which now runs in the shadow of the champion: {why}"

    def result(self, update_type: str, said: str) -> AutoUpdated:
        charge = self._charge
        return AutoUpdated(
            success=True,
            symbol=charge.symbol,
            timeframe=charge.timeframe,
            update_type=update_type,
            models_updated=tuple(self._updated),
            models_replaced=tuple(self._replaced),
            overall_improvement=self._improvement,
            reason=said,
            champion=charge.champion,
            challenger=charge.challenger,
            steps=tuple(self._log.steps),
            drift=self._drift,
            test=self._test,
        )


def _improvement(test: ModelTest) -> float | None:
    value = next(item.value for item in test.figures if item.name == "improvement")
    return float(value) if isinstance(value, int | float) else None
