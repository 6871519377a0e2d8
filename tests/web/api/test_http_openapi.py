"""The OpenAPI document: every message is in it, a tenth service's too, and a client can be generated from it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from architecture.project_files import ROOT
from evolve.client.core import all_requests
from evolve.services import SERVICES
from evolve.web.openapi import document, example_of
from evolve.web.problems import STATUSES, type_of
from services_under_test.echo import SlowEcho


@cache
def described() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SERVICES, "echo", "services_under_test.echo:EchoService")
        return document(all_requests())


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_message_has_its_route_with_the_words_of_its_declaration() -> None:
    paths = described()["paths"]
    for service, requests in all_requests().items():
        for wire, cls in requests.items():
            operation = paths[f"/api/v1/{service}/{wire}"]["post"]
            assert operation["description"].startswith((cls.__doc__ or "").strip())
            assert f"`{cls.effect}`" in operation["description"]


def test_a_tenth_service_is_there_without_another_line() -> None:
    operation = described()["paths"]["/api/v1/echo/slow_echo"]["post"]

    assert operation["operationId"] == "echo_slow_echo"
    assert operation["summary"].startswith("Count to `steps`")
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    named = described()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert set(named["properties"]) == set(SlowEcho.model_fields)
    assert named["required"] == ["text"]


def test_operation_ids_are_unique_names() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]

    assert len(ids) == len(set(ids))
    assert all(id.isidentifier() for id in ids)


def test_every_reference_leads_somewhere() -> None:
    def references(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    for reference in set(references(described())):
        found: Any = described()
        for part in reference.removeprefix("#/").split("/"):
            assert part in found, reference
            found = found[part]


def test_every_operation_says_what_it_needs_and_how_it_fails() -> None:
    for path, method, operation in operations():
        assert operation["responses"], path
        open_to_all = path.startswith("/health/")
        assert bool(operation["security"]) is not open_to_all, path
        if not open_to_all:
            assert {"401", "403", "429"} <= set(operation["responses"]), (path, method)


def test_every_message_of_ours_has_an_example_that_it_takes() -> None:
    missing = [
        f"{service}.{wire}"
        for service, requests in all_requests().items()
        for wire, cls in requests.items()
        if example_of(cls) is None
    ]

    assert missing == []


@pytest.mark.parametrize("code", sorted(STATUSES))
def test_the_section_that_an_error_leads_to_is_written(code: str) -> None:
    page, _, section = type_of(code).partition("#")
    text = (ROOT / page.removeprefix("/")).read_text(encoding="utf-8")

    assert f"\n### {section}\n" in text or f'<a id="{section}"></a>' in text
