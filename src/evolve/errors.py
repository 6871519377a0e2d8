"""Every error a caller can meet, as one tree. `code` is the word on the wire; the message is a sentence to act on.

EvolveError
├── BadRequest            the caller can mend it and send it again
│   ├── Malformed         malformed            not JSON, or not an envelope
│   ├── UnknownType       unknown_type         the service has no such request
│   ├── InvalidRequest    invalid_request      a field is missing, unknown or out of range
│   ├── UnknownService    unknown_service
│   ├── UnknownSymbol     unknown_symbol
│   ├── UnknownModel      unknown_model
│   ├── TooLarge          too_large
│   ├── Forbidden         forbidden
│   └── RequestIdReused   request_id_reused    same id, other content
├── DataUnavailable       data_unavailable     no bars for what was asked; never replaced by invented ones
├── MissingExtra          missing_extra        an optional package is not installed
├── Unavailable           unavailable          nobody answers: service, server or port
│   ├── Busy              busy
│   └── RateLimited       rate_limited
├── Interrupted           the work was stopped from outside
│   ├── TimedOut          timeout              the client stopped waiting; the request goes on
│   ├── Cancelled         cancelled
│   └── DeadlineExceeded  deadline_exceeded
├── JobDied               job_died             the process doing the work ended without an answer
└── Internal              internal             a bug of ours; the traceback is in the log
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, ClassVar


class EvolveError(Exception):
    """An error with a wire code. `details` travel in the error reply beside the sentence."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class BadRequest(EvolveError):
    code = "invalid_request"


class Malformed(BadRequest):
    code = "malformed"


class UnknownType(BadRequest):
    code = "unknown_type"


class InvalidRequest(BadRequest):
    code = "invalid_request"


class UnknownService(BadRequest):
    code = "unknown_service"


class UnknownSymbol(BadRequest):
    code = "unknown_symbol"


class UnknownModel(BadRequest):
    code = "unknown_model"


class TooLarge(BadRequest):
    code = "too_large"


class Forbidden(BadRequest):
    code = "forbidden"


class RequestIdReused(BadRequest):
    code = "request_id_reused"


class DataUnavailable(EvolveError):
    code = "data_unavailable"


class MissingExtra(EvolveError):
    code = "missing_extra"


class Unavailable(EvolveError):
    code = "unavailable"


class Busy(Unavailable):
    code = "busy"


class RateLimited(Unavailable):
    code = "rate_limited"


class Interrupted(EvolveError):
    code = "cancelled"


class TimedOut(Interrupted):
    code = "timeout"


class Cancelled(Interrupted):
    code = "cancelled"


class DeadlineExceeded(Interrupted):
    code = "deadline_exceeded"


class JobDied(EvolveError):
    code = "job_died"


class Internal(EvolveError):
    code = "internal"


def _leaves(cls: type[EvolveError]) -> Iterable[type[EvolveError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _leaves(child)


def error_for(code: str) -> type[EvolveError]:
    """The class that carries `code`; `Internal` for a code this version does not know."""
    by_code = {cls.code: cls for cls in _leaves(EvolveError) if cls not in (BadRequest, Interrupted)}
    return by_code.get(code, Internal)


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names most like `name`, best first: what an error suggests."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    return [by_folded[match] for match in get_close_matches(name.casefold(), by_folded, n=limit, cutoff=0.4)]
