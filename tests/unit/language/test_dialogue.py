from __future__ import annotations

import pytest

from evolve.language.parse import parse


def test_an_elliptical_follow_up_inherits_what_it_does_not_restate():
    frame = parse("what about MSFT?", ["Give me the best model for NVDA on 1h over 90 days"])

    assert (frame.intent, frame.symbols, frame.timeframe, frame.period_days) == (
        "model_recommendation",
        ("MSFT",),
        "1h",
        90,
    )
    assert frame.slots["symbols"].origin == "stated"
    assert frame.slots["period_days"].origin == "inherited"
    assert frame.slots["period_days"].span is None


@pytest.mark.parametrize(
    "query",
    [
        "Should I buy NVDA?",
        "Which stocks are performing well?",
        "help",
        "Find papers on volatility",
        "what is overfitting?",
    ],
)
def test_a_complete_question_inherits_nothing(query: str):
    assert parse(query, ["Analyze TSLA on 4h over 90 days"]) == parse(query)


def test_it_stands_for_the_symbol_before():
    frame = parse("should I buy it?", ["Analyze TSLA"])

    assert (frame.intent, frame.symbols, frame.side) == ("trading_signal", ("TSLA",), "buy")


def test_compare_it_with_adds_a_symbol():
    frame = parse("compare it with MSFT", ["Analyze AAPL"])

    assert frame.symbols == ("AAPL", "MSFT")
    assert [slot.origin for slot in frame.symbol_slots] == ["inherited", "stated"]


def test_a_chain_of_follow_ups_leans_on_the_latest_turn():
    frame = parse("and over a year?", ["Analyze AAPL over 30 days", "what about MSFT?"])

    assert (frame.symbols, frame.period_days) == (("MSFT",), 365)


def test_a_symbol_ruled_out_is_not_inherited():
    assert parse("same but without NVDA", ["Compare AAPL and NVDA"]).symbols == ("AAPL",)


def test_without_earlier_turns_nothing_is_inherited():
    assert parse("what about MSFT?").symbols == ("MSFT",)
    assert parse("should I buy it?").symbols == ()


def test_an_earlier_turn_that_was_not_understood_is_passed_over():
    assert parse("and MSFT?", ["Plot AAPL over 30 days", "asdf qwer"]).intent == "plot_request"
