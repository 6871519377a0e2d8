"""Models are found by what they were built from; requests that run twice change nothing; deleting hides."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evolve.clock import FrozenClock
from evolve.errors import Internal, Unavailable, UnknownModel
from evolve.memory.canonical import recipe_hash
from evolve.memory.evaluations import Evaluations
from evolve.memory.registry import Registry, model_id_of
from unit.memory.examples import CODE_VERSION, card, evaluation, recipe

FORECASTS = {"forecast": np.array([0.1, np.nan, -0.2]), "time": np.array([1, 2, 3])}


@pytest.fixture
def registry(database, artifacts):
    return Registry(database, artifacts, clock=FrozenClock())


def save(registry, made, *, request_id="r1", weights=b"weights"):
    return registry.save(made, weights=weights, out_of_sample=FORECASTS, request_id=request_id)


def test_a_model_id_is_readable_and_the_same_on_every_machine():
    """The digits were computed once and written down: they must never change, or every stored id would."""
    assert model_id_of(recipe(), data_fingerprint="f" * 64, code_version=CODE_VERSION) == "ridge-AAPL-1d-7ce2442d"


@pytest.mark.parametrize("changed", [card(seed=8), card(fingerprint="e" * 64), card(code_version="0.2.0")])
def test_another_recipe_other_data_or_other_code_is_another_model(changed):
    assert changed.model_id != card().model_id


def test_a_saved_model_comes_back_with_its_weights_and_forecasts(registry):
    saved = save(registry, card())

    assert registry.get(saved.model_id) == saved
    assert saved == replace(card(), weights_sha256=saved.weights_sha256)
    assert registry.weights(saved.model_id) == b"weights"
    back = registry.out_of_sample(saved.model_id)
    assert {name: array.tobytes() for name, array in back.items()} == {
        name: array.tobytes() for name, array in FORECASTS.items()
    }


def test_building_the_same_thing_twice_finds_the_first(registry):
    first = save(registry, card())
    second = save(registry, replace(card(), created_at="2027-01-01T00:00:00Z"), request_id="r2")

    assert second == first
    assert registry.list() == (first,)
    assert registry.find(recipe_hash(recipe()), "f" * 64, code_version=CODE_VERSION) == first


def test_a_request_that_runs_twice_on_changed_data_keeps_its_first_model(registry):
    first = save(registry, card())

    assert save(registry, card(fingerprint="e" * 64)) == first
    assert registry.list() == (first,)


def test_nothing_is_found_for_another_recipe_other_data_or_other_code(registry):
    save(registry, card())

    assert registry.find(recipe_hash(recipe(seed=8)), "f" * 64, code_version=CODE_VERSION) is None
    assert registry.find(recipe_hash(recipe()), "e" * 64, code_version=CODE_VERSION) is None
    assert registry.find(recipe_hash(recipe()), "f" * 64, code_version="0.2.0") is None


def test_models_are_listed_newest_first_by_symbol_timeframe_and_type(registry):
    for number, made in enumerate((card(), card(symbol="MSFT"), card(model_type="xgboost"), card(timeframe="1h"))):
        save(registry, made, request_id=f"r{number}")

    assert [listed.recipe.model_type for listed in registry.list(symbol="AAPL", timeframe="1d")] == ["xgboost", "ridge"]
    assert [listed.recipe.symbol for listed in registry.list(model_type="ridge")] == ["AAPL", "MSFT", "AAPL"]
    assert len(registry.list(limit=2)) == 2


def test_an_unknown_model_names_the_nearest_and_the_command_that_builds_one(registry):
    saved = save(registry, card(symbol="MSFT"))

    with pytest.raises(
        UnknownModel, match=re.escape(f"nearest: {saved.model_id}; `evolve build ridge MSFT` builds one")
    ) as raised:
        registry.get("ridge-MSFT-1d-00000000")

    assert raised.value.details["nearest"] == [saved.model_id]


def test_with_no_models_at_all_the_command_is_still_named(registry):
    with pytest.raises(UnknownModel, match=r"there is no model 'model_123'; `evolve build ridge AAPL` builds one"):
        registry.get("model_123")


def test_a_deleted_model_is_gone_from_view_but_its_history_stays(registry, database, artifacts):
    saved = save(registry, card())
    history = Evaluations(database)
    history.record(evaluation(saved.model_id, "e1"))

    registry.delete(saved.model_id, request_id="d1")

    with pytest.raises(UnknownModel, match="was deleted at 2020-09-13T12:26:40Z; `evolve build ridge AAPL` builds one"):
        registry.get(saved.model_id)
    assert registry.list() == ()
    assert registry.find(recipe_hash(recipe()), "f" * 64, code_version=CODE_VERSION) is None
    assert len(history.history(saved.model_id)) == 1
    assert artifacts.get_bytes(saved.weights_sha256) == b"weights"


def test_deleting_twice_is_an_error_except_for_the_request_that_did_it(registry):
    saved = save(registry, card())
    registry.delete(saved.model_id, request_id="d1")
    registry.delete(saved.model_id, request_id="d1")

    with pytest.raises(UnknownModel, match="was deleted"):
        registry.delete(saved.model_id, request_id="d2")


def test_building_a_deleted_model_again_brings_it_back(registry):
    saved = save(registry, card())
    registry.delete(saved.model_id, request_id="d1")

    again = save(registry, card(), request_id="r2", weights=b"other machine")

    assert registry.get(saved.model_id) == again
    assert registry.weights(saved.model_id) == b"other machine"


def test_a_late_duplicate_of_the_building_request_does_not_undo_a_delete(registry):
    saved = save(registry, card())
    registry.delete(saved.model_id, request_id="d1")

    save(registry, card())

    assert registry.list() == ()


def test_a_model_with_damaged_files_is_not_found_and_building_it_again_mends_it(registry, artifacts):
    saved = save(registry, card())
    Path(artifacts.where(saved.weights_sha256)).write_bytes(b"rust")

    with pytest.raises(Unavailable, match="is damaged"):
        registry.weights(saved.model_id)
    assert registry.find(recipe_hash(recipe()), "f" * 64, code_version=CODE_VERSION) is None

    save(registry, card(), request_id="r2", weights=b"new weights")
    assert registry.weights(saved.model_id) == b"new weights"


def test_two_different_models_never_share_an_id_silently(registry):
    save(registry, card())

    with pytest.raises(Internal, match="two different models have the id"):
        save(registry, replace(card(seed=8), model_id=card().model_id), request_id="r2")
