"""Where does this figure come from? Its method, data, date and exact value, as a page or beside the one it stands on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi import Request
from starlette.responses import Response

from evolve.cards import DataCard
from evolve.evidence import Evidence
from evolve.web.pages import frame
from evolve.web.problems import NotFound


def evidence_page(
    request: Request,
    item: Evidence,
    *,
    base: str,
    back: str,
    name: str,
    data: DataCard | None = None,
    model: str | None = None,
) -> Response:
    """base: the address under which `/evidence/ID` opens this figure; back, name: the page it stands on."""
    values: dict[str, Any] = {"item": item, "base": base, "back": back, "back_name": name, "data": data, "model": model}
    if frame.is_for_a_page(request):
        return frame.piece("evidence_piece.html", **values)
    return frame.page(request, "evidence.html", **values)


def one_of(figures: Iterable[Evidence], evidence_id: str) -> Evidence:
    """Raises NotFound."""
    for item in figures:
        if item.id == evidence_id:
            return item
    raise NotFound(f"there is no figure {evidence_id[:40]!r} here")


def find_evidence(document: Mapping[str, Any], evidence_id: str) -> Evidence:
    """The figure anywhere in a reply. Raises NotFound."""
    return one_of(_figures_in(document), evidence_id)


def _figures_in(value: object) -> Iterator[Evidence]:
    if isinstance(value, Mapping):
        if {"id", "name", "of", "computed", "unit"} <= value.keys():
            from evolve.memory.canonical import from_json

            yield from_json(Evidence, json.dumps(dict(value)))
        else:
            for inner in value.values():
                yield from _figures_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _figures_in(inner)
