"""What else can be asked? Every request of every service, found, described and sent by its name: a new service needs no tool of its own."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from evolve.client.core import all_requests, requests_of
from evolve.errors import UnknownType, nearest
from evolve.mcp.calls import Caller, Listener
from evolve.mcp.offer import reply_schema
from evolve.mcp.results import Told, without_titles
from evolve.messaging.messages import Effect, Reply, Request, validated


class Row(BaseModel):
    """One request. allowed: whether this server may send it; effect: read, run (starts work) or admin (decides about what others rely on)."""

    service: str
    type: str
    what: str
    effect: Effect
    allowed: bool


class RequestsListed(Reply):
    requests: tuple[Row, ...]
    count: int


class ListRequests(Request[RequestsListed], service="mcp"):
    """Every request that a service answers, by service; run_request sends one."""

    service_name: str | None = Field(default=None, max_length=64, description="only this service's")
    only: Literal["read", "run", "admin"] | None = Field(default=None, description="only those with this effect")


class RequestDescribed(Reply):
    """inputs, outputs: JSON schemas of `data` in request and reply; waits_s: how long its work usually may take, at most."""

    request: Row
    description: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    waits_s: float


class DescribeRequest(Request[RequestDescribed], service="mcp"):
    """What a request does, what it takes and what it answers, as JSON schemas."""

    service_name: str = Field(max_length=64)
    request_type: str = Field(max_length=64)


class AnythingReplied(Reply):
    """The reply's own data; describe_request shows their schema."""


class RunRequest(Request[AnythingReplied], service="mcp"):
    """Send any request of any service and wait for its reply."""

    service_name: str = Field(max_length=64)
    request_type: str = Field(max_length=64)
    data: dict[str, Any] = Field(default_factory=dict, description="as describe_request says")


async def list_requests(caller: Caller, request: ListRequests) -> RequestsListed:
    if request.service_name is not None:
        requests_of(request.service_name)  # raises UnknownService with the nearest names
    rows = [
        _row(caller, each)
        for service, of_service in all_requests().items()
        if request.service_name in (None, service)
        for each in of_service.values()
    ]
    wanted = tuple(row for row in rows if request.only in (None, row.effect))
    return RequestsListed(requests=wanted, count=len(wanted))


async def describe_request(caller: Caller, request: DescribeRequest) -> RequestDescribed:
    found = request_named(request.service_name, request.request_type)
    return RequestDescribed(
        request=_row(caller, found),
        description=_words(found),
        inputs=without_titles(found.model_json_schema()),
        outputs=without_titles(reply_schema(found)),
        waits_s=min(caller.limit_s, caller.client.timeout_for(found)),
    )


async def run_request(caller: Caller, request: RunRequest, listener: Listener) -> Told:
    found = request_named(request.service_name, request.request_type)
    caller.check(found)
    return await caller.ask(validated(found, request.data), listener)


def request_named(service: str, wire_type: str) -> type[Request[Any]]:
    """Raises UnknownService or UnknownType with the nearest names."""
    of_service = requests_of(service)
    if wire_type not in of_service:
        close = nearest(wire_type, of_service) or sorted(of_service)
        raise UnknownType(f"{service} has no request {wire_type!r}; nearest: {', '.join(close)}")
    return of_service[wire_type]


def _row(caller: Caller, request: type[Request[Any]]) -> Row:
    return Row(
        service=request.service,
        type=request.wire_type,
        what=_words(request).split("\n\n")[0],
        effect=request.effect,
        allowed=caller.allow_run or request.effect == "read",
    )


def _words(request: type[Request[Any]]) -> str:
    """Its docstring, lines joined within a paragraph; a class without one would show pydantic's."""
    text = vars(request).get("__doc__") or request.wire_type.replace("_", " ")
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))
