"""What a request and a reply declare, and what a caller is told who fills one in wrongly."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError

from evolve.errors import InvalidRequest, UnknownType
from evolve.messaging.messages import ENVELOPE_FIELDS, Reply, Request, parse_request, snake_case, validated


class ModelBuilt(Reply):
    model_id: str


class BuildModel(Request[ModelBuilt], service="builder", slot="heavy"):
    symbol: str
    model_type: Literal["lstm", "ridge"] = "lstm"
    lookback: int = Field(30, ge=2, le=500)
    simulate: bool = False


class ListModels(Request[ModelBuilt], client="models", wire="list_all", waits=90.0, records=True):
    """Nothing to say."""


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("BuildModel", "build_model"),
        ("SearchGithub", "search_github"),
        ("GetHTTPStatus", "get_http_status"),
        ("HTTPGet", "http_get"),
        ("Top10Models", "top10_models"),
        ("Cleanup", "cleanup"),
    ],
)
def test_the_wire_type_is_the_class_name_in_snake_case(name: str, wire: str) -> None:
    assert snake_case(name) == wire


def test_a_request_knows_its_reply_its_service_and_its_required_fields() -> None:
    assert (BuildModel.wire_type, BuildModel.service, BuildModel.slot) == ("build_model", "builder", "heavy")
    assert BuildModel.reply_type is ModelBuilt
    assert BuildModel.positional == ("symbol",)
    assert ModelBuilt.wire_type == "model_built"


def test_exceptions_to_the_naming_rule_stand_on_the_class() -> None:
    assert (ListModels.wire_type, ListModels.client_method) == ("list_all", "models")
    assert (ListModels.service, ListModels.slot, ListModels.waits, ListModels.records) == (
        "test_messages",
        "light",
        90.0,
        True,
    )


@pytest.mark.parametrize("name", sorted(ENVELOPE_FIELDS))
def test_a_reply_that_would_hide_a_field_of_the_envelope_is_refused_when_its_class_is_defined(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} would hide a field of the envelope"):
        type("Hiding", (Reply,), {"__annotations__": {name: str}, "__module__": __name__})


def test_a_reply_inherits_no_hidden_field_either() -> None:
    from pydantic import BaseModel

    class Mixin(BaseModel):
        status: str = ""

    with pytest.raises(TypeError, match="status would hide"):
        type("Hiding", (Reply, Mixin), {"__module__": __name__})


def test_a_request_must_name_its_reply() -> None:
    with pytest.raises(TypeError, match=r"class Nameless\(Request\[…\]\)"):
        type("Nameless", (Request,), {"__module__": __name__})


def test_positional_names_must_be_fields() -> None:
    with pytest.raises(TypeError, match=r"unknown fields \['symbl'\]"):

        class Wrong(Request[ModelBuilt], positional=("symbl",)):
            symbol: str


def test_messages_cannot_be_changed_once_made() -> None:
    with pytest.raises(ValidationError):
        BuildModel(symbol="AAPL").symbol = "MSFT"  # type: ignore[misc]


def test_a_reply_from_a_newer_version_may_carry_more_than_we_know() -> None:
    assert ModelBuilt.model_validate({"model_id": "m1", "added_later": 1}) == ModelBuilt(model_id="m1")


def test_a_request_is_parsed_by_its_wire_type() -> None:
    request = parse_request("builder", "build_model", {"symbol": "AAPL"}, [ListModels, BuildModel])

    assert request == BuildModel(symbol="AAPL", model_type="lstm", lookback=30)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "build_model needs 'symbol'"),
        ({"symbol": "AAPL", "lookbak": 3}, "build_model has no field 'lookbak'; nearest: lookback"),
        ({"symbol": 3}, "build_model: symbol must be text, not 3"),
        (
            {"symbol": "AAPL", "lookback": 1},
            "build_model: lookback must be at least 2, not 1",
        ),
        (
            {"symbol": "AAPL", "model_type": "tcn"},
            "build_model: model_type must be 'lstm' or 'ridge', not 'tcn'",
        ),
        ({"symbol": "AAPL", "lookback": True}, "build_model: lookback must be a number, not True"),
        ({"symbol": "AAPL", "simulate": 0}, "build_model: simulate must be true or false, not 0"),
        (["AAPL"], "data of build_model must be an object, not list"),
        (None, "data of build_model must be an object, not NoneType"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_with_field_and_reason(data: Any, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        validated(BuildModel, data)

    assert raised.value.message == sentence


def test_every_wrong_field_is_listed_beside_the_sentence() -> None:
    with pytest.raises(InvalidRequest) as raised:
        validated(BuildModel, {"symbol": 3, "lookback": 1})

    assert raised.value.details["fields"] == ["symbol", "lookback"]


def test_a_field_with_no_near_name_lists_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match=r"nearest: symbol, model_type, lookback, simulate$"):
        validated(BuildModel, {"symbol": "AAPL", "zzz": 1})


def test_a_request_without_fields_says_that_it_takes_none() -> None:
    with pytest.raises(InvalidRequest, match="list_all has no field 'symbol'; nearest: it takes none"):
        validated(ListModels, {"symbol": "AAPL"})


def test_an_unknown_type_names_the_nearest_and_all_known() -> None:
    with pytest.raises(UnknownType) as raised:
        parse_request("builder", "buld_model", {}, [ListModels, BuildModel])

    assert raised.value.message == "builder has no request 'buld_model'; nearest: build_model"
    assert raised.value.details == {"known": ["build_model", "list_all"]}


@pytest.mark.parametrize("data", [{"symbol": "x" * 10**6, "model_type": "y" * 10**6}, {"z" * 10**6: 1, "symbol": ""}])
def test_a_huge_wrong_value_makes_a_short_sentence(data: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as raised:
        validated(BuildModel, data)

    assert len(raised.value.message) < 400
    assert len(str(raised.value.details)) < 400
