"""What does an HTTP client see of an error? One problem document (RFC 9457) for every error of the tree, and a status.

The type is an address that this server answers itself: the section of the documentation that says what to do.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from starlette.responses import Response

from evolve.errors import BadRequest, EvolveError

MEDIA_TYPE = "application/problem+json"
RETRY_S = 2  # for who is not told more exactly: a service that is starting answers by then

STATUSES: dict[str, int] = {
    "malformed": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "unknown_type": 404,
    "unknown_service": 404,
    "unknown_symbol": 404,
    "unknown_model": 404,
    "method_not_allowed": 405,
    "cancelled": 409,
    "request_id_reused": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "invalid_request": 422,
    "data_unavailable": 422,
    "rate_limited": 429,
    "internal": 500,
    "job_died": 500,
    "missing_extra": 501,
    "busy": 503,
    "unavailable": 503,
    "deadline_exceeded": 504,
    "timeout": 504,
}

# Only this surface knows them: the bus has neither addresses nor callers without a name.
OWN_CODES = ("unauthorized", "not_found", "method_not_allowed", "unsupported_media_type")
ASKS_LATER = ("rate_limited", "busy", "unavailable")


class Unauthorized(BadRequest):
    code: ClassVar[str] = "unauthorized"


class NotFound(BadRequest):
    code: ClassVar[str] = "not_found"


class MethodNotAllowed(BadRequest):
    code: ClassVar[str] = "method_not_allowed"


class UnsupportedMediaType(BadRequest):
    code: ClassVar[str] = "unsupported_media_type"


def status_of(code: str) -> int:
    """The HTTP status of a wire code; 500 for one that this version does not know."""
    return STATUSES.get(code, 500)


def type_of(code: str) -> str:
    page = "http-api" if code in OWN_CODES else "troubleshooting"
    return f"/docs/{page}.md#{code}"


def problem_of(error: EvolveError, request_id: str) -> dict[str, Any]:
    """The document: what the error says, its code, and what else it carries, under names that hide none of the standard's."""
    status = status_of(error.code)
    fixed = {
        "type": type_of(error.code),
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.message,
        "code": error.code,
        "request_id": request_id,
    }
    return {**{name: value for name, value in error.details.items() if name not in ("error", "request")}, **fixed}


def problem(error: EvolveError, request_id: str) -> Response:
    """The response; who may ask again is told when."""
    headers = {"cache-control": "no-store"}
    if error.code in ASKS_LATER:
        headers["retry-after"] = str(max(1, round(float(error.details.get("retry_after_s", RETRY_S)))))
    if error.code == "unauthorized":
        headers["www-authenticate"] = 'Bearer realm="evolve"'
    if error.code == "method_not_allowed" and "allow" in error.details:
        headers["allow"] = ", ".join(error.details["allow"])
    content = orjson.dumps(problem_of(error, request_id), option=orjson.OPT_NON_STR_KEYS, default=str)
    return Response(content, status_of(error.code), headers=headers, media_type=MEDIA_TYPE)
