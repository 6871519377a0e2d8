"""How is a service asked over HTTP? One route per message of the registry: `POST /api/v1/<service>/<type>`, its fields as body.

What is quick is answered at once; what takes long, or is wanted so (`Prefer: respond-async`), becomes a job.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from evolve.client.core import AsyncClient
from evolve.errors import InvalidRequest, RequestIdReused, TimedOut, Unavailable
from evolve.messaging.envelope import error_in, load, new_request_id
from evolve.messaging.messages import Request, validated
from evolve.web.access import principal_of, require
from evolve.web.jobs import Job, Jobs, checked_key
from evolve.web.paging import HOW, Cursor, Paged, next_link, paged
from evolve.web.streams import Streams, encoded

PREFIX = "/api/v1"
MAX_WAIT_S = 60  # for which `Prefer: wait=N` may hold a connection
KEY_LOOK_S = 2.0  # in which the service says whether a key that is known on the bus belongs to this very request
PREFERENCE = re.compile(r"\s*(respond-async|wait)\s*(?:=\s*\"?([0-9]{1,5})\"?\s*)?(?:;.*)?", re.IGNORECASE)

Registry = Mapping[str, Mapping[str, type[Request[Any]]]]
Endpoint = Callable[[HttpRequest], Awaitable[Response]]


def path_of(request: type[Request[Any]]) -> str:
    return f"{PREFIX}/{request.service}/{request.wire_type}"


def is_long(request: type[Request[Any]]) -> bool:
    """Whether it is answered with a job unless somebody wants to wait."""
    return request.slot == "heavy" or request.waits is not None or hasattr(request, "usual_wait_s")


class MessageRoutes:
    def __init__(self, client: AsyncClient, jobs: Jobs, streams: Streams) -> None:
        self._client, self._jobs, self._streams = client, jobs, streams

    def routes(self, registry: Registry) -> list[Route]:
        return [
            route(path_of(cls), self._endpoint(cls), "POST", name=f"{service}_{wire}")
            for service, known in registry.items()
            for wire, cls in known.items()
        ]

    def _endpoint(self, cls: type[Request[Any]]) -> Endpoint:
        pages = paged(cls)

        async def answer(http: HttpRequest) -> Response:
            require(http, cls.effect)
            request = validated(cls, await body_of(http, self._client.settings.max_message_bytes))
            asynchronous, wait_s = preferences(http)
            key = http.headers.get("idempotency-key")
            text = http.query_params.get("cursor") if pages is not None else None
            cursor = None if text is None else Cursor.parse(text)
            as_job = asynchronous or wait_s is not None or is_long(cls)
            if cursor is not None and (as_job or key is not None):
                raise InvalidRequest(
                    "a page is read at once: leave Idempotency-Key and Prefer away where a cursor is given"
                )
            if as_job:
                return await self._as_job(http, request, key, 0 if asynchronous or wait_s is None else wait_s)
            if pages is not None and key is None:
                return await self._page(http, request, pages, cursor)
            return json_response(await self._ask(http, request, key))

        return answer

    async def _ask(self, http: HttpRequest, request: Request[Any], key: str | None) -> dict[str, Any]:
        """The reply's data. Raises the typed error, TimedOut or Unavailable."""
        limit_s = self._client.timeout_for(type(request))
        if key is None:
            envelope = await self._client.request(
                request.service,
                request.wire_type,
                request.model_dump(mode="json"),
                timeout=limit_s,
                request_id=bus_id(http),
                asked_by=principal_of(http).on_record,
            )
            if envelope["status"] == "error":
                raise error_in(envelope)
            return dict(envelope["data"])
        job = await self._keyed(http, request, key)
        if not await self._jobs.done(job, self._streams.ending, limit_s, patient=False):
            goes_on = f"the request goes on: GET {PREFIX}/jobs/{job.id}"
            if job.waiting:
                raise Unavailable(f"{job.waiting}; {goes_on}", asked_id=job.id)
            raise TimedOut(f"{request.service} did not answer within {limit_s:g} s; {goes_on}", asked_id=job.id)
        return await self._result(job)

    async def _result(self, job: Job) -> dict[str, Any]:
        if job.error is not None:
            raise job.error
        found = await self._jobs.result(job)
        if found is None:
            raise TimedOut("the reply was made and is not kept any more; ask again with another key", asked_id=job.id)
        return found

    async def _as_job(self, http: HttpRequest, request: Request[Any], key: str | None, wait_s: int) -> Response:
        job = (
            await self._keyed(http, request, key)
            if key is not None
            else self._jobs.submit(request, request_id=bus_id(http), asked_by=principal_of(http).on_record)
        )
        # Nobody waits for a service that is away: the job says that it is.
        if wait_s and await self._jobs.done(job, self._streams.ending, wait_s, patient=False):
            return json_response(await self._result(job), headers={"preference-applied": f"wait={wait_s}"})
        return json_response(job.document(), 202, headers={"location": f"{PREFIX}/jobs/{job.id}", "retry-after": "1"})

    async def _keyed(self, http: HttpRequest, request: Request[Any], key: str) -> Job:
        """The job of an idempotency key, new or known. Raises RequestIdReused for the key of other content."""
        id = checked_key(key)
        known = self._jobs.knows(id) or await self._client.bus.is_known(request.service, id)
        job = self._jobs.submit(request, request_id=id, asked_by=principal_of(http).on_record)
        if (
            known
            and await self._jobs.done(job, self._streams.ending, KEY_LOOK_S)
            and isinstance(job.error, RequestIdReused)
        ):
            self._jobs.forget(job)
            raise job.error
        return job

    async def _page(self, http: HttpRequest, request: Request[Any], pages: Paged, cursor: Cursor | None) -> Response:
        limit = min(int(request.model_dump(include={"limit"})["limit"]), pages.most)
        cut = None
        for wanted in dict.fromkeys((pages.ask_for(limit, cursor), pages.most)):
            cut = pages.cut(await self._ask(http, request.model_copy(update={"limit": wanted}), None), limit, cursor)
            if cut is not None:
                break
        if cut is None:
            raise InvalidRequest(
                f"what the cursor points to is not among the last {pages.most:,} entries any more; {HOW}"
            )
        data, following = cut
        headers = {"link": next_link(http.url.path, {}, following.text())} if following else {}
        return json_response(data, headers=headers)


def bus_id(http: HttpRequest) -> str:
    """The request's id on the bus: the one its log lines have, unless somebody else chose that."""
    return new_request_id() if "x-request-id" in http.headers else str(http.state.request_id)


async def body_of(http: HttpRequest, max_bytes: int) -> object:
    """The parsed JSON; nothing at all is `{}`. Raises Malformed or TooLarge."""
    raw = await http.body()
    return load(raw, max_bytes=max_bytes) if raw.strip() else {}


def preferences(http: HttpRequest) -> tuple[bool, int | None]:
    """What `Prefer` (RFC 7240) wants: a job at once, or to wait so many seconds. What is not understood is ignored, as it says."""
    asynchronous, wait_s = False, None
    for part in ",".join(http.headers.getlist("prefer")).split(","):
        found = PREFERENCE.fullmatch(part)
        if found is None:
            continue
        if found[1].lower() == "respond-async":
            asynchronous = True
        elif found[2]:
            wait_s = min(int(found[2]), MAX_WAIT_S)
    return asynchronous, wait_s


def json_response(data: object, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encoded(data), status, headers=dict(headers or {}), media_type="application/json")


class PatternRoute(Route):
    """A route that leaves itself in the scope, as FastAPI's own do: figures are kept by pattern, not by path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return match, {**child, "route": self}


def route(path: str, endpoint: Endpoint, method: str, *, name: str) -> Route:
    return PatternRoute(path, endpoint, methods=[method], name=name, include_in_schema=False)
