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
│   └── Truncated         data_unavailable     a source gave fewer bars than the venue's calendar says there are
├── MissingExtra          missing_extra        an optional package is not installed
├── Unavailable           unavailable          nobody answers: service, server or port
│   ├── Busy              busy
│   ├── BadAnswer         unavailable          somebody answers, but not what was asked: HTML for JSON, a page twice
│   └── RateLimited       rate_limited
├── Interrupted           the work was stopped from outside
│   ├── TimedOut          timeout              the client stopped waiting; the request goes on
│   ├── Cancelled         cancelled
│   └── DeadlineExceeded  deadline_exceeded
├── JobDied               job_died             the process doing the work ended without an answer
│   └── LeaseLost         job_died             this run was taken over; nobody hears its reply
└── Internal              internal             a bug of ours; the traceback is in the log
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar


class EvolveError(Exception):
    """An error with a wire code. `details` travel in the error reply beside the sentence."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    @property
    def help(self) -> str:
        """Where it is explained, and how each cause is mended."""
        return help_for(self.code)


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


class Truncated(DataUnavailable):
    """Fewer bars than there must be: what came is not used, for nobody knows what else is missing."""


class MissingExtra(EvolveError):
    code = "missing_extra"


class Unavailable(EvolveError):
    code = "unavailable"


class Busy(Unavailable):
    code = "busy"


class BadAnswer(Unavailable):
    """Somebody answers, but not what was asked."""


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


class LeaseLost(JobDied):
    """Another replica took this request over: this run may change nothing more, and nobody hears its reply."""


class Internal(EvolveError):
    code = "internal"


def _leaves(cls: type[EvolveError]) -> Iterable[type[EvolveError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _leaves(child)


# They carry the code of what they are a case of: on the wire the contract's list is closed.
_FINER = (BadRequest, Interrupted, LeaseLost, Truncated, BadAnswer)


def help_for(code: str) -> str:
    """The section of the documentation about an error code."""
    return f"docs/troubleshooting.md#{code}"


def error_for(code: str) -> type[EvolveError]:
    """The class that carries `code`; `Internal` for a code this version does not know."""
    by_code = {cls.code: cls for cls in _leaves(EvolveError) if cls not in _FINER}
    return by_code.get(code, Internal)


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names most like `name`, best first: what an error suggests."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    return [by_folded[match] for match in get_close_matches(name.casefold(), by_folded, n=limit, cutoff=0.4)]


def violation(kind: str, context: Mapping[str, object], message: str, value: str) -> str:
    """What is wrong with a value, as the end of a sentence that begins with its name: "must be at least 2, not 1".

    kind, context, message: of one of pydantic's validation errors; value: the value as it may be shown.
    """
    if kind == "value_error":  # a validator of ours: it says all there is to say
        return f"is not valid: {message.removeprefix('Value error, ')}"
    wanted = {
        "string_type": "must be text",
        "int_type": "must be a whole number",
        "int_parsing": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_type": "must be a number",
        "float_parsing": "must be a number",
        "finite_number": "must be a finite number",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
        "tuple_type": "must be a list",
        "list_type": "must be a list",
        "dict_type": "must be an object",
        "literal_error": "must be {expected}",
        "greater_than_equal": "must be at least {ge}",
        "greater_than": "must be more than {gt}",
        "less_than_equal": "must be at most {le}",
        "less_than": "must be less than {lt}",
    }.get(kind)
    if wanted is not None:
        return f"{wanted.format(**context)}, not {value}"
    if kind in ("too_short", "too_long"):
        bound = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"needs {bound} entries, not {context['actual_length']}"
    if kind in ("string_too_short", "string_too_long"):
        bound = (
            f"at least {context['min_length']}" if kind == "string_too_short" else f"at most {context['max_length']}"
        )
        return f"must have {bound} characters, unlike {value}"
    return f"is not valid: {message} (got {value})"
