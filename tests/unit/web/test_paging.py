"""Long lists in pieces: whole, in order, nothing twice, also while the list grows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from evolve.contracts.model_builder import BuildModel, ListAliases, ListModels
from evolve.contracts.quant_gpt import GetQueryHistory
from evolve.errors import InvalidRequest
from evolve.messaging.messages import Reply, Request
from evolve.web.paging import Cursor, Paged, paged, whole_number


class Entries(Reply):
    entries: tuple[dict[str, int], ...]
    count: int


class GetEntries(Request[Entries], service="x"):
    limit: int = Field(10, ge=1, le=1000)


def test_which_replies_are_lists() -> None:
    assert paged(GetQueryHistory) == Paged("history", 1000)
    assert paged(ListModels) == Paged("models", 10_000)
    assert paged(GetEntries) == Paged("entries", 1000)
    assert paged(ListAliases) is None  # two lists: a cursor would not know which
    assert paged(BuildModel) is None


@given(total=st.integers(0, 40), limit=st.integers(1, 12), grown=st.lists(st.integers(0, 3), min_size=45, max_size=45))
def test_pages_hold_every_entry_once_while_new_ones_come_on_top(total: int, limit: int, grown: list[int]) -> None:
    pages = Paged("entries", 1000)
    stored = [{"n": n} for n in range(total)][::-1]  # newest first
    seen: list[dict[str, int]] = []
    cursor: Cursor | None = None
    for more in grown:
        asked = stored[: pages.ask_for(limit, cursor)]
        cut = pages.cut({"entries": asked, "count": len(asked)}, limit, cursor)
        assert cut is not None
        data, cursor = cut
        assert data["count"] == len(data["entries"]) <= limit
        seen += data["entries"]
        if cursor is None:
            break
        cursor = Cursor.parse(cursor.text())
        stored = [{"n": 1_000 + len(stored) + n} for n in range(more)] + stored

    assert seen == [{"n": n} for n in range(total)][::-1]


def test_an_entry_that_is_gone_is_noticed() -> None:
    pages = Paged("entries", 1000)
    _, cursor = pages.cut({"entries": [{"n": n} for n in range(9)]}, 3, None) or ({}, None)

    assert pages.cut({"entries": [{"n": 77}]}, 3, cursor) is None


@pytest.mark.parametrize("text", ["", "x", "é", "MC4", "a" * 5_000, "OTk5OTk5OTk5OTkuYWE"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="begin anew"):
        Cursor.parse(text)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("1", True),
        ("500", True),
        ("0", False),
        ("501", False),
        ("٣", False),
        ("-1", False),
        ("9" * 5_000, False),
        ("", False),
    ],
)
def test_a_limit_is_a_whole_number_in_bounds(text: str, valid: bool) -> None:
    def read() -> Any:
        return whole_number(text, "limit", 50, at_most=500)

    if valid:
        assert read() == int(text)
    else:
        with pytest.raises(InvalidRequest):
            read()
