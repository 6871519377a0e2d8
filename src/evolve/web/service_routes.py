"""What runs, is it well, and what could not be answered? Health, figures, services and dead letters over HTTP."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from evolve.client.core import AsyncClient
from evolve.errors import Unavailable
from evolve.messaging.bus import DeadLetter
from evolve.messaging.control import service_status
from evolve.messaging.figures import Noted
from evolve.services import service_path
from evolve.version import VERSION
from evolve.web.access import check, principal_of, require
from evolve.web.exposition import OPEN_METRICS, TEXT, accepted, page
from evolve.web.feed import Feed
from evolve.web.home_care import ORDERS, Order, ordered
from evolve.web.jobs import Jobs
from evolve.web.message_routes import PREFIX, Endpoint, json_response, route
from evolve.web.metrics import BusLook, Metrics, ServiceLook
from evolve.web.paging import next_link, whole_number
from evolve.web.problems import NotFound
from evolve.web.record import put_on_trail

LOOK_S = 3.0  # a probe that waits longer is taken for a failed one
ENTRY = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


class ServiceRoutes:
    def __init__(self, client: AsyncClient, services: list[str], *, metrics: Metrics, jobs: Jobs, feed: Feed) -> None:
        self._client, self._services = client, services
        self._metrics, self._jobs, self._feed = metrics, jobs, feed

    def routes(self) -> list[Route]:
        base = f"{PREFIX}/services"
        letters = f"{base}/{{service}}/dead-letters"
        return [
            route("/health/live", self.live, "GET", name="get_liveness"),
            route("/health/ready", self.ready, "GET", name="get_readiness"),
            route("/metrics", self.metrics, "GET", name="get_metrics"),
            route(base, self.list, "GET", name="list_services"),
            route(f"{base}/{{service}}", self.get, "GET", name="get_service"),
            *(
                route(f"{base}/{{service}}/{order}", self._ordered(order), "POST", name=f"{order}_service")
                for order in ORDERS
            ),
            route(letters, self.dead_letters, "GET", name="list_dead_letters"),
            route(f"{letters}/{{entry}}", self.dead_letter, "GET", name="get_dead_letter"),
            route(f"{letters}/{{entry}}", self.drop, "DELETE", name="drop_dead_letter"),
            route(f"{letters}/{{entry}}/retry", self.retry, "POST", name="retry_dead_letter"),
        ]

    # --- health ---

    async def live(self, http: HttpRequest) -> Response:
        """This process answers."""
        return json_response({"status": "live"})

    async def ready(self, http: HttpRequest) -> Response:
        """200 when the server of the bus is reached, 503 when not; who may read is told which services answer."""
        found = await self._replicas()
        replicas = found or {}
        answers: dict[str, Any] = {"status": "ready" if found is not None and all(replicas.values()) else "degraded"}
        if found is None:
            answers["status"] = "unavailable"
        if "read" in principal_of(http).scopes:
            answers |= {
                "version": VERSION,
                "bus": found is not None,
                "feed": self._feed.connected,
                "services": replicas,
            }
        return json_response(answers, 503 if found is None else 200)

    async def metrics(self, http: HttpRequest) -> Response:
        check(principal_of(http), "read")
        shown = self._metrics.families(self._jobs.counts(), self._feed.counts, await self._bus())
        newer = accepted(http.headers.get("accept", ""))
        return Response(page(shown, open_metrics=newer), headers={"content-type": OPEN_METRICS if newer else TEXT})

    async def _bus(self) -> BusLook | None:
        """What the bus knows of all services, and how its server is; None when that does not answer in time."""
        bus = self._client.bus

        async def look(service: str) -> ServiceLook:
            queue, replicas, lanes, noted = await asyncio.gather(
                bus.queue(service), bus.replicas(service), bus.lanes(service), bus.figures(service)
            )
            return ServiceLook(queue, replicas, lanes, {name: Noted.read(raw) for name, raw in noted.items()})

        try:
            async with asyncio.timeout(LOOK_S):
                server, found = await asyncio.gather(
                    bus.server(), asyncio.gather(*(look(service) for service in self._services))
                )
        except (Unavailable, TimeoutError):
            return None
        return BusLook(dict(zip(self._services, found, strict=True)), server)

    async def _replicas(self) -> dict[str, int] | None:
        """How many replicas each service has; None when the server does not answer in time."""
        try:
            async with asyncio.timeout(LOOK_S):
                found = await asyncio.gather(*(self._client.bus.replicas(service) for service in self._services))
        except (Unavailable, TimeoutError):
            return None
        return {service: len(living) for service, living in zip(self._services, found, strict=True)}

    # --- services ---

    async def list(self, http: HttpRequest) -> Response:
        require(http, "read")
        states = await asyncio.gather(*(service_status(self._client.bus, name) for name in self._services))
        rows = [{"service": name, **state} for name, state in zip(self._services, states, strict=True)]
        return json_response({"services": rows, "count": len(rows)})

    async def get(self, http: HttpRequest) -> Response:
        require(http, "read")
        name = _service(http)
        return json_response({"service": name, **await service_status(self._client.bus, name)})

    def _ordered(self, order: Order) -> Endpoint:
        async def endpoint(http: HttpRequest) -> Response:
            require(http, "admin")
            name = _service(http)
            found = await ordered(http, self._client.settings, order, name)
            return json_response({"service": name, **found[name]})

        return endpoint

    # --- dead letters ---

    async def dead_letters(self, http: HttpRequest) -> Response:
        """Newest first; the cursor is the entry of the last one seen."""
        require(http, "read")
        name, query = _service(http), http.query_params
        limit = whole_number(query.get("limit"), "limit", 50, at_most=1_000)
        letters = await self._client.bus.dead_letters(name, 10_000 if "cursor" in query else limit + 1)
        if "cursor" in query:
            before = _entry(query["cursor"], name)
            letters = [letter for letter in letters if _order(letter.entry) < _order(before)]
        page = letters[:limit]
        headers = {}
        if len(letters) > limit:
            headers["link"] = next_link(http.url.path, {"limit": str(limit)}, page[-1].entry)
        return json_response({"dead_letters": [_shown(name, one) for one in page], "count": len(page)}, headers=headers)

    async def dead_letter(self, http: HttpRequest) -> Response:
        require(http, "read")
        name = _service(http)
        return json_response(_shown(name, await self._letter(name, http.path_params["entry"])))

    async def retry(self, http: HttpRequest) -> Response:
        """Put it back into its queue; a job follows what comes of it."""
        require(http, "admin")
        name = _service(http)
        letter = await self._letter(name, http.path_params["entry"])
        await put_on_trail(http, self._client.settings, "dead_letter_retried", service=name, entry=letter.entry)
        id = await self._client.bus.revive(name, letter.entry)
        return json_response({"request_id": id}, 202, headers={"location": f"{PREFIX}/jobs/{id}"})

    async def drop(self, http: HttpRequest) -> Response:
        require(http, "admin")
        name = _service(http)
        letter = await self._letter(name, http.path_params["entry"])
        await put_on_trail(http, self._client.settings, "dead_letter_dropped", service=name, entry=letter.entry)
        await self._client.bus.drop_dead(name, letter.entry)
        return Response(status_code=204)

    async def _letter(self, service: str, entry: str) -> DeadLetter:
        letter = await self._client.bus.dead_letter(service, _entry(entry, service))
        if letter is None:
            raise _no_letter(service, entry)
        return letter


def _service(http: HttpRequest) -> str:
    """The service of the path. Raises UnknownService."""
    name = str(http.path_params["service"])
    service_path(name)
    return name


def _entry(text: str, service: str) -> str:
    if not ENTRY.fullmatch(text) or max(_order(text)) >= 2**64:
        raise _no_letter(service, text)
    return text


def _order(entry: str) -> tuple[int, int]:
    first, _, second = entry.partition("-")
    return int(first), int(second)


def _no_letter(service: str, entry: str) -> NotFound:
    return NotFound(
        f"{service} has no dead letter {entry[:60]!r}; GET {PREFIX}/services/{service}/dead-letters lists them"
    )


def _shown(service: str, letter: DeadLetter) -> dict[str, Any]:
    """The bytes as text; what is no UTF-8 is escaped, and said to be."""
    text = letter.raw.decode(errors="backslashreplace")
    at = dt.datetime.fromtimestamp(letter.at, dt.UTC).isoformat()
    return {
        "service": service, "entry": letter.entry, "request_id": letter.request_id, "at": at,
        "attempts": letter.attempts, "reason": letter.reason, "raw": text, "is_text": text.encode() == letter.raw,
    }  # fmt: skip
