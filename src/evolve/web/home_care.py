"""Is this home well, and what did a service write down? The doctor's findings, the end of a log, and services started and stopped."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from evolve.errors import InvalidRequest, Unavailable
from evolve.manager.doctor.examination import examine, worst
from evolve.manager.doctor.finding import Finding
from evolve.manager.manager import ServiceManager
from evolve.services import service_path
from evolve.settings import Settings
from evolve.web.record import put_on_trail

TAIL_BYTES = 256 << 10  # of a log: some thousand lines
LINES = 200
OTHERS = ("supervisor", "web")  # what writes a log beside the services
Order = Literal["start", "stop", "restart"]
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log, oldest line first, with what looks like a secret taken out. more: lines before these were left out."""

    log: str
    lines: tuple[str, ...]
    more: bool


async def findings(settings: Settings) -> tuple[str, list[Finding]]:
    """(the worst state, everything that was found); takes twenty seconds at most."""
    found = await run_in_threadpool(lambda: examine(settings))
    return worst(found), found


async def tail(settings: Settings, service: str, lines: int) -> Tail:
    """Raises UnknownService, and Unavailable where the log cannot be read."""
    if service not in OTHERS:
        service_path(service)
    return await run_in_threadpool(lambda: _tail(settings.logs / f"{service}_service.log", lines))


def _tail(path: Path, lines: int) -> Tail:
    from evolve.memory.redaction import redact

    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read(TAIL_BYTES).decode(errors="backslashreplace")
    except FileNotFoundError:
        return Tail(path.name, (), False)
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from None
    found = text.splitlines()
    if size > TAIL_BYTES:
        found = found[1:]  # the first one is cut off
    kept = found[-lines:]
    return Tail(path.name, tuple(str(redact(line)) for line in kept), size > TAIL_BYTES or len(kept) < len(found))


async def ordered(request: Request, settings: Settings, order: Order, service: str | None) -> dict[str, Any]:
    """Start, stop or restart a service, or all of them (None); how each is then. The pages and the server of the bus go on.

    Raises UnknownService, Unavailable, TimedOut.
    """
    if service is not None:
        service_path(service)
    elif order == "restart":
        raise InvalidRequest("services are restarted one by one, so that what waits is answered meanwhile")
    await put_on_trail(request, settings, f"{order}_service", service=service or "all")

    def obey() -> dict[str, Any]:
        # The manager waits with blocking sockets, for up to a minute.
        with ServiceManager(settings=settings) as manager:
            if service is None:
                return manager.start_all_services() if order == "start" else manager.stop_all_services()
            return {
                "start": manager.start_service, "stop": manager.stop_service, "restart": manager.restart_service
            }[order](service)  # fmt: skip

    return await run_in_threadpool(obey)
