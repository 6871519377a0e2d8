"""Champions and challengers: moved from whom one believes, on record for good."""

from __future__ import annotations

import pytest

from evolve.clock import FrozenClock
from evolve.errors import Forbidden, InvalidRequest, UnknownModel
from evolve.memory.aliases import Aliases
from evolve.memory.registry import Registry
from unit.memory.examples import card


@pytest.fixture
def registry(database, artifacts):
    return Registry(database, artifacts, clock=FrozenClock())


@pytest.fixture
def aliases(database):
    return Aliases(database, clock=FrozenClock(60.0))


@pytest.fixture
def ids(registry):
    made = [
        registry.save(card(seed=seed), weights=b"w", out_of_sample={}, request_id=f"save-{seed}") for seed in (1, 2)
    ]
    return [each.model_id for each in made]


def move(aliases, model_id, *, expected, alias="champion", request_id, reason=""):
    return aliases.move(
        alias, symbol="AAPL", timeframe="1d", model_id=model_id, expected=expected, reason=reason, request_id=request_id
    )  # fmt: skip


def champion(aliases):
    return aliases.holder("champion", symbol="AAPL", timeframe="1d")


def test_an_alias_moves_from_nobody_to_one_and_on_to_the_next(aliases, ids):
    assert champion(aliases) is None

    move(aliases, ids[0], expected=None, request_id="a")
    moved = move(aliases, ids[1], expected=ids[0], request_id="b", reason="it forecasts better")

    assert champion(aliases) == ids[1]
    assert (moved.previous, moved.reason, moved.at) == (ids[0], "it forecasts better", "1970-01-01T00:01:00Z")
    assert [(one.previous, one.model_id) for one in aliases.history()] == [(ids[0], ids[1]), (None, ids[0])]


def test_of_two_who_promote_at_once_the_second_is_told_who_was_first(aliases, ids):
    move(aliases, ids[0], expected=None, request_id="a")

    with pytest.raises(InvalidRequest, match=f"champion of AAPL 1d is {ids[0]}, not nobody") as refused:
        move(aliases, ids[1], expected=None, request_id="b")

    assert refused.value.details["holder"] == ids[0]
    assert champion(aliases) == ids[0]


def test_a_request_that_runs_twice_moves_once(aliases, ids):
    first, second = (move(aliases, ids[0], expected=None, request_id="a") for _ in range(2))

    assert first == second
    assert len(aliases.history()) == 1


def test_champion_and_challenger_are_held_side_by_side(aliases, ids):
    move(aliases, ids[0], expected=None, request_id="a")
    move(aliases, ids[1], expected=None, request_id="b", alias="challenger")

    assert {(one.alias, one.model_id) for one in aliases.current()} == {("champion", ids[0]), ("challenger", ids[1])}


def test_only_a_registered_model_of_that_symbol_can_be_in_charge(aliases, ids):
    with pytest.raises(UnknownModel):
        move(aliases, "ridge-AAPL-1d-00000000", expected=None, request_id="a")
    with pytest.raises(InvalidRequest, match="cannot stand for MSFT 1d"):
        aliases.move(
            "champion", symbol="MSFT", timeframe="1d", model_id=ids[0], expected=None, reason="", request_id="b"
        )


def test_a_champion_cannot_be_deleted_until_another_takes_over(registry, aliases, ids):
    move(aliases, ids[0], expected=None, request_id="a")

    with pytest.raises(Forbidden, match="is the champion of AAPL 1d; make another model champion first"):
        registry.delete(ids[0], request_id="d1")

    move(aliases, ids[1], expected=ids[0], request_id="b")
    registry.delete(ids[0], request_id="d2")
    with pytest.raises(UnknownModel):
        registry.get(ids[0])


def test_an_alias_that_was_set_free_lets_its_model_be_deleted(registry, aliases, ids):
    move(aliases, ids[0], expected=None, request_id="a")
    move(aliases, None, expected=ids[0], request_id="b")

    registry.delete(ids[0], request_id="d")

    assert aliases.current() == ()


def test_a_challenger_that_is_deleted_leaves_its_alias_free(registry, aliases, ids):
    move(aliases, ids[0], expected=None, request_id="a", alias="challenger")

    registry.delete(ids[0], request_id="d")

    assert aliases.holder("challenger", symbol="AAPL", timeframe="1d") is None
    assert aliases.history()[0].reason == "the model was deleted"
