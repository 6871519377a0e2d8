"""The research log: steps with tags, notes and links, each once."""

from __future__ import annotations

import pytest

from evolve.clock import FrozenClock
from evolve.errors import InvalidRequest
from evolve.memory.research_log import ResearchLog


@pytest.fixture
def log(database) -> ResearchLog:
    return ResearchLog(database, clock=FrozenClock(0.0))


def test_an_entry_keeps_its_tags_links_and_document(log):
    entry = log.record(
        "search",
        "momentum",
        document={"query": "x"},
        request_id="r1",
        tags=("Momentum", "two words"),
        links=("b", "a", "a"),
    )
    assert (entry.at, entry.kind, entry.tags, entry.links) == (
        "1970-01-01T00:00:00Z",
        "search",
        ("momentum", "two_words"),
        ("a", "b"),
    )
    assert log.latest() == (entry,)
    assert entry.document == {"query": "x"}


def test_a_request_that_runs_twice_has_one_entry(log):
    first = log.record("code", "first", document={}, request_id="r1")
    assert log.record("code", "second", document={}, request_id="r1") == first
    assert len(log.latest()) == 1


def test_all_tags_asked_for_must_be_there_and_the_newest_comes_first(log):
    for number, tags in enumerate([("a",), ("a", "b"), ("b", "a"), ("c",)]):
        log.record("search", str(number), document={}, request_id=str(number), tags=tags)
    assert [entry.title for entry in log.latest(("A", "b"))] == ["2", "1"]
    assert [entry.title for entry in log.latest(limit=2)] == ["3", "2"]
    assert log.latest(("a", "c")) == ()


def test_notes_are_added_in_order_and_once_per_request(log):
    entry = log.record("paper", "p", document={}, request_id="r1")
    log.annotate(entry.entry_id, "first", tags=(), request_id="n1")
    log.annotate(entry.entry_id, "second", tags=("seen",), request_id="n2")
    log.annotate(entry.entry_id, "second", tags=("seen",), request_id="n2")
    (found,) = log.latest(("seen",))
    assert found.notes == ("first", "second")
    with pytest.raises(InvalidRequest, match="evolve research log"):
        log.annotate("none", "x", tags=(), request_id="n3")


def test_what_links_to_a_target_is_found_the_newest_first(log):
    log.record("search", "old", document={}, request_id="1", links=("u",))
    new = log.record("search", "new", document={}, request_id="2", links=("u", "v"))
    assert log.about("u") == new.entry_id
    assert log.about("w") is None
