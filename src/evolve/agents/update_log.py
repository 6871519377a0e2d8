"""What was done to a model, in which order, and why? Each step of the updater is a row of the decision log, with its reason.

A step is written before it takes effect: a run that died between the two is made again, finds its own row, and goes on.
"""

from __future__ import annotations

from dataclasses import asdict

from evolve.clock import Clock, iso
from evolve.memory.canonical import canonical_json, from_json
from evolve.memory.decisions import Decision, DecisionLog
from evolve.updates import StepKind, UpdateStep
from evolve.version import code_version

SERVICE, STEP = "updater", "update_step"


class UpdateLog:
    """The steps of one request, written as they are made."""

    def __init__(self, log: DecisionLog, *, request_id: str, symbol: str, timeframe: str, clock: Clock) -> None:
        self._log = log
        self._request_id = request_id
        self._symbol, self._timeframe = symbol, timeframe
        self._clock = clock
        self.steps: list[UpdateStep] = []

    def now(self) -> float:
        """Unix seconds, by the clock that stamps the steps."""
        return self._clock.now()

    def add(
        self, kind: StepKind, model_id: str, reason: str, *, other: str | None = None, forced: bool = False, symbol: str = ""
    ) -> UpdateStep:  # fmt: skip
        now = self._clock.now()
        step = UpdateStep(
            kind=kind, model_id=model_id, other=other, symbol=symbol or self._symbol, timeframe=self._timeframe, reason=reason,
            at=iso(now), forced=forced, request_id=self._request_id,
        )  # fmt: skip
        self.steps.append(step)
        self._log.record(
            Decision(
                service=SERVICE,
                request_id=f"{self._request_id}/{len(self.steps)}",
                request_type=STEP,
                inputs={"model_id": model_id, "other": other, "symbol": step.symbol, "timeframe": step.timeframe},
                outcome=asdict(step),
                status="success",
                code_version=code_version(),
                started_at=now,
                finished_at=now,
                parent=self._request_id,
                symbols=(step.symbol,),
            )
        )
        return step


def steps_of(log: DecisionLog, model_id: str, *, limit: int) -> tuple[UpdateStep, ...]:
    """The steps a model had a part in, newest first."""
    found = log.history(limit=limit, service=SERVICE, request_type=STEP, naming=model_id)
    return tuple(from_json(UpdateStep, canonical_json(decision.outcome)) for decision in found)
