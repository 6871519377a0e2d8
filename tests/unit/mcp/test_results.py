"""What an assistant gets to read: short enough, still of its schema, and without what nobody can see."""

from __future__ import annotations

import json

import jsonschema
import pytest

from evolve.contracts.performance_critic import GetBestModels
from evolve.errors import TooLarge, UnknownModel
from evolve.mcp.offer import reply_schema
from evolve.mcp.results import MAX_CHARACTERS, SIMULATED, Told, failure, framed_schema, success, visible, without_titles


def told(**data: object) -> Told:
    return Told("critic", "best_models", "r1", 0.1, data)


def test_a_short_result_is_whole():
    result = success(told(name="AAPL", values=[1.5, None]), whole="evolve://replies/critic/r1")

    assert result.structured_content["data"] == {"name": "AAPL", "values": [1.5, None]}
    assert (result.structured_content["shortened"], result.structured_content["whole"]) == ([], None)


def test_a_long_result_is_cut_in_its_lists_and_texts_says_where_and_points_to_the_whole():
    curve = {"dates": ["2013-03-01"] * 5_000, "equity": [1.0] * 5_000, "note": "n" * 90_000, "more": ["x" * 900] * 60}

    result = success(told(curves=[curve]), whole="evolve://replies/critic/r1")

    shown = result.structured_content
    assert len(json.dumps(shown["data"])) <= MAX_CHARACTERS
    assert shown["data"]["curves"][0]["dates"] == ["2013-03-01"] * 24
    assert "curves[].equity: the first 24 of 5,000 entries" in shown["shortened"]
    assert shown["whole"] == "evolve://replies/critic/r1"
    assert "evolve://replies/critic/r1" in result.content[0].text


def test_curves_are_cut_before_rows():
    rows = [{"name": f"model {number}", "sharpe": 0.1} for number in range(100)]

    shown = success(told(rows=rows, curve=[1.234567] * 9_000)).structured_content

    assert len(shown["data"]["rows"]) == 100
    assert shown["shortened"] == ["curve: the first 200 of 9,000 entries"]


def test_a_result_that_cannot_be_cut_is_refused():
    with pytest.raises(TooLarge, match="evolve://replies/critic/r1"):
        success(told(**{f"field{number}": "x" * 290 for number in range(200)}), whole="evolve://replies/critic/r1")


def test_a_cut_reply_still_has_the_schema_of_its_tool():
    evidence = {"id": "e1", "name": "sharpe", "of": "ridge", "value": 0.1, "unit": "ratio", "as_of": "2013-03-01", "source": "s", "computed": "c",
                "low": None, "high": None, "level": None, "note": ""}  # fmt: skip
    data = {"symbol": "AAPL", "timeframe": "1d", "bars": 1, "source": "s", "fingerprint": "f", "first": "a", "last": "b", "simulated": True,
            "status": "simulated", "notes": ["n" * 999] * 300}  # fmt: skip
    trust = {"verdict": "no_edge", "reason": "r", "data": data, "costs": {"fee_bps": 1, "slippage_bps": 1, "borrow_bps_per_year": 0}, "folds": 5,
             "out_of_sample_bars": 9, "trials": 1, "ledger_position": 1, "baselines": [], "evidence": [], "caveats": [], "reproduce": ""}  # fmt: skip
    curve = {"name": "ridge", "dates": ["2013-03-01"] * 900, "equity": [1.0] * 900, "simulated": True}
    card = {"evaluation_id": "v", "model_id": "m", "symbol": "AAPL", "timeframe": "1d", "period": "90d", "overall_score": None,
            "metrics": {"sharpe": evidence}, "in_period": {}, "trust": trust, "created_at": "", "curves": [curve]}  # fmt: skip

    result = success(told(models=[card] * 40, symbol="AAPL", timeframe="1d", metric="sharpe"))

    jsonschema.validate(result.structured_content, framed_schema(reply_schema(GetBestModels)))
    assert result.structured_content["notice"].startswith(SIMULATED)


def test_a_field_called_title_stays_in_a_schema_without_titles():
    schema = {"title": "Paper", "type": "object", "properties": {"title": {"title": "Title", "type": "string"}}}

    assert without_titles(schema) == {"type": "object", "properties": {"title": {"type": "string"}}}


@pytest.mark.parametrize(
    ("hostile", "seen"),
    [("a\x1b[31mb", "a[31mb"), ("\u202eabc\u2066", "abc"), ("x\u200b\U000e0041\ufeffy", "xy"), ("a\r\nb\tc", "a\nb\tc"), ("Zürich 中文 ✓", "Zürich 中文 ✓")],
)  # fmt: skip
def test_what_cannot_be_seen_is_taken_out(hostile, seen):
    assert visible(hostile) == seen


def test_a_failure_has_its_code_a_sentence_and_what_to_do():
    result = failure(UnknownModel("there is no model 'm1'\x1b[2J"))

    error = result.structured_content["error"]
    assert result.is_error
    assert (error["code"], error["message"]) == ("unknown_model", "there is no model 'm1'[2J")
    assert "best_models" in error["hint"]
    assert result.content[0].text.startswith("unknown_model: there is no model")
