"""What must hold before a request is heard, and what does every response carry? One layer around the whole application.

A browser runs pages of every site on the user's own machine, with the user's own address: so the name that was asked for,
the page that asks and the type of what it sends are checked, and not only who asks (docs/http-api.md says what against).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evolve import logs
from evolve.errors import EvolveError, Forbidden, Internal, Malformed, RateLimited, TooLarge
from evolve.messaging.envelope import RequestEnvelope, exemplar_labels, new_request_id, read_traceparent
from evolve.messaging.tracing import Tracer, within
from evolve.security_events import SecurityEvent, report
from evolve.settings import Settings
from evolve.web.access import SESSION_S, Access, Headers, Principal, check, cookie_name
from evolve.web.metrics import Metrics
from evolve.web.pace import Pace
from evolve.web.problems import Unauthorized, UnsupportedMediaType, problem

REQUEST_ID = re.compile(rb"[A-Za-z0-9._~:-]{1,128}")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
BODY_S = 30.0  # for a whole body to arrive
FILE_S = 600.0  # for a file: 64 MiB over a line of 1 Mbit/s
BURST_S = 4.0  # somebody may ask so many seconds' worth at once: a page loads a dozen files
# For probes and for who has not signed in yet: they tell nothing that is the user's.
OPEN = ("/health/", "/assets/", "/docs/", "/favicon")
UNPACED = ("/assets/", "/health/")
# Where files are sent, which may be larger than messages, and are written to disk as they come.
FILES_TO = ("/data/import", "/pictures/read", "/api/v1/data/")
# Neither is among those that a form can send, so that they protect as JSON does.
FILE_TYPES = ("text/csv", "application/vnd.apache.parquet", "application/octet-stream")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    # Nothing for other sites. Not `no-referrer`: with it a browser sends a form of our own pages with the origin "null".
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"x-frame-options", b"DENY"),
)


ErrorPage = Callable[[Scope, EvolveError], Response | None]


class Guard:
    """Wraps the application. Pages' own error page, if there is one, shows what went wrong to a browser."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        access: Access,
        metrics: Metrics,
        tracer: Tracer,
        error_page: ErrorPage,
        takes: Callable[[Scope], bool],
    ) -> None:
        """takes: does a route answer this method at this path?"""
        self._app, self._access, self._metrics, self._error_page, self._takes = app, access, metrics, error_page, takes
        self._max_bytes, self._max_file = settings.max_message_bytes, settings.max_upload_bytes
        per_s = settings.web_rate / 60
        self._pace = Pace(per_s=per_s, burst=max(10.0, per_s * BURST_S)) if per_s else None
        self.tracer = tracer
        self._log = logs.logger(service="web")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Exchange(self, scope, receive, send).run()

    def check(self, scope: Scope, headers: Headers) -> Principal:
        """Who asks, if the request may be heard. Raises Forbidden, Unauthorized, RateLimited, TooLarge or UnsupportedMediaType."""
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._access.reach.admits(host):
            raise Forbidden(
                f"this server is not called {host[:100]!r}; if it should be, name it in EVOLVE_WEB_HOSTS and start it again"
            )
        principal = self._access.who(scope, headers)
        self._check_pace(principal, scope["path"])
        self._check_origin(scope, headers, principal, host)
        if scope["method"] in ("POST", "DELETE"):  # no route takes another; those are told so
            try:
                _check_type(scope["method"], scope["path"], headers)
            except UnsupportedMediaType:
                if self._takes(scope):  # else the routes say that nothing takes this here, which is what is wrong
                    raise
        size = headers.get(b"content-length", b"0")
        if not size.isdigit():
            raise Malformed("the content-length is no number")
        if int(size) > self.limit_of(scope["path"]):
            raise self.too_large(scope["path"])
        return principal

    def check_scope(self, scope: Scope, principal: Principal) -> None:
        """The least that any route asks for, so that one that forgets to ask is no hole. Raises Unauthorized or Forbidden."""
        if not scope["path"].startswith(OPEN) and scope["method"] != "OPTIONS":
            # An API route that changes something says so itself; messages that only ask are POSTs too.
            check(principal, "read" if scope["method"] in SAFE_METHODS or is_api(scope["path"]) else "run")

    def limit_of(self, path: str) -> int:
        """How many bytes a body sent there may have."""
        return self._max_file if path.startswith(FILES_TO) else self._max_bytes

    def too_large(self, path: str) -> TooLarge:
        name = "EVOLVE_MAX_UPLOAD_BYTES" if path.startswith(FILES_TO) else "EVOLVE_MAX_MESSAGE_BYTES"
        return TooLarge(f"the body is over the limit of {self.limit_of(path):,} bytes; send less, or raise {name}")

    def _check_pace(self, principal: Principal, path: str) -> None:
        if self._pace is None or path.startswith(UNPACED):
            return
        wait_s = self._pace.wait_s(principal.name)
        if wait_s:
            raise RateLimited(
                f"too many requests; wait {wait_s:.1f} s, or let the server take more with EVOLVE_WEB_RATE",
                retry_after_s=wait_s,
            )

    def _check_origin(self, scope: Scope, headers: Headers, principal: Principal, host: str) -> None:
        """Refuse what a page of another site makes a browser send. Programs that are no browsers send none of these headers."""
        safe = scope["method"] in SAFE_METHODS
        site = headers.get(b"sec-fetch-site", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if origin in self._access.reach.origins:
            if principal.cross_site_safe or (safe and scope["method"] == "OPTIONS"):
                return
            raise Unauthorized(
                "pages of other origins need a token of their own; who is signed in here does not count for them"
            )
        if (
            origin
            and origin not in (f"http://{host.lower()}", f"https://{host.lower()}")
            and not (safe and origin == "null")
        ):
            raise Forbidden(
                "a page of another site may not ask here; EVOLVE_WEB_ORIGINS names those that may", origin=origin[:100]
            )
        # Following a link from elsewhere to a page is how the web works; asking the API, or changing anything, is not.
        elsewhere = site in ("cross-site", "same-site")
        navigates = (
            safe and headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"
        )
        if elsewhere and not (navigates and not is_api(scope["path"])):
            raise Forbidden("a page of another site may not ask here; EVOLVE_WEB_ORIGINS names those that may")

    # --- what a browser opens ---

    def signed_in(self, scope: Scope, headers: Headers) -> Response | None:
        """`?token=…` signs a browser in, and leads on to the same address without it, so that it stays in no history or log."""
        if scope["method"] != "GET" or is_api(scope["path"]) or b"token=" not in scope["query_string"]:
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        token = next((value for name, value in query if name == "token"), None)
        if token is None:
            return None
        session = self._access.sign_in(token, scope)
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # One slash: two would lead to another host.
        path = "/" + quote(scope["path"].lstrip("/\\"))
        response = RedirectResponse(f"{path}?{rest}" if rest else path, 303, headers={"cache-control": "no-store"})
        name = cookie_name(headers.get(b"host", b"").decode("latin-1"))
        response.set_cookie(name, session, max_age=int(SESSION_S), httponly=True, samesite="lax", path="/")
        return response

    def refusal(self, scope: Scope, headers: Headers, error: EvolveError, request_id: str) -> Response:
        return self.refusal_of(scope, headers, error, request_id, self._error_page)

    @staticmethod
    def refusal_of(
        scope: Scope, headers: Headers, error: EvolveError, request_id: str, error_page: ErrorPage
    ) -> Response:
        """A problem; for a browser that opens a page, a page."""
        if is_api(scope["path"]) or b"text/html" not in headers.get(b"accept", b""):
            return problem(error, request_id)
        page = error_page(scope, error)
        refused = problem(error, request_id)
        if page is None:
            page = HTMLResponse(_plain_page(error), refused.status_code)
        for name in ("retry-after", "cache-control"):
            if name in refused.headers:
                page.headers[name] = refused.headers[name]
        return page

    def note(
        self,
        scope: Scope,
        principal: Principal,
        request_id: str,
        status: int,
        took_s: float,
        *,
        streamed: bool,
        traceparent: str | None,
    ) -> None:
        found_by = exemplar_labels(RequestEnvelope("", request_id=request_id, traceparent=traceparent))
        route = route_of(scope)
        self._metrics.answered(scope["method"], route, status, took_s, streamed=streamed, found_by=found_by)
        write = self._log.warning if status >= 500 else self._log.info
        # Never the query, which may hold a token; the path as it came, escaped by the log.
        write(
            "answered", request_id=request_id, method=scope["method"], path=scope["path"][:300], status=status,
            ms=round(took_s * 1000, 1), who=principal.name,
        )  # fmt: skip

    @property
    def app(self) -> ASGIApp:
        return self._app

    @property
    def metrics(self) -> Metrics:
        return self._metrics

    @property
    def log(self) -> Any:
        return self._log


class _Exchange:
    """One request and its response."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard, self._scope, self._receive, self._send = guard, scope, receive, send
        self._headers: Headers = dict(scope["headers"])
        given = self._headers.get(b"x-request-id", b"")
        self._id = given.decode() if REQUEST_ID.fullmatch(given) else new_request_id()
        self._principal = Principal("nobody")
        self._status, self._streamed, self._complete, self._taken = 0, False, False, 0
        self._body_by = 0.0
        self._body_s = FILE_S if self._scope["path"].startswith(FILES_TO) else BODY_S

    async def run(self) -> None:
        started = time.perf_counter()
        state = self._scope.setdefault("state", {})
        state["request_id"], state["principal"] = self._id, self._principal
        self._guard.metrics.in_flight += 1
        method = self._scope["method"] if self._scope["method"].isalpha() else "other"
        span = self._guard.tracer.span(
            f"HTTP {method[:20]}",
            kind="server",
            parent=read_traceparent(self._headers.get(b"traceparent", b"").decode("latin-1")),
            attributes={"http.request.method": method[:20], "evolve.request_id": self._id},
        )
        try:
            with within(span.traceparent), logs.about(self._id):
                await self._answer(state)
        finally:
            self._guard.metrics.in_flight -= 1
            took, status = time.perf_counter() - started, self._status or 499
            span.note({"http.route": route_of(self._scope), "http.response.status_code": status})
            if status >= 500:
                span.fail(str(status))
            span.end()
            self._guard.note(
                self._scope,
                self._principal,
                self._id,
                status,
                took,
                streamed=self._streamed,
                traceparent=span.traceparent,
            )

    async def _answer(self, state: dict[str, Any]) -> None:
        try:
            self._principal = state["principal"] = self._guard.check(self._scope, self._headers)
            signed_in = self._guard.signed_in(self._scope, self._headers)
            if signed_in is not None:
                await signed_in(self._scope, self._receive, self._head)
                return
            self._guard.check_scope(self._scope, self._principal)
            await self._guard.app(self._scope, self._body, self._head)
        except EvolveError as error:
            if self._status:
                raise
            put_on_record(self._scope, error)
            await self._guard.refusal(self._scope, self._headers, error, self._id)(
                self._scope, self._receive, self._head
            )
        except Exception:  # the last frame of a request: a bug of ours is logged under its id, and answered
            self._guard.log.exception("a request failed", request_id=self._id, path=self._scope["path"][:300])
            if self._complete:
                return
            if self._status:
                raise  # half of it is out already: only a broken connection says that the rest is missing
            bug = Internal(f"a bug of ours; web_service.log has it under the id {self._id}")
            await self._guard.refusal(self._scope, self._headers, bug, self._id)(self._scope, self._receive, self._head)

    async def _body(self) -> Message:
        """The next piece of the body. Raises TooLarge, or Malformed for one that does not come."""
        if not self._body_by:
            self._body_by = asyncio.get_running_loop().time() + self._body_s
        waiting_for_body = self._taken >= 0
        try:
            async with asyncio.timeout_at(self._body_by if waiting_for_body else None):
                message = await self._receive()
        except TimeoutError:
            raise Malformed(f"the body did not arrive within {self._body_s:g} s") from None
        if message["type"] == "http.request" and waiting_for_body:
            self._taken += len(message.get("body", b""))
            if self._taken > self._guard.limit_of(self._scope["path"]):
                raise self._guard.too_large(self._scope["path"])
            if not message.get("more_body", False):
                self._taken = -1  # all of it is here; what comes next is the end of the connection
        return message

    async def _head(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = int(message["status"])
            given = {name for name, _ in message["headers"]}
            headers = [*message["headers"], *(pair for pair in SECURITY if pair[0] not in given)]
            headers.append((b"x-request-id", self._id.encode()))
            if b"cache-control" not in given:
                headers.append((b"cache-control", b"no-store"))
            if self._taken >= 0 and self._scope["method"] not in SAFE_METHODS and self._status in (400, 413):
                headers.append((b"connection", b"close"))  # the rest of the body is not worth reading
            self._streamed = any(
                name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers
            )
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            self._complete = not message.get("more_body", False)
        await self._send(message)


def put_on_record(scope: Scope, error: EvolveError) -> None:
    """A refusal is a security event, whoever asked and whichever layer refused; anything else that went wrong is not."""
    if isinstance(error, RateLimited | Forbidden | Unauthorized):
        event: SecurityEvent = "rate_limited" if isinstance(error, RateLimited) else "access_refused"
        client = (scope.get("client") or ("",))[0]
        report(event, client=client, method=scope["method"], path=scope["path"], why=error.message)


def is_api(path: str) -> bool:
    return path.startswith(("/api/", "/metrics", "/openapi.json", "/health/"))


def _check_type(method: str, path: str, headers: Mapping[bytes, bytes]) -> None:
    """JSON for the API: no form of another site's page can send that without asking first."""
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    if kind == "application/json" or (method == "DELETE" and not kind):
        return  # no form can send a DELETE
    if path.startswith(FILES_TO) and is_api(path) and kind in FILE_TYPES:
        return
    if is_api(path):
        raise UnsupportedMediaType(f"send application/json, not {kind[:100] or 'a body of no type'}")
    # A page's own forms: only where the browser itself says that the page is ours (checked before: it was not another's).
    if kind in FORM_TYPES and (b"origin" in headers or b"sec-fetch-site" in headers):
        return
    raise UnsupportedMediaType("forms are taken from our own pages in a browser; programs use the API under /api/v1")


def route_of(scope: Scope) -> str:
    """The route's pattern, for figures: not the path, of which there are as many as anybody likes."""
    return str(getattr(scope.get("route"), "path", "other"))


def _plain_page(error: EvolveError) -> str:
    from html import escape

    status = problem(error, "").status_code
    title = f"{status} {HTTPStatus(status).phrase}"
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1><p>{escape(error.message)}</p></html>'
