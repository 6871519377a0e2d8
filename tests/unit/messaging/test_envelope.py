"""What goes over the wire comes back the same, and nothing hostile comes in."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evolve.errors import EvolveError, Internal, InvalidRequest, Malformed, TooLarge, UnknownSymbol
from evolve.messaging.envelope import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_REQUEST_ID,
    RequestEnvelope,
    dump,
    error_response,
    load,
    progress_event,
    raise_error,
    read_request,
    response,
)

LIMIT = 1 << 20

# Integers of 64 bits: orjson reads larger ones as floats, as most JSON readers do.
scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(
    scalars | texts, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=MAX_REQUEST_ID)
moments = st.floats(0, 4e9, allow_nan=False)
envelopes = st.builds(
    RequestEnvelope,
    type=names,
    data=st.dictionaries(texts, values, max_size=4),
    timestamp=moments,
    request_id=st.none() | names,
    parent=st.none() | names,
    reply_to=st.none() | names,
    deadline=st.none() | moments,
    sender=st.none() | names,
)


@given(envelopes)
def test_a_request_read_back_is_the_request_that_was_written(envelope: RequestEnvelope) -> None:
    assert read_request(envelope.to_bytes(), max_bytes=LIMIT) == envelope


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\xfe")
@example(b'"\\ud800"')
@example(b"[" * 100_000)
@example(b'{"type":"t","data":' * 2_000)
@example(b'{"type":"t","deadline":1e999}')
@example(b"nul")
def test_junk_is_malformed_or_an_envelope_and_nothing_else(raw: bytes) -> None:
    try:
        read_request(raw, max_bytes=LIMIT)
    except (Malformed, TooLarge):
        return


@given(st.dictionaries(st.sampled_from(["type", "data", "timestamp", "request_id", "deadline", "from"]), values))
def test_any_json_object_is_malformed_or_an_envelope_that_can_be_hashed_and_written(message: dict[str, Any]) -> None:
    try:
        envelope = read_request(orjson.dumps(message), max_bytes=LIMIT)
    except Malformed:
        return
    assert len(envelope.content_hash) == 32
    assert read_request(envelope.to_bytes(), max_bytes=LIMIT) == envelope


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ([], "message must be a JSON object with a 'type', not list"),
        ("text", "message must be a JSON object with a 'type', not str"),
        ({}, "message needs a 'type'"),
        ({"type": ""}, "message needs a 'type'"),
        ({"type": 3}, "message needs a 'type'"),
        ({"type": "t" * 129}, "'type' is longer than 128 characters"),
        ({"type": "t", "data": []}, "'data' must be an object, not list"),
        ({"type": "t", "request_id": 7}, "'request_id' must be a string of 1 to 128 characters"),
        ({"type": "t", "request_id": ""}, "'request_id' must be a string of 1 to 128 characters"),
        ({"type": "t", "request_id": "x" * 129}, "'request_id' must be a string of 1 to 128 characters"),
        ({"type": "t", "reply_to": {}}, "'reply_to' must be a string"),
        ({"type": "t", "from": False}, "'from' must be a string"),
        ({"type": "t", "deadline": "soon"}, "'deadline' must be Unix seconds, not str"),
        ({"type": "t", "timestamp": True}, "'timestamp' must be Unix seconds, not bool"),
    ],
)
def test_a_wrong_field_is_named(message: Any, sentence: str) -> None:
    with pytest.raises(Malformed) as raised:
        read_request(orjson.dumps(message), max_bytes=LIMIT)

    assert raised.value.message.startswith(sentence)


def test_only_the_type_is_needed() -> None:
    assert read_request(b'{"type":"list_models"}', max_bytes=LIMIT) == RequestEnvelope("list_models")
    assert read_request(b'{"type":"list_models","data":null}', max_bytes=LIMIT) == RequestEnvelope("list_models")


def test_fields_we_do_not_know_are_for_later_versions() -> None:
    assert read_request(b'{"type":"t","trace":"abc"}', max_bytes=LIMIT) == RequestEnvelope("t")


def test_a_message_over_the_limit_is_too_large_before_it_is_parsed() -> None:
    raw = b'{"type":"t","data":{"a":"' + b"x" * 100 + b'"}}'

    assert read_request(raw, max_bytes=len(raw)).type == "t"
    with pytest.raises(TooLarge, match="over the limit of 126"):
        read_request(raw, max_bytes=126)


def test_a_message_of_many_small_elements_is_too_large_before_it_costs_memory() -> None:
    raw = b'{"type":"t","data":{"a":[' + b"[]," * MAX_ELEMENTS + b"[]]}}"

    with pytest.raises(TooLarge, match="500,000 elements"):
        read_request(raw, max_bytes=len(raw))


def nested(depth: int) -> bytes:
    return b'{"type":"t","data":{"a":' + b"[" * (depth - 2) + b"]" * (depth - 2) + b"}}"


def test_nesting_that_could_not_be_written_again_is_refused_when_it_is_read() -> None:
    """orjson reads 1,024 levels and writes 254: what lies between crashed whoever hashed or forwarded it."""
    deepest = read_request(nested(MAX_DEPTH), max_bytes=LIMIT)
    assert len(deepest.content_hash) == 32

    for depth in (MAX_DEPTH + 1, 300, 1_000, 100_000):
        with pytest.raises(Malformed):
            read_request(nested(depth), max_bytes=LIMIT)


def test_brackets_inside_a_text_are_no_nesting() -> None:
    assert read_request(b'{"type":"t","data":{"a":"' + b"[" * 10_000 + b'"}}', max_bytes=LIMIT).type == "t"


def test_the_content_hash_depends_on_type_and_data_only_and_not_on_their_order() -> None:
    first = RequestEnvelope("t", {"a": 1, "b": [1, 2]}, timestamp=1.0, request_id="r1")
    again = RequestEnvelope("t", {"b": [1, 2], "a": 1}, timestamp=2.0, request_id="r2", reply_to="somebody")

    assert first.content_hash == again.content_hash
    assert first.content_hash != RequestEnvelope("u", {"a": 1, "b": [1, 2]}).content_hash
    assert first.content_hash != RequestEnvelope("t", {"a": 1, "b": [2, 1]}).content_hash


def test_numbers_that_json_cannot_hold_become_null() -> None:
    assert orjson.loads(dump({"sharpe": math.nan, "limit": math.inf})) == {"sharpe": None, "limit": None}


def test_a_response_has_the_fields_of_the_contract_and_an_id_only_if_there_was_one() -> None:
    assert response("builder", "model_built", {"model_id": "m"}, at=1.5, request_id="r") == {
        "type": "model_built",
        "service": "builder",
        "data": {"model_id": "m"},
        "status": "success",
        "timestamp": 1.5,
        "request_id": "r",
    }
    assert "request_id" not in response("builder", "model_built", {}, at=1.5, request_id=None)


def test_an_error_carries_sentence_code_request_type_and_details() -> None:
    error = UnknownSymbol("there is no 'APPL'; nearest: AAPL", nearest=["AAPL"])

    message = error_response("builder", error, request_type="build_model", at=1.5, request_id=None)

    assert (message["type"], message["status"]) == ("error", "error")
    assert message["data"] == {
        "error": "there is no 'APPL'; nearest: AAPL",
        "code": "unknown_symbol",
        "request": "build_model",
        "nearest": ["AAPL"],
        "help": "docs/troubleshooting.md#unknown_symbol",
    }


def test_progress_says_stage_done_total_and_message() -> None:
    message = progress_event("builder", "fitting", 3, 10, "fold 3", at=1.5, request_id="r")

    assert (message["type"], message["request_id"]) == ("progress", "r")
    assert message["data"] == {"stage": "fitting", "done": 3, "total": 10, "message": "fold 3"}


def test_a_typed_error_survives_the_wire() -> None:
    sent = InvalidRequest("lookback must be ≥ 2", fields=["lookback"])
    message = load(dump(error_response("b", sent, request_type="t", at=0.0, request_id=None)), max_bytes=LIMIT)

    with pytest.raises(InvalidRequest) as raised:
        raise_error(message)

    assert raised.value.message == sent.message
    assert raised.value.details == {"fields": ["lookback"], "request": "t"}


@pytest.mark.parametrize(
    "data", [{}, None, {"code": "of_a_later_version", "error": "new"}, {"message": "x", "self": 1}]
)
def test_an_error_that_we_do_not_know_is_still_an_error(data: Any) -> None:
    with pytest.raises(Internal):
        raise_error({"status": "error", "data": data})


def test_success_raises_nothing() -> None:
    raise_error({"status": "success", "data": {}})


@given(st.sampled_from(sorted({cls.code for cls in [*EvolveError.__subclasses__(), InvalidRequest, UnknownSymbol]})))
def test_every_code_comes_back_as_itself(code: str) -> None:
    with pytest.raises(EvolveError) as raised:
        raise_error({"status": "error", "data": {"error": "x", "code": code}})

    assert raised.value.code == code
