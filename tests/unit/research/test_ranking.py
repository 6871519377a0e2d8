"""The order of what was found: words first, quality second, duplicates once, withdrawn last."""

from __future__ import annotations

from evolve.findings import Paper, Repository
from evolve.research.ranking import rank_papers, rank_repositories, relevance, subject_of
from research_services import moment

NOW = moment("2024-01-01")


def repo(full_name: str, description: str = "", stars: int = 0, **more) -> Repository:
    about = {
        "url": f"https://github.com/{full_name}",
        "language": "Python",
        "licence": "MIT",
        "pushed_at": "2024-01-01T00:00:00Z",
        "tag": "other",
    }
    return Repository(
        full_name=full_name, name=full_name.split("/")[1], description=description, stars=stars, **{**about, **more}
    )


def paper(arxiv_id: str, title: str, version: int = 1, **more) -> Paper:
    about = {
        "summary": "",
        "url": f"http://arxiv.org/abs/{arxiv_id}v{version}",
        "tag": "other",
        "authors": ("A B",),
        "published": "2020-01-01T00:00:00+00:00",
    }
    return Paper(arxiv_id=arxiv_id, version=version, title=title, **{**about, **more})


def test_relevance_counts_the_title_twice_and_is_one_when_all_words_stand_there():
    # two words: "bots" in the title (2), "trading" in the body (1), of 4 points
    assert relevance("trading bots", "A bot", "for trading")[0] == 0.75
    assert relevance("Trading Bot", "trading bots", "")[0] == 1.0
    assert relevance("the of", "the of", "")[0] == 0.0


def test_words_that_only_ask_are_no_part_of_the_subject():
    assert subject_of("Find papers on momentum trading") == "momentum trading"
    assert subject_of("search engine for stocks") == "engine stocks"
    assert subject_of("trading bot machine learning") == "trading bot machine learning"
    assert subject_of("show me papers") == "show me papers"


def test_what_fits_the_words_comes_before_what_is_famous():
    ranked = rank_repositories(
        "pairs trading", [repo("a/web-framework", "for everything", 90_000), repo("b/pairs-trading", "tiny", 3)], NOW
    )
    assert [each.full_name for each in ranked] == ["b/pairs-trading", "a/web-framework"]
    assert "2 of 2 words found, 2 of them in the title" in ranked[0].reasons


def test_among_equal_words_stars_freshness_and_a_licence_decide():
    ranked = rank_repositories(
        "bot",
        [repo("a/bot", "old", 5, pushed_at="2015-01-01T00:00:00Z", licence="none stated"), repo("b/bot", "new", 500)],
        NOW,
    )
    assert [each.full_name for each in ranked] == ["b/bot", "a/bot"]
    assert "no licence stated: its code may not be reused" in ranked[1].reasons


def test_copies_and_a_name_in_other_letters_are_one_repository():
    (one,) = rank_repositories(
        "bot",
        [repo("a/bot", "Trades for you", 5), repo("B/Bot", "trades for you", 900), repo("a/bot", "Trades for you", 5)],
        NOW,
    )
    assert (one.full_name, one.also) == ("B/Bot", ("https://github.com/a/bot",))


def test_versions_of_a_paper_are_one_the_newest_and_a_withdrawn_one_comes_last():
    ranked = rank_papers(
        "momentum",
        [
            paper("2101.1", "Momentum", 1),
            paper("2101.1", "Momentum", 4),
            paper("2101.2", "Momentum crashes", withdrawn=True),
            paper("2101.3", "Carry"),
        ],
        NOW,
    )
    assert [(each.arxiv_id, each.version) for each in ranked] == [("2101.1", 4), ("2101.3", 1), ("2101.2", 1)]
    assert any("WITHDRAWN" in reason for reason in ranked[-1].reasons)


def test_the_same_title_by_the_same_author_under_two_ids_is_one_work():
    (one,) = rank_papers(
        "momentum", [paper("2101.1", "Momentum!", updated="2020"), paper("2205.9", "momentum", updated="2022")], NOW
    )
    assert (one.arxiv_id, len(one.also)) == ("2205.9", 1)
