"""Equal values have one text and one hash; what is read back is what was stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.cards import ModelCard
from evolve.errors import InvalidRequest, Unavailable
from evolve.memory.canonical import canonical_json, from_json, recipe_hash, sha256_of
from evolve.memory.evaluations import Evaluation
from unit.memory.examples import card, evaluation, recipe


@dataclass(frozen=True)
class Figure:
    value: float


def test_a_value_has_the_text_that_hand_and_rfc_8259_give_it():
    assert canonical_json({"b": (1, 2.5), "a": None, "ü": True}) == '{"a":null,"b":[1,2.5],"ü":true}'


def test_the_hash_is_that_of_the_text():
    """printf '{"a":1}' | sha256sum"""
    assert sha256_of({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


@given(
    st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), max_size=5)
)
def test_the_order_in_which_keys_were_set_does_not_change_the_hash(hyperparameters):
    backwards = dict(reversed(hyperparameters.items()))

    assert recipe_hash(recipe(hyperparameters=hyperparameters)) == recipe_hash(recipe(hyperparameters=backwards))


def test_another_seed_is_another_recipe():
    assert recipe_hash(recipe(seed=7)) != recipe_hash(recipe(seed=8))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_bit_for_bit(value):
    back = from_json(Figure, canonical_json(Figure(value))).value

    assert np.float64(back).tobytes() == np.float64(value).tobytes()


def test_cards_and_evaluations_come_back_equal():
    assert from_json(ModelCard, canonical_json(card())) == card()
    assert from_json(Evaluation, canonical_json(evaluation("m", "r"))) == evaluation("m", "r")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.int64(1), object()])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(InvalidRequest, match="cannot be stored as JSON"):
        canonical_json({"x": [value]})


def test_a_value_stored_in_a_shape_of_another_version_is_a_sentence():
    with pytest.raises(Unavailable, match=r"Figure cannot be read by this version of Evolve \(value"):
        from_json(Figure, '{"price":1.0}')
