"""What do all pages have in common? One frame around them, errors as sentences with a way on, and files that browsers may keep."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from evolve.client.core import AsyncClient
from evolve.errors import EvolveError, InvalidRequest
from evolve.evidence import Evidence, render, render_interval
from evolve.messaging.messages import Reply
from evolve.messaging.messages import Request as Message
from evolve.settings import Settings
from evolve.web import bundle
from evolve.web.access import principal_of, require
from evolve.web.guard import put_on_record
from evolve.web.jobs import Jobs
from evolve.web.pages.words import label, verdict_words
from evolve.web.problems import problem_of, status_of

ReplyT = TypeVar("ReplyT", bound=Reply)
Value = TypeVar("Value")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
FOREVER = "public, max-age=31536000, immutable"
MAX_FORM = 2 << 20  # a program of the largest size that is run, percent-encoded

NAVIGATION = (
    ("Trade", (("/", "Ask"), ("/answers", "Answers"), ("/models", "Models"), ("/compare", "Compare"))),
    ("Research", (("/strategies", "Strategies"), ("/sandbox", "Sandbox"), ("/research", "Papers and code"), ("/pictures", "Pictures"), ("/data", "Data"), ("/studies", "Tuning"))),
    ("System", (("/services", "Services"), ("/messages", "Ask a service"), ("/jobs", "Jobs"), ("/feed", "Live messages"), ("/dead-letters", "Dead letters"), ("/alerts", "Alerts"), ("/doctor", "Doctor"))),
)  # fmt: skip


@cache
def _environment() -> Environment:
    # Everything is escaped: symbols, questions, titles of papers and what programs print are other people's words.
    made = Environment(
        loader=PackageLoader("evolve.web.pages"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    made.filters |= {
        "figure": render, "interval": render_interval, "label": label, "key": _key, "percent": _percent, "moment": _moment,
        "day": lambda text: str(text)[:10], "share": _share, "heat": _heat, "path": lambda text: quote(str(text), safe=""),
    }  # fmt: skip
    made.globals |= {"navigation": NAVIGATION, "verdict_words": verdict_words}
    return made


class PageRoute(APIRoute):
    """A route whose errors are pages too, in the same frame, with the sentence of the error and a way on."""

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()

        async def answering(request: Request) -> Response:
            try:
                return await handler(request)
            except EvolveError as error:
                put_on_record(request.scope, error)
                return problem_page(request, error)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                return problem_page(request, InvalidRequest(f"{where or 'what was sent'}: {first['msg']}"))

        return answering


def page(request: Request, template: str, /, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A whole page, or its piece where the page asks for one (`HX-Request`) and the template has one."""
    files = bundle.load()
    if files is None:
        return HTMLResponse(_environment().get_template("unbuilt.html").render(command=bundle.COMMAND), status_code=503)
    text = (
        _environment()
        .get_template(template)
        .render(bundle=files, path=request.url.path, query=dict(request.query_params), **values)
    )
    return HTMLResponse(text, status_code=status, headers={"cache-control": "no-store"})


def piece(template: str, /, **values: Any) -> HTMLResponse:
    """A part of a page, for a page that is open."""
    return HTMLResponse(_environment().get_template(template).render(**values), headers={"cache-control": "no-store"})


def is_for_a_page(request: Request) -> bool:
    """Does a page that is open ask for a piece of itself?"""
    return request.headers.get("hx-request") == "true"


def problem_page(request: Request, error: EvolveError) -> Response:
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(problem_of(error, ""), status_of(error.code))
    if is_for_a_page(request):
        return piece("problem_piece.html", error=error)
    return page(request, "problem.html", status=status_of(error.code), error=error)


def see(address: str) -> RedirectResponse:
    """After a form: look there, so that reloading sends nothing twice."""
    return RedirectResponse(address, status_code=303)


# --- what handlers need ---


def client_of(request: Request) -> AsyncClient:
    found: AsyncClient = request.app.state.client
    return found


def settings_of(request: Request) -> Settings:
    found: Settings = request.app.state.settings
    return found


def jobs_of(request: Request) -> Jobs:
    found: Jobs = request.app.state.jobs
    return found


async def told(request: Request, message: Message[ReplyT]) -> ReplyT:
    """The reply to a message. Raises its typed error, and Forbidden for who may not send it."""
    require(request, type(message).effect)
    return await client_of(request).ask(message, asked_by=principal_of(request).on_record)


async def looked_up(work: Callable[[], Value]) -> Value:
    """What a library finds, off the event loop. Libraries are imported in `work`, so that a server that shows none loads none."""
    return await run_in_threadpool(work)


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form as a browser sends it; of a name given twice the last one. Raises InvalidRequest."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidRequest("a form is sent as application/x-www-form-urlencoded")
    raw = await request.body()
    if len(raw) > MAX_FORM:
        raise InvalidRequest(f"a form has at most {MAX_FORM:,} bytes, not {len(raw):,}")
    try:
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=bool(raw), max_num_fields=50))
    except ValueError as error:
        raise InvalidRequest(f"this form cannot be read: {error}") from None


# --- files ---


class _Kept(StaticFiles):
    """Files under names that hold their hash: a browser need never ask again."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["cache-control"] = FOREVER
        return response

    async def check_config(self) -> None:
        """The directory may come later, with `make web`."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path.endswith((".js", ".css", ".woff2")):
            return await super().get_response(path, scope)
        return Response("not found", 404, media_type="text/plain")


def mount_assets(app: FastAPI) -> None:
    app.mount("/assets", _Kept(directory=bundle.BUILT, check_dir=False), name="assets")


# --- values as people read them ---


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:z.{digits}f} %"


def _key(name: str) -> str:
    """A name of the wire in words; any other key, such as a symbol, as it is."""
    return label(name) if name.islower() else name


def _share(values: Mapping[str, Evidence], name: str) -> Evidence | None:
    return values.get(name)


def _moment(value: float | str) -> str:
    """`2026-11-22 23:16:03` UTC, of Unix seconds or ISO text."""
    if isinstance(value, str):
        return value.replace("T", " ").removesuffix("Z")
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _heat(value: float, limit: float) -> str:
    """The class of a heat map's cell: h0 (loss beyond the limit) … h4 (nothing) … h8."""
    step = round(4 * max(-1.0, min(1.0, value / limit))) if limit > 0 else 0
    return f"h{4 + step}"
