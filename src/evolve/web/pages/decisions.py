"""What is on record about a request? The decision log, read where no message asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import Request

from evolve.errors import InvalidRequest
from evolve.web.pages.frame import looked_up, settings_of

REACH: Final = 500  # questions back

if TYPE_CHECKING:
    from evolve.memory.decisions import Decision


async def decision_of(request: Request, request_id: str, service: str) -> Decision | None:
    """The decision on a request; None where it is of a kind that is not recorded, or of another home."""
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


async def thread_after(request: Request, answer_id: str) -> str:
    """The conversation in which an answer was given, so that a question after it can be short; "" where that is not on record."""
    if not answer_id:
        return ""
    settings = settings_of(request)

    def read() -> str:
        from evolve.memory.database import Database
        from evolve.memory.decisions import DecisionLog

        with Database.open(settings) as database:
            past = DecisionLog(database).history(limit=REACH, service="quant_gpt", request_type="process_query")
        found = (each.inputs.get("session") for each in past if each.outcome.get("answer_id") == answer_id)
        return str(next(found, None) or "")

    return await looked_up(read)
