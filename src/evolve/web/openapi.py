"""Which routes, with which bodies, answers and errors? The OpenAPI 3.1 document, derived from the declarations.

A client generated from it needs nothing else: every operation has an id of its own, its security, its examples, and every
error it may answer.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError
from pydantic.json_schema import models_json_schema

from evolve.messaging.messages import Reply, Request
from evolve.version import VERSION
from evolve.web.fixed_operations import DATA_TYPES, FIXED
from evolve.web.home_operations import HOME, HOME_TYPES
from evolve.web.message_routes import Registry, is_long, path_of
from evolve.web.paging import paged
from evolve.web.problems import MEDIA_TYPE, STATUSES, type_of

REF = "#/components/schemas/{model}"

# Which of the errors' statuses a message can end with: all that services answer, and what the guard says before.
MESSAGE_ERRORS = (400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 501, 503, 504)

DESCRIPTION = """Is there a model worth trusting for this symbol? Evidence, not opinion.

Every message of every service is a route. What is quick answers `200` with the reply; what takes long answers `202` with a job
(`Location`), whose steps and end are streamed by `GET /api/v1/jobs/{id}/events`; `Prefer: respond-async` and `Prefer: wait=N`
choose. The same `Idempotency-Key` and content run once. Errors are problem documents (RFC 9457) with the `code` of the bus."""


def document(registry: Registry) -> dict[str, Any]:
    """The whole document; registry: service → type → request."""
    requests = [cls for known in registry.values() for cls in known.values()]
    schemas, names = _schemas(requests)
    paths: dict[str, dict[str, Any]] = {}
    for cls in requests:
        paths[path_of(cls)] = {"post": _operation(cls, names)}
    for path, method, operation in (*FIXED, *HOME):
        paths.setdefault(path, {})[method] = _completed(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Evolve",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "where this document was read"}],
        "tags": [
            *({"name": service, "description": _of_service(known)} for service, known in registry.items()),
            {"name": "jobs", "description": "Work that takes longer than a request."},
            {"name": "services", "description": "What runs, and what could not be answered."},
            {"name": "home", "description": "Bars, alerts and care of this home: what is no message."},
            {"name": "health", "description": "For probes and monitoring."},
        ],
        "paths": paths,
        "components": {
            "schemas": {**DATA_TYPES, **HOME_TYPES, **schemas},
            "responses": {str(status): _problem_response(status) for status in sorted(set(STATUSES.values()))},
            "headers": {
                "RequestId": {"description": "The id in our log, and of the request on the bus.", "schema": {"type": "string"}}
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of `evolve token create`."},
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "evolve_8765",
                    "description": "A browser that signed in by `?token=…`; the name ends with the server's port.",
                },
            },
        },
    }  # fmt: skip


def _of_service(known: Mapping[str, type[Request[Any]]]) -> str:
    return f"Requests: {', '.join(sorted(known))}."


def _schemas(requests: list[type[Request[Any]]]) -> tuple[dict[str, Any], dict[tuple[type, str], str]]:
    """All schemas, and the name of each class's: a model that is both asked and answered has one of each, told apart by pydantic."""
    inputs: list[tuple[type[Request[Any]] | type[Reply], Any]] = [(cls, "validation") for cls in requests]
    replies = list(dict.fromkeys(cls.reply_type for cls in requests))
    outputs: list[tuple[type[Request[Any]] | type[Reply], Any]] = [(cls, "serialization") for cls in replies]
    placed, definitions = models_json_schema([*inputs, *outputs], ref_template=REF)
    names = {(cls, mode): found["$ref"].rpartition("/")[2] for (cls, mode), found in placed.items()}
    return definitions.get("$defs", {}), names  # type: ignore[return-value]


def _operation(cls: type[Request[Any]], names: Mapping[tuple[type, str], str]) -> dict[str, Any]:
    text = (cls.__doc__ or "").strip()
    body: dict[str, Any] = {"schema": _ref(names[cls, "validation"])}
    example = example_of(cls)
    if example is not None:
        body["examples"] = {"usual": {"summary": "the fields that must be given", "value": example}}
    responses: dict[str, Any] = {
        "200": {
            "description": (cls.reply_type.__doc__ or cls.reply_type.wire_type).strip(),
            "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
            "content": {"application/json": {"schema": _ref(names[cls.reply_type, "serialization"])}},
        },
        "202": {
            "description": "The work goes on as a job.",
            "headers": {
                "Location": {"description": "The job.", "schema": {"type": "string", "format": "uri-reference"}}
            },
            "content": {"application/json": {"schema": _ref("Job")}},
        },
    }
    parameters = [_IDEMPOTENCY_KEY, _PREFER]
    if paged(cls) is not None:
        parameters.append(_CURSOR)
        responses["200"]["headers"]["Link"] = {
            "description": '`rel="next"`: the next page; send the same body there.', "schema": {"type": "string"},
        }  # fmt: skip
    return {
        "operationId": f"{cls.service}_{cls.wire_type}",
        "tags": [cls.service],
        "summary": text.splitlines()[0] if text else cls.wire_type,
        "description": "\n\n".join(part for part in (text, _how(cls)) if part),
        "security": security(cls.effect),
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {**responses, **{str(status): problem_ref(status) for status in MESSAGE_ERRORS}},
    }


def _how(cls: type[Request[Any]]) -> str:
    return f"Scope: `{cls.effect}`. {'Answered as a job unless `Prefer: wait=N`.' if is_long(cls) else 'Answered at once.'}"


def example_of(cls: type[Request[Any]]) -> dict[str, Any] | None:
    """A body that the class takes: its required fields with their own examples, or one of what they may be;
    None where a field has none and cannot go without."""
    example: dict[str, Any] = {}
    for name, field in cls.model_fields.items():
        if field.is_required() and field.examples:
            example[name] = field.examples[0]
        elif field.is_required() and typing.get_origin(field.annotation) is Literal:
            example[name] = typing.get_args(field.annotation)[-1]
    try:
        cls.model_validate(example)
    except ValidationError:
        return None
    return example


def security(effect: str) -> list[dict[str, list[str]]]:
    """A token or a session of this scope; the last one is nobody in particular: the user's own programs on this machine."""
    return [{"token": [effect]}, {"session": [effect]}, {}]


def problem_ref(status: int) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{status}"}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": REF.format(model=name)}


def _completed(operation: Mapping[str, Any]) -> dict[str, Any]:
    """A fixed operation as it is written down, with its errors and security spelled out."""
    given = dict(operation)
    errors, effect = given.pop("errors"), given.pop("effect")
    given["responses"] = {**given["responses"], **{str(status): problem_ref(status) for status in errors}}
    given["security"] = security(effect) if effect else []
    return given


def _problem_response(status: int) -> dict[str, Any]:
    codes = [code for code, its in STATUSES.items() if its == status]
    headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    if status in (429, 503):
        headers["Retry-After"] = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    example = {
        "type": type_of(codes[0]), "title": "…", "status": status, "detail": "a sentence to act on", "code": codes[0],
        "request_id": "0f8c2d7be1a94c55",
    }  # fmt: skip
    return {
        "description": f"{', '.join(codes)}: the section of docs/troubleshooting.md of that name says what to do.",
        "headers": headers,
        "content": {MEDIA_TYPE: {"schema": _ref("Problem"), "examples": {codes[0]: {"value": example}}}},
    }


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key", "in": "header", "required": False,
    "description": "Becomes the request's id: sent again with the same content, nothing runs twice; with other content, 409.",
    "schema": {"type": "string", "pattern": r"^[A-Za-z0-9._~:-]{1,128}$"},
}  # fmt: skip
_PREFER = {
    "name": "Prefer", "in": "header", "required": False,
    "description": "`respond-async`: a job at once. `wait=N`: the reply if it comes within N (at most 60) seconds, else a job.",
    "schema": {"type": "string"}, "examples": {"job": {"value": "respond-async"}, "patience": {"value": "wait=10"}},
}  # fmt: skip
_CURSOR = {
    "name": "cursor", "in": "query", "required": False,
    "description": "From the `Link` of the page before.", "schema": {"type": "string", "maxLength": 200},
}  # fmt: skip
