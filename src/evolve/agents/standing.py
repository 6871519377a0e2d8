"""How does a champion stand after a round: which position, and does it drift? Put on record once a round, for whoever wants to be told.

The record is a decision like any other, written behind the round's fence under the round's id: a round that runs twice leaves one.
"""

from __future__ import annotations

from dataclasses import asdict

from evolve.agents.charge import Charge
from evolve.agents.roster import Roster
from evolve.agents.track_record import positions_of
from evolve.agents.update_log import SERVICE
from evolve.market.bars import Bars
from evolve.market.calendar import default_costs
from evolve.memory.canonical import canonical_json, from_json
from evolve.memory.decisions import Decision, DecisionLog
from evolve.updates import DriftCard, Standing
from evolve.version import code_version

STANDING = "standing"


def note_standing(
    roster: Roster,
    charge: Charge,
    bars: Bars,
    drift: DriftCard | None,
    log: DecisionLog,
    *,
    request_id: str,
    now: float,
) -> None:
    """Record the position that the champion decides at the last close, and what the round found of its drift."""
    champion = charge.champion
    if champion is None:
        return
    record = roster.record(roster.registry.get(champion), bars)
    costs = default_costs(bars.symbol)
    standing = Standing(
        model_id=champion,
        symbol=charge.symbol,
        timeframe=charge.timeframe,
        position=float(positions_of(record.forecasts, bars, costs)[-1]),
        as_of=bars.date(-1),
        simulated=bars.simulated,
        # What was found of a model that is in charge no longer says nothing of its successor.
        drift=drift.state if drift is not None and drift.model_id == champion else None,
        drift_reason=drift.reason if drift is not None and drift.model_id == champion else "",
    )
    log.record(
        Decision(
            service=SERVICE, request_id=f"{request_id}/standing", request_type=STANDING,
            inputs={"model_id": champion, "symbol": charge.symbol, "timeframe": charge.timeframe}, outcome=asdict(standing),
            status="success", code_version=code_version(), started_at=now, finished_at=now, parent=request_id,
            data_hash=bars.fingerprint, symbols=(charge.symbol,),
        )
    )  # fmt: skip


def standings_after(log: DecisionLog, position: int) -> tuple[tuple[int, float, Standing], ...]:
    """What was recorded after a position of the log: the place, the time (Unix seconds) and the standing, the oldest first."""
    found = log.after(position, service=SERVICE, request_type=STANDING)
    return tuple((place, each.finished_at, from_json(Standing, canonical_json(each.outcome))) for place, each in found)
