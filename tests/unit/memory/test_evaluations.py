"""The history of a model's evaluations."""

from __future__ import annotations

import pytest

from evolve.memory.evaluations import Evaluations
from evolve.memory.registry import Registry
from unit.memory.examples import card, evaluation


@pytest.fixture
def evaluations(database):
    return Evaluations(database)


def test_evaluations_come_back_whole_and_newest_first(evaluations):
    first, second = evaluation("m", "r1"), evaluation("m", "r2", score=None)

    assert evaluations.record(first)
    assert evaluations.record(second)

    assert evaluations.history("m") == (second, first)
    assert evaluations.history("m", limit=1) == (second,)
    assert evaluations.history("another") == ()


def test_one_request_may_evaluate_several_models_but_each_once(evaluations):
    assert evaluations.record(evaluation("m1", "r1", score=0.1)) is True
    assert evaluations.record(evaluation("m2", "r1")) is True
    assert evaluations.record(evaluation("m1", "r1", score=0.9)) is False

    assert [found.overall_score for found in evaluations.history("m1")] == [0.1]


def test_the_latest_evaluation_of_each_live_model_of_a_symbol(evaluations, database, artifacts):
    registry = Registry(database, artifacts)
    kept, gone, other = (
        registry.save(made, weights=b"w", out_of_sample={}, request_id=made.model_id).model_id
        for made in (card(), card(seed=8), card(symbol="MSFT"))
    )
    for model_id, request_id, symbol in (
        (kept, "r1", "AAPL"),
        (gone, "r2", "AAPL"),
        (kept, "r3", "AAPL"),
        (other, "r4", "MSFT"),
    ):
        evaluations.record(evaluation(model_id, request_id, symbol=symbol))
    registry.delete(gone, request_id="d1")

    assert [found.request_id for found in evaluations.latest("AAPL", "1d")] == ["r3"]
