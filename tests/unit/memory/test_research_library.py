"""The library: what searches brought home is found again by its words."""

from __future__ import annotations

import pytest

from evolve.clock import FrozenClock
from evolve.findings import Paper, Repository
from evolve.memory.library import Library


def paper(arxiv_id: str, title: str, summary: str = "", **more) -> Paper:
    return Paper(
        arxiv_id=arxiv_id,
        version=1,
        title=title,
        summary=summary,
        url=f"http://arxiv.org/abs/{arxiv_id}",
        tag="other",
        **more,
    )


def repository(full_name: str, description: str) -> Repository:
    return Repository(
        full_name=full_name, name=full_name, url="u", description=description, stars=1, language="Python", licence="MIT", pushed_at="", tag="other"
    )  # fmt: skip


@pytest.fixture
def library(database) -> Library:
    return Library(database, clock=FrozenClock(5.0))


def test_words_find_what_holds_any_of_them_the_title_first(library):
    assert library.save([paper("1", "Carry", "and momentum"), paper("2", "Momentum"), paper("3", "Bonds")]) == 3
    assert [found.arxiv_id for found in library.search(Paper, "momentum strategies", 10)] == ["2", "1"]


def test_endings_letters_and_accents_do_not_matter(library):
    library.save([paper("1", "Itô processes in Märkten")])
    for words in ("ITO", "process", "markten"):
        assert len(library.search(Paper, words, 5)) == 1, words


def test_what_is_found_again_replaces_what_was_known_and_its_words(library):
    library.save([paper("1", "Momentum")])
    assert library.save([paper("1", "Reversal")]) == 0
    assert library.search(Paper, "momentum", 5) == ()
    assert [found.title for found in library.search(Paper, "reversal", 5)] == ["Reversal"]


def test_papers_and_repositories_are_kept_apart(library):
    library.save([paper("1", "Bots"), repository("a/bots", "trades")])
    assert [type(found) for found in library.search(Repository, "bots", 5)] == [Repository]
    assert library.get(Repository, "A/Bots") is not None
    assert library.get(Paper, "2") is None


@pytest.mark.parametrize(
    "query", ['"', "a AND", "NEAR(", "title:x", "*", "-", "'; DROP TABLE library; --", "(", "", "\x00", "x" * 10_000]
)
def test_no_query_is_an_operator_or_an_error(library, query):
    library.save([paper("1", "Momentum")])
    assert library.search(Paper, query, 5) == ()
