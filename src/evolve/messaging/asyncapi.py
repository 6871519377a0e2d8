"""Which messages travel on which channels? The AsyncAPI 3 document, derived from the declarations.

Source: the AsyncAPI specification 3.0.0. A request's envelope and its reply's are schemas around the pydantic models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evolve.messaging.bus import control_channel, input_channel, output_channel
from evolve.messaging.envelope import MAX_REQUEST_ID
from evolve.messaging.messages import Reply, Request

VERSION = "3.0.0"
REF = "#/components/schemas/{model}"

_TEXT_ID = {"type": "string", "minLength": 1, "maxLength": MAX_REQUEST_ID}
_SECONDS = {"type": "number", "description": "Unix seconds"}
_ERROR_DATA = {
    "type": "object",
    "required": ["error", "code", "request"],
    "properties": {
        "error": {"type": "string", "description": "a sentence a person can act on"},
        "code": {"type": "string"},
        "help": {"type": "string", "description": "the section of the documentation about this code"},
        "request": {"type": ["string", "null"], "description": "the request's type"},
    },
}
_PROGRESS_DATA = {
    "type": "object",
    "required": ["stage", "done", "total", "message"],
    "properties": {
        "stage": {"type": "string"},
        "done": {"type": "integer"},
        "total": {"type": "integer"},
        "message": {"type": "string"},
    },
}
_CONTROLS: Mapping[str, dict[str, Any]] = {
    "ping": {"type": "object"},
    "status": {"type": "object"},
    "start": {"type": "object"},
    "stop": {"type": "object", "properties": {"replica": {"type": "string"}}},
    "cancel": {"type": "object", "required": ["request_id"], "properties": {"request_id": _TEXT_ID}},
}


def document(services: Mapping[str, Iterable[type[Request[Any]]]], *, version: str) -> dict[str, Any]:
    """The whole document; services: name → its requests."""
    schemas: dict[str, Any] = {}
    messages: dict[str, Any] = {
        "error": _message("error", _response_envelope("error", _ERROR_DATA, "error")),
        "progress": _message("progress", _response_envelope("progress", _PROGRESS_DATA, "success")),
    }
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for control, data in _CONTROLS.items():
        messages[f"control.{control}"] = _message(control, _request_envelope(control, data))
    for service, requests in services.items():
        known = list(requests)
        for request in known:
            messages[_key(service, request.wire_type)] = _message(
                request.wire_type,
                _request_envelope(request.wire_type, _schema(request, schemas)),
                (request.__doc__ or "").strip(),
            )
            reply = request.reply_type
            messages[_key(service, reply.wire_type)] = _message(
                reply.wire_type,
                _response_envelope(reply.wire_type, _schema(reply, schemas), "success"),
                (reply.__doc__ or "").strip(),
            )
        replies = {request.reply_type.wire_type for request in known}
        channels[input_channel(service)] = _channel(
            input_channel(service), {r.wire_type: _key(service, r.wire_type) for r in known}
        )
        channels[output_channel(service)] = _channel(
            output_channel(service),
            {**{wire: _key(service, wire) for wire in sorted(replies)}, "error": "error", "progress": "progress"},
        )
        channels[control_channel(service)] = _channel(
            control_channel(service), {name: f"control.{name}" for name in _CONTROLS}
        )
        for request in known:
            operations[_key(service, request.wire_type)] = _operation(service, request)
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Evolve",
            "version": version,
            "description": "Requests enter a service's stream, or its `_input` channel by hand; replies and progress show on `_output`.",
        },
        "defaultContentType": "application/json",
        "servers": {"redis": {"host": "localhost:6379", "protocol": "redis"}},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def _operation(service: str, request: type[Request[Any]]) -> dict[str, Any]:
    output = output_channel(service)
    answers = [request.reply_type.wire_type, "error", "progress"]
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{input_channel(service)}"},
        "messages": [{"$ref": f"#/channels/{input_channel(service)}/messages/{request.wire_type}"}],
        "reply": {
            "channel": {"$ref": f"#/channels/{output}"},
            "messages": [{"$ref": f"#/channels/{output}/messages/{name}"} for name in answers],
        },
    }


def _channel(address: str, messages: Mapping[str, str]) -> dict[str, Any]:
    return {
        "address": address,
        "messages": {name: {"$ref": f"#/components/messages/{key}"} for name, key in messages.items()},
    }


def _message(name: str, payload: dict[str, Any], summary: str = "") -> dict[str, Any]:
    message: dict[str, Any] = {"name": name, "payload": payload}
    if summary:
        message["summary"] = summary.splitlines()[0]
        message["description"] = summary
    return message


def _key(service: str, wire_type: str) -> str:
    return f"{service}.{wire_type}"


def _request_envelope(wire_type: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"const": wire_type},
            "data": data,
            "timestamp": _SECONDS,
            "request_id": _TEXT_ID,
            "parent": _TEXT_ID,
            "reply_to": _TEXT_ID,
            "deadline": _SECONDS,
            "from": _TEXT_ID,
            "traceparent": {"type": "string", "description": "W3C Trace Context: the span that asks"},
        },
    }


def _response_envelope(wire_type: str, data: dict[str, Any], status: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "service", "data", "status", "timestamp"],
        "properties": {
            "type": {"const": wire_type},
            "service": {"type": "string"},
            "data": data,
            "status": {"const": status},
            "timestamp": _SECONDS,
            "request_id": _TEXT_ID,
        },
    }


def _schema(model: type[Request[Any]] | type[Reply], schemas: dict[str, Any]) -> dict[str, Any]:
    """The model's JSON schema; what it refers to goes to the document's own schemas."""
    found = model.model_json_schema(ref_template=REF, mode="validation")
    schemas.update(found.pop("$defs", {}))
    return found
