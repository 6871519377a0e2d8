"""What does the web server answer? The FastAPI application: the API, and the pages where they are installed."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Scope

from evolve.client.core import AsyncClient, all_requests
from evolve.errors import EvolveError, InvalidRequest, Malformed
from evolve.messaging.tasks import end_tasks
from evolve.messaging.tracing import tracer_for
from evolve.settings import Settings
from evolve.version import VERSION
from evolve.web.access import Access, Reach, require
from evolve.web.documents import document as documentation
from evolve.web.feed import Feed
from evolve.web.guard import Guard, put_on_record
from evolve.web.home_routes import HomeRoutes
from evolve.web.job_routes import JobRoutes
from evolve.web.jobs import Jobs
from evolve.web.message_routes import MessageRoutes, json_response, route
from evolve.web.metrics import Metrics
from evolve.web.openapi import document
from evolve.web.problems import MethodNotAllowed, NotFound
from evolve.web.service_routes import ServiceRoutes
from evolve.web.streams import Streams

PAGES = "evolve.web.pages"
PREFLIGHT_S = 600


class Application(FastAPI):
    """FastAPI's application, with the guard around all of it: around what answers for our own bugs too."""

    guarded: Callable[[ASGIApp], ASGIApp]

    def build_middleware_stack(self) -> ASGIApp:
        return self.guarded(super().build_middleware_stack())


def create_app(settings: Settings, *, host: str = "127.0.0.1") -> FastAPI:
    """The application for a server that listens on `host`. Raises InvalidRequest for settings that cannot be meant.

    `app.state` has what pages need: `client` (AsyncClient), `jobs` (Jobs), `feed` (Feed), `streams` (Streams), `access` (Access),
    `settings`, `registry` (service → type → request). What they do with it works from the application's start, by its lifespan.
    """
    registry = all_requests()
    client = AsyncClient(settings=settings, traced_as="web")
    metrics = Metrics(settings.home)
    streams = Streams(metrics)
    jobs, feed = Jobs(client, registry), Feed(client, list(registry))
    feed.tell(jobs.hear)
    streams.wakers += [feed.wake, jobs.wake]
    access = Access(settings, Reach.of(settings, host))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(feed.listen(), name="feed"), asyncio.create_task(jobs.watch(), name="jobs")]
        try:
            yield
        finally:
            streams.end()
            await end_tasks(tasks)
            await jobs.close()
            await client.close()

    # FastAPI's own pages for the documentation load scripts from elsewhere; ours are docs/http-api.md and /openapi.json.
    app = Application(
        title="Evolve", version=VERSION, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    app.openapi = cache(lambda: document(registry))  # type: ignore[method-assign]
    for name, value in (
        ("client", client), ("jobs", jobs), ("feed", feed), ("streams", streams), ("access", access), ("settings", settings),
        ("registry", registry),
    ):  # fmt: skip
        setattr(app.state, name, value)

    async def openapi(http: HttpRequest) -> Response:
        require(http, "read")
        # Half a second of work, once: not in the loop that answers everybody.
        return json_response(await asyncio.to_thread(app.openapi))

    app.router.routes += [
        route("/openapi.json", openapi, "GET", name="openapi"),
        route("/docs/{name}", documentation, "GET", name="documentation"),
        *ServiceRoutes(client, list(registry), metrics=metrics, jobs=jobs, feed=feed).routes(),
        *HomeRoutes(settings).routes(),
        *JobRoutes(jobs, feed, streams).routes(),
        *MessageRoutes(client, jobs, streams).routes(registry),
    ]
    _add_pages(app)
    app.guarded = lambda inner: _cross_origin(
        Guard(
            inner, settings=settings, tracer=tracer_for(settings, "web"), access=access, metrics=metrics, error_page=_error_page,
            takes=lambda scope: any(found.matches(scope)[0] is Match.FULL for found in app.router.routes),
        ),
        access.reach,
    )  # fmt: skip
    _answer_errors(app)
    return app


def _cross_origin(app: ASGIApp, reach: Reach) -> ASGIApp:
    """Closed, unless origins are named. Credentials of a browser never count across origins: a page there sends a token."""
    if not reach.origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=sorted(reach.origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=[
            "authorization",
            "content-type",
            "idempotency-key",
            "prefer",
            "last-event-id",
            "x-request-id",
            "traceparent",
        ],
        expose_headers=["location", "link", "retry-after", "x-request-id", "preference-applied"],
        max_age=PREFLIGHT_S,
    )


# --- errors ---


def _answer_errors(app: Application) -> None:
    """Whatever a route raises becomes a problem, or a page of pages: the guard does that, for what it says itself too."""

    async def raised(http: HttpRequest, error: Exception) -> Response:
        headers, typed = dict(http.scope["headers"]), _typed(http, error)
        put_on_record(http.scope, typed)
        return Guard.refusal_of(http.scope, headers, typed, http.state.request_id, _error_page)

    handler: Callable[[HttpRequest, Exception], Awaitable[Response]] = raised
    for kind in (EvolveError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, handler)


def _typed(http: HttpRequest, error: Exception) -> EvolveError:
    if isinstance(error, EvolveError):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return InvalidRequest(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    status = error.status_code if isinstance(error, HTTPException) else 400
    if status == 404:
        return NotFound(f"there is nothing at {http.url.path[:200]!r}; /openapi.json lists what there is")
    if status == 405:
        # The framework names the methods of the first route there only.
        here = [found for found in http.app.router.routes if found.matches(http.scope)[0] is not Match.NONE]
        allowed = sorted({method for found in here for method in getattr(found, "methods", None) or ()})
        return MethodNotAllowed(
            f"{http.url.path[:200]} takes {' or '.join(allowed)}, not {http.method[:20]}", allow=allowed
        )
    return Malformed(str(getattr(error, "detail", error)))


def _error_page(scope: Scope, error: EvolveError) -> Response | None:
    """The pages' own, where they are there."""
    if importlib.util.find_spec(PAGES) is None or importlib.util.find_spec(f"{PAGES}.problems") is None:
        return None
    page: Any = importlib.import_module(f"{PAGES}.problems").page
    shown: Response = page(HttpRequest(scope), error)
    return shown


def _add_pages(app: FastAPI) -> None:
    """The routes of `evolve.web.pages` where that package is there: the API serves without it."""
    if importlib.util.find_spec(PAGES) is not None:
        app.include_router(importlib.import_module(PAGES).router(app))
