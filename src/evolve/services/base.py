"""The base of Evolve's own services: a `Service` that records its decisions before the reply is sent."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evolve.audit_trail import AuditTrail
from evolve.errors import EvolveError
from evolve.memory.fence import Fence, behind
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, Service
from evolve.settings import Settings
from evolve.version import code_version

if TYPE_CHECKING:
    from evolve.memory.decisions import DecisionLog


# What decides about things that others rely on: on record in the audit trail too, also when it was refused.
AUDITED = frozenset(
    {
        "delete_model",
        "move_alias",
        "import_model",
        "replace_model",
        "roll_back",
        "auto_update",
        "start_watch",
        "stop_watch",
    }
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decision log should say beside inputs and outcome. error_code: of a reply that says no, though it is a reply."""

    symbols: tuple[str, ...] = ()
    data_hash: str | None = None
    seed: int | None = None
    error_code: str | None = None


class BaseService(Service):
    """Requests declared with `records=True` enter the decision log, once per request_id, also when they fail."""

    _log: DecisionLog | None = None

    def __init__(
        self,
        redis_host: str = "localhost",
        redis_port: int = 6379,
        redis_db: int = 0,
        *,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(redis_host, redis_port, redis_db, settings=settings)
        self._beside = ExitStack()

    def facts(self, request: Request[Any], outcome: Reply | EvolveError) -> Facts:
        """A service that knows data and seed says so."""
        del outcome
        symbol = getattr(request, "symbol", None)
        return Facts(symbols=(symbol,) if symbol else (), seed=getattr(request, "seed", None))

    @classmethod
    def beside(cls, settings: Settings) -> AbstractContextManager[Settings]:
        """What runs beside a replica's front, for as long as it serves; yields the settings of the front and its jobs.

        Entered before the first request, in the front's process; a service that keeps a process of its own overrides it.
        """
        return nullcontext(settings)

    def run(self) -> int:
        return run_beside(type(self), self.settings)

    def start(self) -> None:
        if self._background is None or not self._background.is_running():
            self._beside.close()
            self.settings = self._beside.enter_context(self.beside(self.settings))
        super().start()

    def stop(self) -> None:
        super().stop()
        self._beside.close()

    def inputs_of(self, request: Request[Any]) -> dict[str, Any]:
        """What the log keeps of a request."""
        return request.model_dump(mode="json")

    def outcome_of(self, reply: Reply) -> dict[str, Any]:
        """What the log keeps of a reply; a service whose replies are stored elsewhere keeps less."""
        return reply.model_dump(mode="json")

    def handle(self, request: Request[Any], job: Job) -> Reply:
        """As every service does, and every write of it is refused once another replica has taken the request over."""
        with behind(Fence(f"{self.name}/{job.request_id}", job.fence, again=job.attempt > 1)):
            if job.attempt > 1 and type(request).records:
                self.decision_log().take_over()
            return super().handle(request, job)

    def record(self, request: Request[Any], job: Job, outcome: Reply | EvolveError, started: float) -> None:
        if not type(request).records:
            return
        from evolve.memory.decisions import Decision

        if request.wire_type in AUDITED:
            self._audit(request, job, outcome)
        facts = self.facts(request, outcome)
        error_code = outcome.code if isinstance(outcome, EvolveError) else facts.error_code
        self.decision_log().record(
            Decision(
                service=self.name,
                request_id=job.request_id,
                request_type=request.wire_type,
                inputs=self.inputs_of(request),
                outcome={"error": outcome.message} if isinstance(outcome, EvolveError) else self.outcome_of(outcome),
                status="error" if error_code else "success",
                code_version=code_version(),
                started_at=started,
                finished_at=self.clock.now(),
                asked_by=job.envelope.sender or "",
                error_code=error_code,
                data_hash=facts.data_hash,
                seed=facts.seed,
                parent=job.envelope.parent,
                symbols=facts.symbols,
            )
        )

    def _audit(self, request: Request[Any], job: Job, outcome: Reply | EvolveError) -> None:
        """Before the decision log, which keeps the first record of a request only: one that is run again may stand here twice, never not at all."""
        asked = {
            name: value
            for name, value in request.model_dump(mode="json").items()
            if isinstance(value, str | int | float)
        }
        result = outcome.code if isinstance(outcome, EvolveError) else "success"
        changed = {} if isinstance(outcome, EvolveError) else _changed(outcome)
        who = job.envelope.sender or "nobody named"
        AuditTrail(self.settings.home).record(
            request.wire_type,
            who=who,
            **{**asked, **changed, "service": self.name, "request_id": job.request_id, "result": result},
        )

    def decision_log(self) -> DecisionLog:
        if self._log is None:
            from evolve.memory.database import Database
            from evolve.memory.decisions import DecisionLog

            self._log = DecisionLog(Database.open(self.settings))
        return self._log


def _changed(reply: Reply) -> dict[str, int]:
    """How many models a round replaced, where the reply says so."""
    replaced = getattr(getattr(reply, "result", None), "models_replaced", None)
    return {"models_replaced": replaced} if isinstance(replaced, int) else {}


def run_beside(cls: type[Service], settings: Settings, *, job_server: Path | None = None) -> int:
    """Run one replica in the foreground, with what the service keeps beside it. Returns the exit code."""
    from evolve.messaging.serving import run_service

    kept = cls.beside(settings) if issubclass(cls, BaseService) else nullcontext(settings)
    with kept as settings:
        return run_service(cls, settings, job_server=job_server)
