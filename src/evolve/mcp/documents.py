"""What can an assistant open and read? Answers, model cards, evaluations, whole replies and the documentation, each at an address."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from mcp import types

from evolve.contracts.model_builder import GetModelInfo, ListModels
from evolve.contracts.performance_critic import GetEvaluationHistory
from evolve.contracts.quant_gpt import GetAnswer, GetQueryHistory
from evolve.errors import DataUnavailable, InvalidRequest, TooLarge, nearest
from evolve.language.library import documents
from evolve.mcp.calls import Caller
from evolve.mcp.results import NOTICE, visible
from evolve.messaging.messages import validated

SCHEME = "evolve://"
MAX_CHARACTERS = 2_000_000  # what is longer is no reading; `evolve reply` writes it to a file
MARKDOWN, JSON = "text/markdown", "application/json"
SUGGESTED = 50  # ids offered while an assistant's user types


@dataclass(frozen=True, slots=True)
class Kind:
    """A family of addresses. place: its template; what: for whom looks for one."""

    name: str
    place: str
    what: str
    mime_type: str

    def matches(self, address: str) -> tuple[str, ...] | None:
        """The parts of an address of this kind, decoded; None for one of another."""
        pattern = re.sub(r"\\\{\w+\\\}", "([^/?#]{1,384})", re.escape(SCHEME + self.place))
        found = re.fullmatch(pattern, address)
        return None if found is None else tuple(unquote(part) for part in found.groups())


ANSWER = Kind(
    "answer", "answers/{answer_id}", "A stored answer, whole, with every figure, source and computation", JSON
)
MODEL = Kind(
    "model card", "models/{model_id}", "A model's card: data, recipe, results, outlook and limits, as a page", MARKDOWN
)
EVALUATIONS = Kind("evaluations", "evaluations/{model_id}", "The last evaluations of a model, newest first", JSON)
REPLY = Kind(
    "reply", "replies/{service}/{request_id}", "The whole reply to an earlier call, kept for a day: late or shortened ones", JSON
)  # fmt: skip
PAGE = Kind("documentation", "docs/{page}", "A page of the documentation", MARKDOWN)
KINDS = (ANSWER, MODEL, EVALUATIONS, REPLY, PAGE)


def reply_address(service: str, request_id: str) -> str:
    return f"{SCHEME}replies/{quote(service, safe='')}/{quote(request_id, safe='')}"


def templates() -> list[types.ResourceTemplate]:
    return [
        types.ResourceTemplate(
            name=kind.name, uri_template=SCHEME + kind.place, description=kind.what, mime_type=kind.mime_type
        )
        for kind in KINDS
    ]


def listed() -> list[types.Resource]:
    """The documentation; answers and models are reached by their ids."""
    return [
        types.Resource(uri=f"{SCHEME}docs/{name}", name=name, title=_title(path), mime_type=MARKDOWN)
        for name, path in pages().items()
    ]


@cache
def pages() -> dict[str, Path]:
    """Name → file of each page. Only these are ever opened, whatever an address says."""
    place = documents()
    return {} if place is None else {path.stem: path for path in sorted(place.glob("*.md"))}


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").strip()


async def read(caller: Caller, address: str) -> types.TextResourceContents:
    """What stands at an address. Raises InvalidRequest for one that cannot be, the typed errors of whoever is asked for it."""
    for kind in KINDS:
        parts = kind.matches(address.partition("#")[0])
        if parts is not None:
            text = await _text(caller, kind, parts)
            if len(text) > MAX_CHARACTERS:
                raise TooLarge(f"{address} has {len(text):,} characters, more than {MAX_CHARACTERS:,} are not read")
            return types.TextResourceContents(
                uri=address, text=text, mime_type=kind.mime_type, _meta={"evolve/notice": NOTICE}
            )
    places = ", ".join(SCHEME + kind.place for kind in KINDS)
    raise InvalidRequest(f"nothing stands at {visible(address)[:200]!r}; there are {places}")


async def _text(caller: Caller, kind: Kind, parts: tuple[str, ...]) -> str:
    if kind is PAGE:
        return _page(parts[0])
    if kind is MODEL:
        told = await caller.ask(validated(GetModelInfo, {"model_id": parts[0]}))
        return visible(str(told.data["document"]))
    if kind is ANSWER:
        told = await caller.ask(validated(GetAnswer, {"answer_id": parts[0]}))
        return _json(told.data)
    if kind is EVALUATIONS:
        told = await caller.ask(validated(GetEvaluationHistory, {"model_id": parts[0], "limit": 3}))
        return _json(told.data)
    return await _reply(caller, *parts)


async def _reply(caller: Caller, service: str, request_id: str) -> str:
    found = await caller.client.late_reply(service, request_id)
    if found is None:
        raise DataUnavailable(
            f"{service} has no reply to {visible(request_id)[:128]!r}: it is not done yet, or older than a day"
        )
    return _json(found)


def _page(name: str) -> str:
    if name not in pages():
        close = nearest(name[:80], pages()) or list(pages())
        raise InvalidRequest(f"there is no page {visible(name)[:80]!r}; nearest: {', '.join(close)}")
    return pages()[name].read_text(encoding="utf-8")


def _json(value: Mapping[str, Any]) -> str:
    return visible(json.dumps(value, ensure_ascii=False, indent=1))


async def suggestions(caller: Caller, name: str, begun: str) -> list[str]:
    """Ids and names that complete what was typed for a parameter of a template or prompt."""
    if name == "page":
        known = list(pages())
    elif name == "model_id":
        found = await caller.ask(ListModels(limit=SUGGESTED))
        known = [each["model_id"] for each in found.data["models"]]
    elif name == "answer_id":
        found = await caller.ask(GetQueryHistory(limit=SUGGESTED))
        known = [each["answer_id"] for each in found.data["history"] if each["answer_id"]]
    else:
        known = []
    return [each for each in known if each.startswith(begun)]
