"""The AsyncAPI document describes what really travels."""

from __future__ import annotations

import json

import pytest

from evolve.client.core import all_requests
from evolve.messaging.asyncapi import document
from services_under_test.echo import EchoService


@pytest.fixture(scope="module")
def described():
    services = {name: list(requests.values()) for name, requests in all_requests().items()}
    return document(services, version="1.2.3")


def references(node):
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(root, reference):
    node = root
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def test_every_service_has_its_three_channels(described):
    for service in all_requests():
        assert {f"{service}_{kind}" for kind in ("input", "output", "control")} <= set(described["channels"])


def test_every_request_is_an_operation_that_names_its_reply_error_and_progress(described):
    operation = described["operations"]["model_builder.build_model"]

    assert operation["channel"] == {"$ref": "#/channels/model_builder_input"}
    answers = [resolve(described, answer["$ref"])["$ref"] for answer in operation["reply"]["messages"]]
    assert answers == [
        "#/components/messages/model_builder.model_built",
        "#/components/messages/error",
        "#/components/messages/progress",
    ]


def test_every_reference_leads_somewhere(described):
    found = list(references(described))

    assert len(found) > 100
    for reference in found:
        assert isinstance(resolve(described, reference), dict)


def test_a_request_that_the_service_takes_fits_its_described_payload():
    """The defaults shown are the declared ones."""
    described = document({"echo": [handler.request for handler in EchoService.handlers.values()]}, version="0")
    data = described["components"]["messages"]["echo.slow_echo"]["payload"]["properties"]["data"]

    assert data["required"] == ["text"]
    assert data["properties"]["steps"]["default"] == 3


def test_it_is_plain_json(described):
    assert json.loads(json.dumps(described)) == described
