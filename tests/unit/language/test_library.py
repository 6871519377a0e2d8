"""A question about concepts is answered by a quotation with its source, or by saying that there is none."""

from __future__ import annotations

import pytest

from evolve.language.library import Library, Passage, documentation, passages_of, quote
from evolve.language.parse import parse

OURS = Library(documentation())


@pytest.mark.parametrize(
    ("question", "heading"),
    [
        ("what is a Sharpe ratio?", "Sharpe ratio"),
        ("What is an LSTM?", "LSTM"),
        ("what is overfitting", "Overfitting"),
        ("Define maximum drawdown", "Drawdown"),
        ("Was ist ein Drawdown?", "Drawdown"),
        ("什么是回撤？", "Drawdown"),
        ("C'est quoi le ratio de Sharpe ?", "Sharpe ratio"),
        ("Que signifie vendre à découvert ?", "Long and short"),
        ("difference between long and short", "Long and short"),
        ("Explain walk-forward validation", "Walk-forward validation"),
        ("how do I retrain a model?", "How do I retrain a model"),
        ("are all services healthy?", "How do I see what runs"),
        ("What does the meta tuner do?", "Meta tuner"),
        ("what can you do?", "What can Evolve do"),
        ("how is risk measured here?", "How is risk measured"),
    ],
)
def test_the_passage_that_explains_it_comes_first(question: str, heading: str):
    assert OURS.search(question)[0].passage.heading == heading


@pytest.mark.parametrize(
    "question",
    [
        "what is a butterfly spread",
        "what is quantum chromodynamics",
        "who won the election in France",
        "what is the gamma of an option",
    ],
)
def test_what_our_texts_do_not_explain_is_not_answered_by_what_shares_a_word(question: str):
    assert OURS.search(question) == []


def test_a_quotation_says_where_it_stands_and_ends_with_a_sentence():
    passage = Passage("docs/x.md, “Costs”", "Costs", "A fee is charged. " * 60)

    quoted = quote(passage)

    assert quoted.endswith("charged.” (docs/x.md, “Costs”)")
    assert len(quoted) < 500


def test_rare_words_count_more_than_common_ones():
    library = Library(
        [
            Passage("a", "Models", "models models models"),
            Passage("b", "Kelp", "kelp models"),
            Passage("c", "Bars", "models bars"),
        ]
    )

    assert [found.passage.source for found in library.search("kelp models")] == ["b"]


def test_a_page_is_cut_at_its_headings_but_not_in_its_code():
    page = "# Title\nfirst\n\n## Part\nsecond\n```\n# no heading\n```\n"

    assert [(each.source, each.heading) for each in passages_of(page, "docs/p.md")] == [
        ("docs/p.md", "Title"),
        ("docs/p.md, “Part”", "Part"),
    ]


@pytest.mark.parametrize(
    ("query", "topic", "universe"),
    [
        ("Which stocks are performing well?", "cross_section", "stocks"),
        ("which coins are trending today?", "cross_section", "coins"),
        ("What's the best strategy for crypto trading?", "strategy", "coins"),
        ("Show me the latest model performance", "model_performance", None),
        ("show my query history", "history", None),
        ("list all models", "models", None),
        ("what models do you support", "supported", None),
        ("what timeframes can I use?", "supported", None),
        ("explain the performance of a crypto strategy", "documentation", "coins"),
        ("Should I buy AAPL now?", None, None),
    ],
)
def test_what_a_general_question_is_about_is_read_by_the_rule_that_understood_it(
    query: str, topic: str | None, universe: str | None
):
    frame = parse(query)

    assert (frame.topic, frame.universe) == (topic, universe)
