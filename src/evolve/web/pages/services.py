"""Is everything running, what do the services say to each other, and what could not be answered?"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.clock import SYSTEM_CLOCK
from evolve.errors import InvalidRequest
from evolve.messaging.bus import DeadLetter
from evolve.messaging.control import service_status
from evolve.services import SERVICES
from evolve.web import home_care
from evolve.web.access import principal_of, require
from evolve.web.pages import frame
from evolve.web.problems import NotFound
from evolve.web.record import put_on_trail

router = APIRouter(route_class=frame.PageRoute)
KEPT_S: Final = 1.0  # fifty pages that look at once are one look
LETTERS: Final = 50
ALL: Final = "all"
_looked: dict[int, tuple[float, asyncio.Task[list[tuple[str, dict[str, Any]]]]]] = {}


async def _look(request: Request) -> list[tuple[str, dict[str, Any]]]:
    bus = frame.client_of(request).bus
    found = await asyncio.gather(*(service_status(bus, name) for name in SERVICES))
    return list(zip(SERVICES, found, strict=True))


async def states(request: Request) -> list[tuple[str, dict[str, Any]]]:
    """Each service's state, from what the server knows; of the last second where somebody just looked."""
    key = id(request.app)
    at, task = _looked.get(key, (-KEPT_S, None))
    if task is None or SYSTEM_CLOCK.monotonic() - at > KEPT_S or (task.done() and task.exception() is not None):
        task = asyncio.ensure_future(_look(request))
        _looked[key] = (SYSTEM_CLOCK.monotonic(), task)
    return await asyncio.shield(task)


@router.get("/services")
async def services_page(request: Request) -> Response:
    rows, may = await states(request), "admin" in principal_of(request).scopes
    if frame.is_for_a_page(request):
        return frame.piece("services_piece.html", rows=rows, may=may)
    return frame.page(request, "services.html", rows=rows, may=may)


@router.get("/services/{service}/{order}")
async def confirm(request: Request, service: str, order: str) -> Response:
    """What stopping means, before it is done."""
    require(request, "admin")
    wanted, name = _order(order), _service(service)
    rows = [(each, state) for each, state in await states(request) if name in (None, each)]
    return frame.page(request, "service_confirm.html", service=service, name=name, order=wanted, rows=rows)


@router.post("/services/{service}/{order}")
async def obey(request: Request, service: str, order: str) -> Response:
    """Start, stop or restart one service, or all of them; returns once it is done."""
    require(request, "admin")
    await home_care.ordered(request, frame.settings_of(request), _order(order), _service(service))
    _looked.pop(id(request.app), None)
    return frame.see("/services")


def _order(text: str) -> home_care.Order:
    found = next((each for each in home_care.ORDERS if each == text), None)
    if found is None:
        raise NotFound(f"a service can be started, stopped and restarted; there is no {text[:40]!r}")
    return found


def _service(text: str) -> str | None:
    """The service meant; None for all of them."""
    if text == ALL:
        return None
    if text not in SERVICES:
        raise NotFound(f"there is no service {text[:40]!r}; there are {', '.join(SERVICES)}")
    return text


@router.get("/feed")
async def feed_page(request: Request) -> Response:
    service = request.query_params.get("service", "")
    if service and service not in SERVICES:
        raise InvalidRequest(f"there is no service {service[:40]!r}; there are {', '.join(SERVICES)}")
    return frame.page(request, "feed.html", services=SERVICES, service=service)


@router.get("/dead-letters")
async def dead_letters(request: Request) -> Response:
    bus = frame.client_of(request).bus
    found = await asyncio.gather(*(bus.dead_letters(name, LETTERS) for name in SERVICES))
    rows = [(name, letter, _text(letter)) for name, letters in zip(SERVICES, found, strict=True) for letter in letters]
    rows.sort(key=lambda row: row[1].at, reverse=True)
    return frame.page(request, "dead_letters.html", rows=rows)


def _text(letter: DeadLetter) -> str:
    return letter.raw[:4_000].decode(errors="backslashreplace")


@router.post("/dead-letters/{service}/{entry}/{work}")
async def settle(request: Request, service: str, entry: str, work: str) -> Response:
    require(request, "admin")
    if service not in SERVICES:
        raise NotFound(f"there is no service {service[:40]!r}")
    bus = frame.client_of(request).bus
    if await bus.dead_letter(service, entry) is None:
        raise NotFound(f"{service} has no dead letter {entry[:40]!r} (any more)")
    settings = frame.settings_of(request)
    if work == "retry":
        await put_on_trail(request, settings, "dead_letter_retried", service=service, entry=entry)
        request_id = await bus.revive(service, entry)
        return frame.see(f"/jobs/{request_id}" if request_id else "/dead-letters")
    if work == "drop":
        await put_on_trail(request, settings, "dead_letter_dropped", service=service, entry=entry)
        await bus.drop_dead(service, entry)
        return frame.see("/dead-letters")
    raise InvalidRequest(f"a dead letter is retried or dropped, not {work[:40]!r}")
