"""Models that are watched, trained anew, and replaced only on evidence.

One round (`auto_update`) asks in this order: does the champion's predecessor do better? has the challenger shown what it must? has
the champion drifted, or grown old? It does what the first answer asks for, and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evolve.agents.charge import FORCED, Charge, moved_at
from evolve.agents.drift_watch import drift_of
from evolve.agents.promotion import Pair, history_test, same_recipe, shadow_test, unseen_from
from evolve.agents.refit import Progress
from evolve.agents.retraining import retrain
from evolve.agents.roster import Roster
from evolve.agents.standing import note_standing
from evolve.agents.timetable import check_timetable
from evolve.agents.track_record import counted_on
from evolve.agents.update_log import UpdateLog, steps_of
from evolve.agents.update_round import Round
from evolve.agents.updater_desk import UpdaterDesk, build_order, tuning_order
from evolve.agents.watch_board import board, watch_card
from evolve.cards import AliasMove, ModelCard
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import InvalidRequest
from evolve.market.catalog import Catalog
from evolve.market.store import BarStore
from evolve.memory.aliases import Aliases
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.memory.registry import Registry
from evolve.memory.trials import TrialLedger
from evolve.memory.watches import Watches
from evolve.settings import Settings
from evolve.updates import AutoUpdated, BoardRow, DriftCard, ModelTest, Replaced, Retrained, Tuned, UpdateStep, Watch

MAX_AGE_BARS = 126  # half a year of days; a watch may say otherwise


class UpdaterAgent:
    def __init__(
        self,
        roster: Roster,
        log: DecisionLog,
        watches: Watches,
        ledger: TrialLedger,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._roster = roster
        self._log = log
        self._watches = watches
        self._ledger = ledger
        self._clock = clock

    @classmethod
    def from_settings(cls, settings: Settings) -> UpdaterAgent:
        database = Database.open(settings)
        roster = Roster(
            Catalog(BarStore.open(settings)),
            Registry(database, ArtifactStore.open(settings)),
            Aliases(database),
            default_simulate=settings.simulate,
        )
        return cls(roster, DecisionLog(database), Watches(database), TrialLedger(database))

    # --- one model ---

    def retrain(
        self, model_id: str, *, period: str, retrain_type: str, desk: UpdaterDesk, request_id: str
    ) -> Retrained:
        """Raises UnknownModel, DataUnavailable, and what the model builder raises (full)."""
        card = self._roster.registry.get(model_id)
        return retrain(
            card, self._roster.bars(card, desk.progress), roster=self._roster, log=self._steps(card, request_id), desk=desk,
            period=period, retrain_type=retrain_type, why="asked for", request_id=request_id,
        )  # fmt: skip

    def tune(
        self, model_id: str, *, params: Mapping[str, Any], method: str, desk: UpdaterDesk, request_id: str
    ) -> Tuned:
        """Raises UnknownModel, InvalidRequest (tuning_params), Unavailable naming the meta tuner when nobody answers."""
        card = self._roster.registry.get(model_id)
        charge, log = self._roster.charge_of(card), self._steps(card, request_id)
        found = desk.tune(tuning_order(card, params, method))
        made = desk.build(build_order(card, dict(found.recommended_params)))
        if made.model_id == card.model_id or same_recipe(made.recipe, card.recipe):
            reason = f"what the search recommends are the parameters of {model_id}: nothing is gained by another model"
            log.add("tuned", model_id, reason)
            return Tuned(True, model_id, model_id, method, dict(found.best_params), found.improvement, found.best_score, reason)  # fmt: skip
        log.add("tuned", made.model_id, f"built with what a {method} search recommends", other=model_id)
        test = self._test_now(card, made, charge, desk)
        reason = test.reason
        if charge.champion == model_id:
            charge.name_challenger(
                made.model_id, log, f"in the shadow of {model_id}: {test.reason}", request_id=request_id
            )
            reason = f"{reason}; it now runs in the shadow of the champion"
        return Tuned(
            True, made.model_id, model_id, method, dict(found.best_params), found.improvement, found.best_score, reason, test
        )  # fmt: skip

    def replace(
        self, old_model_id: str, new_model_id: str, *, reason: str, force: bool, desk: UpdaterDesk, request_id: str
    ) -> Replaced:
        """Raises UnknownModel, InvalidRequest for models of different symbols, or when a third one is in charge."""
        old, new = self._roster.registry.get(old_model_id), self._roster.registry.get(new_model_id)
        _check_pair(old, new)
        charge, log = self._roster.charge_of(old), self._steps(old, request_id)
        holder = charge.champion
        if holder == new_model_id:
            said = f"{new_model_id} is the champion already"
            return Replaced(True, old_model_id, new_model_id, holder, False, said)
        if holder not in (None, old_model_id):
            raise InvalidRequest(
                f"the champion of {charge.symbol} {charge.timeframe} is {holder}, not {old_model_id}: name that one to replace it",
                holder=holder,
            )
        test = self._test_now(old, new, charge, desk)
        if not test.passed and not force:
            why = f"{old_model_id} stays: {test.reason}"
            log.add("refused", new_model_id, why, other=old_model_id)
            return Replaced(False, old_model_id, new_model_id, holder, False, why, test)
        forced = not test.passed
        why = f"{reason}; {test.reason}"
        why = f"{FORCED}{why}" if forced else why
        charge.promote(new_model_id, log, why, request_id=request_id, forced=forced)
        return Replaced(True, old_model_id, new_model_id, new_model_id, forced, why, test)

    def _test_now(self, old: ModelCard, new: ModelCard, charge: Charge, desk: UpdaterDesk) -> ModelTest:
        """The best evidence there is: the shadow where it has come to a look, else history for a new recipe."""
        bars = self._roster.bars(old, desk.progress)
        champion, challenger = (self._roster.record(card, bars) for card in (old, new))
        named = charge.last_move("challenger")
        named_at = moved_at(named) if named is not None and named.model_id == new.model_id else 0.0
        unseen = Pair(champion, challenger, unseen_from(champion, challenger, named_at))
        shadow = shadow_test([unseen])
        if same_recipe(old.recipe, new.recipe):
            return shadow if shadow.decided else _undecided(shadow, new.model_id)
        if shadow.decided or (named is not None and named.model_id == new.model_id):
            return shadow
        start = max(champion.forecasts.start, challenger.forecasts.start)
        trials = len({each.recipe_hash for each in self._ledger.tried(counted_on(bars))})
        return history_test(Pair(champion, challenger, start), trials=trials)

    def drift(self, model_id: str, *, progress: Progress) -> DriftCard:
        """Raises UnknownModel, DataUnavailable."""
        card = self._roster.registry.get(model_id)
        return drift_of(self._roster.record(card, self._roster.bars(card, progress)))

    def history(self, model_id: str, limit: int) -> tuple[UpdateStep, ...]:
        """Raises UnknownModel for an id that was never registered or updated."""
        steps = steps_of(self._log, model_id, limit=limit)
        if not steps:
            self._roster.registry.get(model_id)
        return steps

    # --- one symbol ---

    def auto_update(
        self, symbol: str, timeframe: str, *, update_type: str, desk: UpdaterDesk, request_id: str
    ) -> AutoUpdated:
        """One round. Raises DataUnavailable, UnknownSymbol, and what the model builder raises when it must train anew."""
        charge = self._roster.charge(symbol, timeframe)
        log = UpdateLog(self._log, request_id=request_id, symbol=symbol, timeframe=timeframe, clock=self._clock)
        round_ = Round(self._roster, charge, log, desk, request_id, acts=update_type != "check")
        if charge.champion is None and not round_.adopt():
            self._roster.catalog.load(symbol, timeframe)  # a symbol that there is not is said first
            said = f"no model of {symbol} at {timeframe} is registered: `evolve build ridge {symbol} --timeframe {timeframe}` makes one"
            return round_.result(update_type, said)
        bars = self._roster.bars(self._roster.registry.get(str(charge.champion)), desk.progress)
        said = round_.go(bars, retrain=update_type == "retrain", max_age_bars=self._max_age(symbol, timeframe))
        done = round_.result(update_type, said)
        note_standing(self._roster, charge, bars, done.drift, self._log, request_id=request_id, now=self._clock.now())
        return done

    def finish_round(self, symbol: str, timeframe: str, due: float | None, said: str) -> None:
        """Note on the timetable that a round was carried out, or why it could not be."""
        if due is not None:
            self._watches.finish(symbol, timeframe, due=due, result=said)

    def roll_back(self, symbol: str, timeframe: str, *, reason: str, request_id: str) -> AliasMove:
        """Raises InvalidRequest when there is nothing to go back to."""
        charge = self._roster.charge(symbol, timeframe)
        log = UpdateLog(self._log, request_id=request_id, symbol=symbol, timeframe=timeframe, clock=self._clock)
        return charge.roll_back(log, reason, request_id=request_id)

    # --- what is watched ---

    def watch(self, model_id: str, *, cron: str, timezone: str, max_age_bars: int, request_id: str) -> Watch:
        """Raises UnknownModel; InvalidRequest for no timetable, or when another model is in charge."""
        check_timetable(cron, timezone)
        card = self._roster.registry.get(model_id)
        charge, log = self._roster.charge_of(card), self._steps(card, request_id)
        if charge.champion not in (None, model_id):
            raise InvalidRequest(
                f"{charge.champion} is the champion of {charge.symbol} {charge.timeframe}: watch that one, or put {model_id} in its "
                f"place first (`evolve promote {model_id}`)",
                holder=charge.champion,
            )
        if charge.champion is None:
            charge.promote(model_id, log, "first in charge: nobody was", request_id=request_id)
        watched = self._watches.put(
            charge.symbol, charge.timeframe, simulate=card.data.simulated, cron=cron, timezone=timezone,
            max_age_bars=max_age_bars,
        )  # fmt: skip
        return watch_card(watched)

    def unwatch(self, symbol: str, timeframe: str) -> None:
        self._watches.remove(symbol, timeframe)

    def board(self, symbol: str | None, timeframe: str | None, *, progress: Progress) -> tuple[BoardRow, ...]:
        return board(self._roster, self._watches, symbol, timeframe, progress=progress)

    # --- what the above have in common ---

    def _steps(self, card: ModelCard, request_id: str) -> UpdateLog:
        recipe = card.recipe
        return UpdateLog(
            self._log, request_id=request_id, symbol=recipe.symbol, timeframe=recipe.timeframe, clock=self._clock
        )

    def _max_age(self, symbol: str, timeframe: str) -> int:
        watched = self._watches.find(symbol, timeframe)
        return watched.max_age_bars if watched is not None else MAX_AGE_BARS


def _undecided(test: ModelTest, model_id: str) -> ModelTest:
    """A refresh has no history of its own: its recipe's is the champion's too."""
    said = f"{model_id} is the same recipe, so only bars since it was trained can tell: {test.reason}"
    return replace(test, reason=said)


def _check_pair(old: ModelCard, new: ModelCard) -> None:
    if old.model_id == new.model_id:
        raise InvalidRequest("a model cannot replace itself: name two models")
    one, other = old.recipe, new.recipe
    if (one.symbol, one.timeframe) != (other.symbol, other.timeframe) or old.data.simulated != new.data.simulated:
        raise InvalidRequest(
            f"{new.model_id} is a model of {other.symbol} {other.timeframe}{' SIMULATED' * new.data.simulated} and cannot stand for "
            f"{one.symbol} {one.timeframe}{' SIMULATED' * old.data.simulated}"
        )
    if one.horizon_bars != other.horizon_bars:
        raise InvalidRequest(
            f"they forecast {one.horizon_bars} and {other.horizon_bars} bars ahead: their losses cannot be compared"
        )
