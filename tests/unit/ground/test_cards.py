"""Cards: values that do not change and that JSON can hold."""

from __future__ import annotations

import types
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from pydantic import TypeAdapter

from evolve import cards
from evolve.cards import Costs
from evolve.memory.canonical import canonical_json, from_json

CARDS = [
    value
    for value in vars(cards).values()
    if isinstance(value, type) and is_dataclass(value) and value.__module__ == cards.__name__
]


def example(kind: Any) -> Any:
    """A value of a field's type, as awkward as the type allows."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{each.name: example(hints[each.name]) for each in fields(kind)})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return arguments[-1]
    if origin in (Union, types.UnionType):
        return example(arguments[0])
    if origin is tuple:
        return (example(arguments[0]), example(arguments[0]))
    if origin is dict:
        return {"one": example(arguments[1])}
    if kind is Any:
        return {"nested": [1, 2.5, "x", None, True]}
    return {str: "Ω “quoted” \\ 90 %", float: 0.1 + 0.2, int: 2**53 + 1, bool: True}[kind]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.__name__)
def test_a_card_survives_being_stored_and_read(card: Any) -> None:
    made = example(card)

    assert from_json(card, canonical_json(made)) == made


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.__name__)
def test_a_card_survives_the_wire(card: Any) -> None:
    """The wire's JSON library is another one than the store's."""
    made, adapter = example(card), TypeAdapter(card)

    assert adapter.validate_python(orjson.loads(orjson.dumps(adapter.dump_python(made, mode="json")))) == made


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.__name__)
def test_a_card_does_not_change(card: Any) -> None:
    made = example(card)

    with pytest.raises(FrozenInstanceError):
        setattr(made, fields(card)[0].name, "other")


def test_whole_and_broken_numbers_stay_what_they_were() -> None:
    costs = Costs(fee_bps=1.0, slippage_bps=4.0)

    assert '"fee_bps":1.0' in canonical_json(costs)
    assert replace(costs, fee_bps=2.0) != costs
