"""How often is a question understood? The gates over the 60 public queries and over our own, labelled by the same rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.language.frame import INTENTS
from evolve.language.parse import parse
from evolve.language.scoring import LabelledQuery, read_labelled, score_file

HERE = Path(__file__).parent
PUBLIC = HERE / "public.jsonl"
OWN = HERE / "queries.jsonl"
# Written in one pass by somebody who wrote none of the rules, scored before anything was changed, and never used to change a rule: what
# its mistakes teach belongs into queries.jsonl in other words. docs/language.md has the first score.
HIDDEN = HERE / "hidden.jsonl"

# Every example query of the specification's natural-language section, with the frame that the labelling rules give it.
SPECIFIED = {
    "Give me the best model for NVDA over 90 days": ("model_recommendation", ("NVDA",), None, 90, None, None),
    "Find the optimal model for TSLA on 1h timeframe": ("model_recommendation", ("TSLA",), "1h", None, None, None),
    "What model should I use for BTCUSDT?": ("model_recommendation", ("BTCUSDT",), None, None, None, None),
    "Should I long TSLA this week?": ("trading_signal", ("TSLA",), None, 7, None, "long"),
    "What's the trading signal for AAPL?": ("trading_signal", ("AAPL",), None, None, None, None),
    "Should I buy GOOGL now?": ("trading_signal", ("GOOGL",), None, None, None, "buy"),
    "Should I buy AAPL now?": ("trading_signal", ("AAPL",), None, None, None, "buy"),
    "Analyze BTCUSDT market conditions": ("market_analysis", ("BTCUSDT",), None, None, None, None),
    "What's happening with ETHUSDT?": ("market_analysis", ("ETHUSDT",), None, None, None, None),
    "Give me a market overview for MSFT": ("market_analysis", ("MSFT",), None, None, None, None),
    "What's the best strategy for crypto trading?": ("general_query", (), None, None, None, None),
    "Which stocks are performing well?": ("general_query", (), None, None, None, None),
    "Show me the latest model performance": ("general_query", (), None, None, None, None),
    "Build me an LSTM model for Bitcoin prediction": ("model_build", ("BTCUSDT",), None, None, "lstm", None),
}


@pytest.mark.parametrize("query", SPECIFIED)
def test_every_example_query_of_the_specification_is_understood_whole(query: str):
    frame = parse(query)

    assert SPECIFIED[query] == (
        frame.intent,
        frame.symbols,
        frame.timeframe,
        frame.period_days,
        frame.model,
        frame.side,
    )


def test_the_public_queries_meet_their_gates():
    metrics, mistakes = score_file(PUBLIC)

    assert metrics["n"] == 60
    assert metrics["intent"] >= 0.95, mistakes
    assert metrics["symbol_f1"] >= 0.98, mistakes
    assert metrics["frame_exact"] >= 0.90, mistakes
    assert not [name for name in metrics if name.endswith("_invented") and metrics[name] > 0], mistakes


def test_our_own_queries_meet_their_gates():
    metrics, mistakes = score_file(OWN)

    assert metrics["n"] >= 400
    assert metrics["intent"] >= 0.97, mistakes
    assert metrics["symbol_f1"] >= 0.98, mistakes
    assert metrics["period_days"] >= 0.98, mistakes
    assert metrics["timeframe"] >= 0.98, mistakes
    assert metrics["frame_exact"] >= 0.95, mistakes
    assert not [name for name in metrics if name.endswith("_invented") and metrics[name] > 0.01], mistakes


def test_queries_that_no_rule_was_written_for_meet_what_is_wanted_of_unseen_ones():
    metrics, mistakes = score_file(HIDDEN)

    assert metrics["n"] >= 150
    assert metrics["intent"] >= 0.92, mistakes
    assert metrics["symbol_f1"] >= 0.95, mistakes
    assert metrics["period_days"] >= 0.95, mistakes
    assert metrics["timeframe"] >= 0.95, mistakes
    assert metrics["frame_exact"] >= 0.82, mistakes
    assert not [name for name in metrics if name.endswith("_invented") and metrics[name] > 0.02], mistakes


@pytest.mark.parametrize(
    "label",
    [
        label
        for label in (*read_labelled(PUBLIC), *read_labelled(OWN))
        if "injection" in label.tags or "inj" in label.tags
    ],
    ids=lambda label: label.id,
)
def test_instructions_inside_a_query_have_no_effect(label: LabelledQuery):
    frame = parse(label.query, label.context)

    assert frame.intent == label.intent
    if label.intent != "unsupported":
        assert (frame.symbols, frame.model, frame.side) == (label.symbols, label.model, label.side)


def test_our_own_queries_cover_every_intent_and_five_languages():
    labels = read_labelled(OWN)

    assert {label.intent for label in labels} == set(INTENTS)
    assert {"en", "es", "de", "fr", "zh"} <= {label.lang for label in labels}
