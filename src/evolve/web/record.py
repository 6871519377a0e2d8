"""What did somebody do here that others rely on, and who? One line in the audit trail, before it is done."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from evolve.audit_trail import AuditTrail
from evolve.errors import InvalidRequest, violation
from evolve.security_events import Detail
from evolve.settings import Settings
from evolve.web.access import principal_of

Order = TypeVar("Order", bound=BaseModel)


async def put_on_trail(request: Request, settings: Settings, what: str, **details: Detail) -> None:
    """Raises Unavailable where it cannot be written: what nobody can see having been done is not done."""
    trail, who = AuditTrail(settings.home), principal_of(request).on_record
    await run_in_threadpool(lambda: trail.record(what, who=who, **details))


def order_of(kind: type[Order], data: object) -> Order:
    """What was ordered, from plain data. Raises InvalidRequest naming the first wrong field."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))[:80] or "what was sent"
        said = violation(first["type"], first.get("ctx", {}), first["msg"], repr(first["input"])[:80])
        raise InvalidRequest(f"{where} {said}") from None
