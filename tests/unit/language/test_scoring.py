from __future__ import annotations

from pathlib import Path

import pytest

from evolve.errors import InvalidRequest
from evolve.language.frame import Frame
from evolve.language.scoring import LabelledQuery, mistakes, read_labelled, score

GOLD = (
    LabelledQuery("1", "a", "trading_signal", ("AAPL", "MSFT"), "1h", None, None, "buy"),
    LabelledQuery("2", "b", "market_analysis", ("TSLA",), None, 30, None, None),
    LabelledQuery("3", "c", "unsupported", (), None, None, None, None),
)


def test_the_metrics_are_those_of_hand_arithmetic():
    frames = (
        Frame("trading_signal", ("AAPL",), "1h", 7, None, "buy"),  # one symbol missed, a period invented
        Frame("market_analysis", ("TSLA",), None, 30),
        Frame("unsupported"),
    )

    metrics = score(frames, GOLD)

    assert metrics["intent"] == 1.0
    assert metrics["symbol_f1"] == 0.8  # 2·2 / (2·2 + 0 + 1)
    assert metrics["symbols_exact"] == 0.5
    assert metrics["period_days"] == 0.5
    assert metrics["period_days_recall"] == 1.0
    assert metrics["period_days_invented"] == 1.0
    assert metrics["frame_exact"] == 0.667
    assert metrics["n"] == 3


def test_slots_of_an_unsupported_query_are_not_scored():
    assert score([Frame("unsupported", ("AAPL",))], GOLD[2:])["frame_exact"] == 1.0


def test_a_mistake_says_what_was_got_and_what_was_wanted():
    assert mistakes([Frame("market_analysis", ("F",), None, 30)], GOLD[1:2]) == ["2 'b': symbols ['F'] for ['TSLA']"]


def test_a_line_that_is_no_labelled_query_is_named(tmp_path: Path):
    file = tmp_path / "bad.jsonl"
    file.write_text('{"id": "1"}\n')

    with pytest.raises(InvalidRequest, match="line 1"):
        read_labelled(file)
