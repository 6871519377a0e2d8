"""What travels on the wire: JSON envelopes around requests, replies, errors and progress, as the contract lists them."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

import orjson

from evolve.errors import EvolveError, Malformed, TooLarge, error_for

MAX_REQUEST_ID = 128
MAX_EXEMPLAR = 128  # characters of an exemplar's names and values together (OpenMetrics 1.0)
PLAIN_ID = re.compile(r"[A-Za-z0-9._~:-]+")
TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
MAX_TYPE = 128
# orjson reads 1,024 levels but writes 254: what lies between could be taken in, and neither hashed nor passed on.
MAX_DEPTH = 100
# A JSON text of n bytes can hold n/2 elements, each 50–100 bytes once parsed: 10 MB of "[[]]," cost 357 MB and 7 s.
MAX_ELEMENTS = 500_000


@dataclass(frozen=True, slots=True)
class RequestEnvelope:
    """A request on the wire. `deadline` in Unix seconds; `sender` is the wire's `from`; `traceparent` as W3C Trace Context has it."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    timestamp: float = 0.0
    request_id: str | None = None
    parent: str | None = None
    reply_to: str | None = None
    deadline: float | None = None
    sender: str | None = None
    traceparent: str | None = None

    @property
    def trace_id(self) -> str | None:
        """Of the trace that the request belongs to, 32 hex digits."""
        return None if self.traceparent is None else self.traceparent.split("-")[1]

    def to_bytes(self) -> bytes:
        message: dict[str, Any] = {"type": self.type, "data": self.data, "timestamp": self.timestamp}
        for name in ("request_id", "parent", "reply_to", "deadline", "traceparent"):
            if getattr(self, name) is not None:
                message[name] = getattr(self, name)
        if self.sender is not None:
            message["from"] = self.sender
        return dump(message)

    @property
    def content_hash(self) -> str:
        """Equal for equal type and data: tells a re-sent request from another one under the same id."""
        content = orjson.dumps([self.type, self.data], option=orjson.OPT_SORT_KEYS)
        return hashlib.blake2b(content, digest_size=16).hexdigest()


def exemplar_labels(envelope: RequestEnvelope) -> dict[str, str]:
    """What finds one request again: its trace, and its id where that fits beside it."""
    found = {} if envelope.trace_id is None else {"trace_id": envelope.trace_id}
    request_id = envelope.request_id or ""
    taken = sum(len(name) + len(value) for name, value in found.items())
    # Not every reader of the format undoes escapes there; ids of our own need none.
    if PLAIN_ID.fullmatch(request_id) and len(request_id) <= MAX_EXEMPLAR - taken - len("request_id"):
        found["request_id"] = request_id
    return found


def new_request_id() -> str:
    return secrets.token_hex(16)


def dump(message: object) -> bytes:
    # NaN and infinity have no JSON; orjson writes null, which the contract reads as "unknown".
    return orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def check_size(raw: bytes, *, max_bytes: int) -> None:
    """Raises TooLarge for a message that nobody would read: by who sends it, before it travels, and by who gets it."""
    if len(raw) > max_bytes:
        raise TooLarge(f"message of {len(raw):,} bytes is over the limit of {max_bytes:,}")
    if len(raw) > MAX_ELEMENTS and raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MAX_ELEMENTS:
        raise TooLarge(f"message holds more than {MAX_ELEMENTS:,} elements")


def load(raw: bytes, *, max_bytes: int) -> Any:
    """The parsed JSON. Raises TooLarge or Malformed before a hostile text costs memory."""
    check_size(raw, max_bytes=max_bytes)
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"message is not JSON: {error}") from None
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _is_deeper(message, MAX_DEPTH):
        raise Malformed(f"message is nested deeper than {MAX_DEPTH} levels")
    return message


def _is_deeper(message: Any, levels: int) -> bool:
    level = [message]
    for _ in range(levels):
        level = [
            child
            for value in level
            for child in (value.values() if isinstance(value, dict) else value)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def read_request(raw: bytes, *, max_bytes: int) -> RequestEnvelope:
    """The envelope in `raw`. Raises Malformed naming the wrong field, or TooLarge."""
    message = load(raw, max_bytes=max_bytes)
    if not isinstance(message, dict):
        raise Malformed(f"message must be a JSON object with a 'type', not {type(message).__name__}")
    wire_type = message.get("type")
    if not isinstance(wire_type, str) or not wire_type:
        raise Malformed('message needs a \'type\', such as {"type": "list_models", "data": {}}')
    if len(wire_type) > MAX_TYPE:
        raise Malformed(f"'type' is longer than {MAX_TYPE} characters")
    if not wire_type.isprintable():
        raise Malformed(f"'type' holds control characters: {wire_type!r}")
    data = message.get("data")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise Malformed(f"'data' must be an object, not {type(data).__name__}")
    for name in ("request_id", "parent", "reply_to", "from"):
        value = message.get(name)
        if value is not None and (not isinstance(value, str) or not value or len(value) > MAX_REQUEST_ID):
            raise Malformed(f"'{name}' must be a string of 1 to {MAX_REQUEST_ID} characters")
    sender = message.get("from")
    if sender is not None and not sender.isprintable():
        # It is shown to people and kept as who asked; a request_id may be any string, and is shown escaped.
        raise Malformed(f"'from' holds control characters: {sender!r}")
    for name in ("timestamp", "deadline"):
        value = message.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise Malformed(f"'{name}' must be Unix seconds, not {type(value).__name__}")
    return RequestEnvelope(
        type=wire_type,
        data=data,
        timestamp=float(message.get("timestamp") or 0.0),
        request_id=message.get("request_id"),
        parent=message.get("parent"),
        reply_to=message.get("reply_to"),
        deadline=message.get("deadline"),
        sender=message.get("from"),
        traceparent=read_traceparent(message.get("traceparent")),
    )


def read_traceparent(value: object) -> str | None:
    """A `traceparent` that can be followed; None for any other, which W3C Trace Context wants ignored, not refused.

    Of a later version only what version 00 knows is kept, as the standard says.
    """
    found = TRACEPARENT.fullmatch(value) if isinstance(value, str) else None
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
        return None
    if set(found["trace"]) == {"0"} or set(found["span"]) == {"0"}:
        return None
    return f"00-{found['trace']}-{found['span']}-{found['flags']}"


def response(
    service: str, wire_type: str, data: dict[str, Any], *, at: float, request_id: str | None
) -> dict[str, Any]:
    """A success envelope."""
    return _reply(service, wire_type, data, "success", at, request_id)


def error_response(
    service: str, error: EvolveError, *, request_type: str | None, at: float, request_id: str | None
) -> dict[str, Any]:
    """An error envelope: a sentence to act on, its code, and the type of the request it answers."""
    data = {**error.details, "error": error.message, "code": error.code, "request": request_type, "help": error.help}
    return _reply(service, "error", data, "error", at, request_id)


def progress_event(
    service: str, stage: str, done: int, total: int, message: str, *, at: float, request_id: str | None
) -> dict[str, Any]:
    data = {"stage": stage, "done": done, "total": total, "message": message}
    return _reply(service, "progress", data, "success", at, request_id)


def _reply(
    service: str, wire_type: str, data: dict[str, Any], status: str, at: float, request_id: str | None
) -> dict[str, Any]:
    message = {"type": wire_type, "service": service, "data": data, "status": status, "timestamp": at}
    if request_id is not None:
        message["request_id"] = request_id
    return message


def raise_error(message: dict[str, Any]) -> None:
    """Raise the typed error that an error envelope carries; return for any other."""
    if message.get("status") == "error":
        raise error_in(message)


def error_in(message: dict[str, Any]) -> EvolveError:
    """The typed error that an error envelope carries; `Internal` for a code this version does not know."""
    data = dict(message.get("data") or {})
    text, code = str(data.pop("error", "the service gave no reason")), str(data.pop("code", "internal"))
    data.pop("help", None)  # the error knows it by its code
    error = error_for(code)(text)
    error.details.update(data)  # not as keywords: who sent it may use any name
    return error
