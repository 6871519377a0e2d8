"""How does somebody read a long list in pieces? With a cursor that says which entry was the last one seen.

Lists are newest first and grow at the top: a place counted from there would repeat entries, so the cursor knows the entry.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from annotated_types import Le

from evolve.errors import InvalidRequest
from evolve.messaging.messages import Request

SLACK = 50  # entries that may have come on top since the page before, without a second question
MAX_LIMIT = 10_000
HOW = "begin anew without a cursor"


@dataclass(frozen=True, slots=True)
class Cursor:
    """offset: how many entries the pages before held; last: which entry was the last of them."""

    offset: int
    last: str

    def text(self) -> str:
        return base64.urlsafe_b64encode(f"{self.offset}.{self.last}".encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises InvalidRequest."""
        try:
            plain = base64.urlsafe_b64decode(text[:200] + "=" * (-len(text[:200]) % 4)).decode("ascii")
            offset, _, last = plain.partition(".")
            if offset.isdecimal() and int(offset) <= MAX_LIMIT and last:
                return cls(int(offset), last)
        except (binascii.Error, ValueError):
            pass
        raise InvalidRequest(f"this is no cursor of ours: take it from the Link of the page before, or {HOW}")


@dataclass(frozen=True, slots=True)
class Paged:
    """A request whose reply is one list. most: the longest it gives at once."""

    entries: str
    most: int

    def ask_for(self, limit: int, cursor: Cursor | None) -> int:
        """How many entries to ask for, so that the page and one more are among them."""
        return min(self.most, limit + 1 + (cursor.offset + SLACK if cursor else 0))

    def cut(
        self, data: Mapping[str, Any], limit: int, cursor: Cursor | None
    ) -> tuple[dict[str, Any], Cursor | None] | None:
        """The page, and the cursor of the next if there is one; None when what the cursor knows is not among these entries."""
        entries = data[self.entries]
        start = 0 if cursor is None else _after(entries, cursor)
        if start is None:
            return None
        page = entries[start : start + limit]
        more = start + limit < len(entries) and start + limit < self.most
        changed = {**data, self.entries: page}
        if data.get("count") == len(entries):
            changed["count"] = len(page)
        return changed, Cursor(start + limit, digest(page[-1])) if more and page else None


def paged(request: type[Request[Any]]) -> Paged | None:
    """How to page a request's reply; None for one that is no list with a limit."""
    limit = request.model_fields.get("limit")
    lists = [name for name, field in request.reply_type.model_fields.items() if _is_list(field.annotation)]
    if limit is None or len(lists) != 1:
        return None
    most = next((int(each.le) for each in limit.metadata if isinstance(each, Le)), MAX_LIMIT)  # type: ignore[call-overload]
    return Paged(lists[0], most)


def _is_list(annotation: object) -> bool:
    if isinstance(annotation, types.UnionType):
        return any(_is_list(part) for part in typing.get_args(annotation))
    return typing.get_origin(annotation) in (tuple, list)


def _after(entries: Sequence[object], cursor: Cursor) -> int | None:
    # It stands where it stood or further down, for lists grow at the top; it is looked for there first.
    before = max(0, cursor.offset - 1)
    for place in itertools.chain(range(before, len(entries)), range(min(before, len(entries)))):
        if digest(entries[place]) == cursor.last:
            return place + 1
    return None


def digest(entry: object) -> str:
    raw = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.blake2b(raw, digest_size=9).hexdigest()


def next_link(path: str, query: Mapping[str, str], cursor: str) -> str:
    """The value of a Link header (RFC 8288) to the next page."""
    from urllib.parse import urlencode

    return f'<{path}?{urlencode({**query, "cursor": cursor})}>; rel="next"'


def whole_number(text: str | None, name: str, default: int, *, at_most: int) -> int:
    """A number from a query. Raises InvalidRequest."""
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:9]) <= at_most:
        raise InvalidRequest(f"{name} must be a whole number from 1 to {at_most}, not {text[:40]!r}")
    return int(text)
