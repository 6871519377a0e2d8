"""What can each service be asked, and what does it answer? A form for every message of the registry: a tenth service has its own at once."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.charts.kinds import PLOTS
from evolve.contracts.model_builder import ListModels
from evolve.contracts.quant_gpt import GetAvailableSymbols
from evolve.errors import EvolveError, InvalidRequest
from evolve.market.types import SPECIFIED_PERIODS
from evolve.messaging.messages import Request as Message
from evolve.messaging.messages import validated
from evolve.web.access import principal_of, require
from evolve.web.message_routes import is_long
from evolve.web.pages import frame
from evolve.web.pages.jobs import begin
from evolve.web.pages.message_forms import data_of, example_form, fields_of
from evolve.web.pages.words import label
from evolve.web.problems import NotFound, status_of

router = APIRouter(route_class=frame.PageRoute)
LOOK_S: Final = 2.0  # for what there is to choose from; without it the names are typed
SUGGESTIONS: Final = 200

Registry = dict[str, dict[str, type[Message[Any]]]]


@router.get("/messages")
async def all_messages(request: Request) -> Response:
    may = principal_of(request).scopes
    return frame.page(request, "messages.html", registry=_registry(request), may=may)


@router.get("/messages/{service}/{wire}")
async def message_page(request: Request, service: str, wire: str) -> Response:
    """Its form; `?field=value` fills it in, `?example=1` as its declaration does."""
    cls = _message(request, service, wire)
    query = dict(request.query_params)
    given = {**example_form(cls), **query} if query.pop("example", "") else query
    return await _form_page(request, cls, given)


@router.post("/messages/{service}/{wire}")
async def send(request: Request, service: str, wire: str) -> Response:
    """Sends it: what takes long becomes a job, what is quick is answered beneath the form."""
    cls = _message(request, service, wire)
    form = await frame.form_of(request)
    try:
        if cls.effect == "admin" and form.get("_sure") != "1":
            raise InvalidRequest("this decides about what others rely on: tick that you mean it")
        message = validated(cls, data_of(cls, form))
        if is_long(cls):
            return begin(request, message, title=label(wire))
        reply = (await frame.told(request, message)).model_dump(mode="json")
    except EvolveError as error:
        if "hx-request" in request.headers or error.code in ("forbidden", "unauthorized"):
            raise
        return await _form_page(request, cls, form, error=error)
    return await _form_page(request, cls, form, reply=reply)


async def _form_page(
    request: Request,
    cls: type[Message[Any]],
    given: dict[str, str],
    *,
    reply: dict[str, Any] | None = None,
    error: EvolveError | None = None,
) -> Response:
    fields = fields_of(cls, given)
    wanted = {field.suggested for field in fields} - {""}
    return frame.page(
        request, "message.html", status=200 if error is None else status_of(error.code), cls=cls, fields=fields,
        lists=await _suggestions(request, wanted), reply=reply, error=error, is_long=is_long(cls),
        may=cls.effect in principal_of(request).scopes, about=_paragraphs(cls),
    )  # fmt: skip


async def _suggestions(request: Request, wanted: set[str]) -> dict[str, tuple[str, ...]]:
    """What there is to choose from, as far as it is known in time."""
    require(request, "read")
    found: dict[str, tuple[str, ...]] = {"periods": SPECIFIED_PERIODS, "plots": tuple(PLOTS)}
    client = frame.client_of(request)

    async def symbols() -> None:
        reply = await client.ask(GetAvailableSymbols(), timeout=LOOK_S)
        found.update(symbols=reply.symbols, families=reply.models)

    async def models() -> None:
        reply = await client.ask(ListModels(limit=SUGGESTIONS), timeout=LOOK_S)
        found["models"] = tuple(card.model_id for card in reply.models)

    asked = [symbols()] if wanted & {"symbols", "families", "sources"} else []
    asked += [models()] if wanted & {"models", "sources"} else []
    for failed in await asyncio.gather(*asked, return_exceptions=True):
        if failed is not None and not isinstance(failed, EvolveError):
            raise failed
    found["sources"] = ("backtest_results", *found.get("models", ()), *found.get("symbols", ()))
    return {name: found[name] for name in sorted(wanted) if found.get(name)}


def _registry(request: Request) -> Registry:
    found: Registry = request.app.state.registry
    return found


def _message(request: Request, service: str, wire: str) -> type[Message[Any]]:
    found = _registry(request).get(service, {}).get(wire)
    if found is None:
        raise NotFound(
            f"{service[:40]!r} cannot be asked for {wire[:40]!r}; /messages lists what each service can be asked"
        )
    return found


def _paragraphs(cls: type[Message[Any]]) -> list[str]:
    text = (cls.__doc__ or "").strip()
    return [" ".join(line.strip() for line in part.splitlines()) for part in text.split("\n\n") if part.strip()]
