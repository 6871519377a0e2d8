"""What is on record about a request? The decision log, read where no message asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request

from evolve.errors import InvalidRequest
from evolve.web.pages.frame import looked_up, settings_of

if TYPE_CHECKING:
    from evolve.memory.decisions import Decision


async def decision_of(request: Request, request_id: str, service: str | None) -> Decision | None:
    """The decision on a request, of any service where none is named; None where it is of a kind that is not recorded, or of another home."""
    settings = settings_of(request)

    def read() -> Decision | None:
        from evolve.memory.database import Database
        from evolve.memory.decisions import DecisionLog

        with Database.open(settings) as database:
            try:
                return DecisionLog(database).get(request_id, service=service)
            except InvalidRequest:
                return None

    return await looked_up(read)


async def decisions_before(request: Request, limit: int) -> tuple[Decision, ...]:
    """What people and programs asked for, newest first, whichever server they asked; not what services asked of each other."""
    settings = settings_of(request)

    def read() -> tuple[Decision, ...]:
        from evolve.memory.database import Database
        from evolve.memory.decisions import DecisionLog

        with Database.open(settings) as database:
            return DecisionLog(database).history(limit=limit, asked_by_users=True)

    return await looked_up(read)


async def thread_after(request: Request, answer_id: str) -> str:
    """The conversation in which an answer was given, so that a question after it can be short; "" where that is not on record."""
    if not answer_id:
        return ""
    settings = settings_of(request)

    def read() -> str:
        from evolve.memory.database import Database
        from evolve.memory.decisions import DecisionLog

        with Database.open(settings) as database:
            past = DecisionLog(database).history(
                limit=1, service="quant_gpt", request_type="process_query", finding={"answer_id": answer_id}
            )
        return next((str(each.inputs.get("session") or "") for each in past), "")

    return await looked_up(read)
