"""Errors: one code per class, the same on both sides of the wire."""

from __future__ import annotations

import pytest
from pydantic import Field

from evolve import errors
from evolve.errors import (
    BadRequest,
    EvolveError,
    Internal,
    InvalidRequest,
    Unavailable,
    UnknownSymbol,
    error_for,
    nearest,
)
from evolve.messaging.envelope import error_response, raise_error

# The list of the contract, in its order.
CONTRACT_CODES = (
    "malformed unknown_type invalid_request unknown_service unknown_symbol unknown_model data_unavailable unavailable timeout "
    "cancelled deadline_exceeded busy rate_limited too_large missing_extra forbidden request_id_reused job_died internal"
).split()


def every_class() -> list[type[EvolveError]]:
    return [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, EvolveError)]


@pytest.mark.parametrize("code", CONTRACT_CODES)
def test_every_code_of_the_contract_has_a_class_that_carries_it(code: str) -> None:
    assert error_for(code).code == code


def test_no_class_carries_a_code_that_the_contract_does_not_list() -> None:
    assert {cls.code for cls in every_class()} == set(CONTRACT_CODES)


def test_a_code_of_a_later_version_is_an_internal_error() -> None:
    assert error_for("from_the_future") is Internal


def test_the_tree_drawn_at_the_top_names_every_class_and_every_code() -> None:
    drawn = (errors.__doc__ or "").split()

    assert {cls.__name__ for cls in every_class()} <= set(drawn)
    assert set(CONTRACT_CODES) <= set(drawn)


@pytest.mark.parametrize("code", CONTRACT_CODES)
def test_an_error_survives_the_wire_with_sentence_and_details(code: str) -> None:
    sent = error_for(code)("say it again", nearest=["AAPL"])

    with pytest.raises(error_for(code)) as caught:
        raise_error(error_response("model_builder", sent, request_type="build_model", at=0.0, request_id="r1"))

    assert type(caught.value) is type(sent)
    assert caught.value.message == str(caught.value) == "say it again"
    assert caught.value.details["nearest"] == ["AAPL"]


def test_a_detail_may_have_any_name_even_message() -> None:
    """Details come off the wire from services of other authors; a name of theirs must not turn their error into a TypeError."""
    reply = {"status": "error", "data": {"error": "no", "code": "busy", "message": "theirs", "self": 1}}

    with pytest.raises(Unavailable, match="no") as caught:
        raise_error(reply)

    assert caught.value.details == {"message": "theirs", "self": 1}


def test_what_the_caller_can_mend_is_a_bad_request_and_what_he_cannot_is_not() -> None:
    assert issubclass(UnknownSymbol, BadRequest)
    assert issubclass(InvalidRequest, BadRequest)
    assert not issubclass(Unavailable, BadRequest)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("APPL", "AAPL"), ("aapl", "AAPL"), ("GOGL", "GOOGL"), ("rigde", "ridge"), ("BTCUSD", "BTCUSDT")],
)
def test_the_nearest_name_is_suggested_first_whatever_the_case(typed: str, meant: str) -> None:
    assert nearest(typed, ["AAPL", "GOOGL", "BTCUSDT", "ridge", "lstm"])[0] == meant


def test_nothing_is_suggested_for_what_resembles_nothing() -> None:
    assert nearest("zzzzzz", ["AAPL", "MSFT"]) == []


def test_at_most_three_names_are_suggested() -> None:
    assert len(nearest("model", [f"model_{number}" for number in range(10)])) == 3


def test_every_kind_of_violation_that_our_messages_can_have_is_said_in_plain_words() -> None:
    """pydantic's own sentences speak of "Input" and "validation"."""
    from typing import Annotated, Literal

    from pydantic import BaseModel, ValidationError

    from evolve.errors import violation

    class Everything(BaseModel):
        text: Annotated[str, Field(min_length=2, max_length=3)] = "ab"
        whole: Annotated[int, Field(ge=1, le=5)] = 1
        number: Annotated[float, Field(gt=0, lt=9, allow_inf_nan=False)] = 1.0
        choice: Literal["a", "b"] = "a"
        items: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] = ("a",)
        flag: bool = True
        mapping: dict[str, int] = {}

    wrong: list[dict[str, object]] = [
        {"text": 5}, {"text": "a"}, {"text": "abcd"}, {"whole": 0}, {"whole": 6}, {"whole": "x"}, {"whole": 1.5}, {"whole": []},
        {"number": 0}, {"number": 9}, {"number": "x"}, {"number": []}, {"number": float("inf")}, {"choice": "c"}, {"items": ()},
        {"items": ("a", "b", "c")}, {"items": 3}, {"flag": "maybe"}, {"flag": []}, {"mapping": 3},
    ]  # fmt: skip
    for values in wrong:
        with pytest.raises(ValidationError) as raised:
            Everything(**values)  # type: ignore[arg-type]
        error = raised.value.errors()[0]
        said = violation(error["type"], error.get("ctx", {}), error["msg"], repr(error["input"]))
        assert said.startswith(("must ", "needs ")), (values, said)
        assert "Input" not in said
