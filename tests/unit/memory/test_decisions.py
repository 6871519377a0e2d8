"""The decision log: once per service and request, found again, without secrets, never too large."""

from __future__ import annotations

import hashlib

import pytest

from evolve.errors import InvalidRequest
from evolve.memory.canonical import canonical_json
from evolve.memory.decisions import MAX_JSON_BYTES, DecisionLog
from evolve.memory.redaction import REDACTED
from unit.memory.examples import decision


@pytest.fixture
def log(database):
    return DecisionLog(database)


def test_a_decision_comes_back_as_recorded(log):
    recorded = decision(
        asked_by="cli",
        data_hash="f" * 64,
        seed=7,
        parent="r0",
        symbols=("AAPL", "MSFT"),
        status="error",
        error_code="timeout",
    )

    log.record(recorded)

    assert log.get("r1") == recorded


def test_the_same_request_is_recorded_once_and_the_first_record_stays(log):
    assert log.record(decision(outcome={"model_id": "first"})) is True
    assert log.record(decision(outcome={"model_id": "second"}, symbols=("AAPL",))) is False

    assert [made.outcome for made in log.history()] == [{"model_id": "first"}]
    assert log.get("r1").symbols == ()


def test_two_services_may_decide_on_one_request_id(log):
    log.record(decision())
    log.record(decision(service="quant_gpt"))

    assert log.get("r1", service="quant_gpt").service == "quant_gpt"
    assert len(log.history()) == 2


def test_history_is_newest_first_and_limited(log):
    for number in range(5):
        log.record(decision(request_id=f"r{number}"))

    assert [made.request_id for made in log.history(3)] == ["r4", "r3", "r2"]


def test_history_by_service_symbol_type_and_time(log):
    log.record(decision(request_id="a", symbols=("AAPL",), finished_at=10.0))
    log.record(decision(request_id="b", symbols=("AAPL", "MSFT"), finished_at=20.0, service="quant_gpt"))
    log.record(decision(request_id="c", symbols=("AAPLX",), finished_at=30.0, request_type="list_models"))

    def ids(**filters):
        return [made.request_id for made in log.history(**filters)]

    assert ids(symbol="AAPL") == ["b", "a"]
    assert ids(service="quant_gpt") == ["b"]
    assert ids(request_type="list_models") == ["c"]
    assert ids(since=20.0) == ["c", "b"]
    assert ids(symbol="AAPL", since=15.0) == ["b"]
    assert ids(symbol="TSLA") == []


@pytest.mark.usefixtures("sqlite_only")
def test_secrets_in_inputs_and_outcome_do_not_reach_the_file(log, database):
    log.record(decision(inputs={"openai_api_key": "hunter2-in"}, outcome={"url": "redis://u:hunter2-out@h"}))

    assert log.get("r1").inputs == {"openai_api_key": REDACTED}
    assert log.get("r1").outcome == {"url": f"redis://{REDACTED}@h"}
    assert b"hunter2" not in b"".join(path.read_bytes() for path in database.path.parent.iterdir() if path.is_file())


def test_an_outcome_beyond_the_cap_keeps_its_size_hash_and_beginning(log):
    outcome = {"text": "ü" * MAX_JSON_BYTES}
    whole = canonical_json(outcome).encode()

    log.record(decision(outcome=outcome))

    kept = log.get("r1").outcome
    assert (kept["truncated"], kept["bytes"], kept["sha256"]) == (True, len(whole), hashlib.sha256(whole).hexdigest())
    assert kept["begins"].startswith('{"text":"üüü')


def test_an_outcome_at_the_cap_is_kept_whole(log):
    outcome = {"text": "x" * (MAX_JSON_BYTES - len('{"text":""}'))}

    log.record(decision(outcome=outcome))

    assert log.get("r1").outcome == outcome


def test_an_unknown_request_is_a_sentence_that_names_the_command(log):
    with pytest.raises(
        InvalidRequest, match="no decision on request 'r9' is recorded by quant_gpt; `evolve history` lists the latest"
    ):
        log.get("r9", service="quant_gpt")


def test_secrets_in_what_is_too_large_are_redacted_too(log):
    log.record(decision(inputs={"api_key": "hunter2", "code": "token = 'hunter2'" + " " * MAX_JSON_BYTES}))

    assert "hunter2" not in log.get("r1").inputs["begins"]
