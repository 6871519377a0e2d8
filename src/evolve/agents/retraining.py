"""What happens when a model is trained anew? The new one is registered, compared, and replaces nothing: it runs in the old one's shadow."""

from __future__ import annotations

from evolve.agents.refit import performance_over, refit
from evolve.agents.roster import Roster
from evolve.agents.update_log import UpdateLog
from evolve.agents.updater_desk import UpdaterDesk, build_order
from evolve.cards import ModelCard
from evolve.market.bars import Bars
from evolve.updates import Retrained


def retrain(
    card: ModelCard, bars: Bars, *, roster: Roster, log: UpdateLog, desk: UpdaterDesk, period: str, retrain_type: str, why: str,
    request_id: str,
) -> Retrained:  # fmt: skip
    """The model trained on all of these bars; if it is the champion, the new one runs in its shadow from now on.

    Raises DataUnavailable, and what the model builder raises (full).
    """
    charge = roster.charge_of(card)
    old = roster.record(card, bars)
    new_bars = len(bars) - 1 - old.trained_to
    if new_bars == 0:
        made = card
        reason = f"nothing to learn: no bar has come since {card.data.last}, and the same recipe on the same bars is the same model"
    elif retrain_type == "full":
        made = desk.build(build_order(card))
        reason = f"{why}; trained and walked forward anew on {len(bars):,} bars, {new_bars} of them new"
    else:
        made = refit(old, roster.registry, now=log.now(), request_id=request_id, progress=desk.progress)
        reason = f"{why}; fitted once more on {len(bars):,} bars, {new_bars} of them new"
    log.add("retrained", made.model_id, reason, other=card.model_id)
    challenges = made.model_id != card.model_id and charge.champion == card.model_id
    if challenges:
        charge.name_challenger(
            made.model_id,
            log,
            f"in the shadow of {card.model_id} until its own bars tell: {why}",
            request_id=request_id,
        )
    new = old if made.model_id == card.model_id else roster.record(made, bars)
    return Retrained(
        success=True,
        model_id=made.model_id,
        old_model_id=card.model_id,
        retrain_type=retrain_type,
        reason=reason,
        new_bars=new_bars,
        data_to=bars.date(-1),
        new_performance=performance_over(new, period),
        old_performance=performance_over(old, period),
        challenger=challenges,
        simulated=bars.simulated,
    )
