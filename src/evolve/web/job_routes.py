"""How is long work followed over HTTP? As a resource: listed, read, streamed, cancelled."""

from __future__ import annotations

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from evolve.errors import InvalidRequest
from evolve.services import service_path
from evolve.web.access import require
from evolve.web.feed import Feed
from evolve.web.jobs import OPEN, Job, Jobs
from evolve.web.message_routes import PREFIX, json_response, route
from evolve.web.paging import HOW, Cursor, next_link, whole_number
from evolve.web.streams import Streams, last_seen

STATES = (*OPEN, "succeeded", "failed", "cancelled")
DEFAULT_LIMIT, MAX_LIMIT = 50, 500


class JobRoutes:
    def __init__(self, jobs: Jobs, feed: Feed, streams: Streams) -> None:
        self._jobs, self._feed, self._streams = jobs, feed, streams

    def routes(self) -> list[Route]:
        return [
            route(f"{PREFIX}/jobs", self.list, "GET", name="list_jobs"),
            route(f"{PREFIX}/jobs/{{id}}", self.get, "GET", name="get_job"),
            route(f"{PREFIX}/jobs/{{id}}", self.cancel, "DELETE", name="cancel_job"),
            route(f"{PREFIX}/jobs/{{id}}/events", self.events, "GET", name="stream_job"),
            route(f"{PREFIX}/events", self.feed, "GET", name="stream_feed"),
        ]

    async def list(self, http: HttpRequest) -> Response:
        """Newest first; `origin=all` with those that others asked for over the bus."""
        require(http, "read")
        query = http.query_params
        limit = whole_number(query.get("limit"), "limit", DEFAULT_LIMIT, at_most=MAX_LIMIT)
        found = [job for job in self._jobs.list() if _wanted(job, http)]
        if "cursor" in query:
            last = Cursor.parse(query["cursor"]).last
            places = [place for place, job in enumerate(found) if job.id == last]
            if not places:
                raise InvalidRequest(f"the job that the cursor points to is not listed any more; {HOW}")
            found = found[places[0] + 1 :]
        page = found[:limit]
        headers = {}
        if len(found) > limit:
            rest = {name: value for name, value in query.items() if name != "cursor"}
            headers["link"] = next_link(http.url.path, rest, Cursor(0, page[-1].id).text())
        return json_response({"jobs": [job.document() for job in page], "count": len(page)}, headers=headers)

    async def get(self, http: HttpRequest) -> Response:
        require(http, "read")
        job = await self._jobs.get(http.path_params["id"])
        return json_response({**job.document(), "result": await self._jobs.result(job)})

    async def cancel(self, http: HttpRequest) -> Response:
        """Withdraw it. 202: its end is on the way; 200: it was done already."""
        require(http, "run")
        job = await self._jobs.get(http.path_params["id"])
        withdrawn = await self._jobs.cancel(job)
        return json_response(job.document(), 202 if withdrawn else 200)

    async def events(self, http: HttpRequest) -> Response:
        principal = require(http, "read")
        job = await self._jobs.get(http.path_params["id"])
        after = last_seen(http, self._jobs.epoch)
        if after is not None and not job.is_open and after >= job.next_step - 1:
            return Response(status_code=204)  # who comes back for more is told that there is none, and stops asking
        return self._streams.response(self._jobs.read(job, self._streams.ending, after=after), principal.name)

    async def feed(self, http: HttpRequest) -> Response:
        principal = require(http, "read")
        services = frozenset(http.query_params.getlist("service"))
        for service in services:
            service_path(service)
        after = last_seen(http, self._feed.epoch)
        return self._streams.response(
            self._feed.read(self._streams.ending, after=after, services=services), principal.name
        )


def _wanted(job: Job, http: HttpRequest) -> bool:
    """Whether the query asks for this job. Raises InvalidRequest for a value that no job has."""
    query = http.query_params
    state, service, origin = query.get("state"), query.get("service"), query.get("origin", "http")
    if state is not None and state not in STATES:
        raise InvalidRequest(f"state is one of {', '.join(STATES)}, not {state[:40]!r}")
    if origin not in ("http", "all"):
        raise InvalidRequest(f"origin is http or all, not {origin[:40]!r}")
    return (
        (state is None or job.state == state)
        and (service is None or job.service == service)
        and (origin == "all" or job.origin == "http")
    )
