"""Answers by id."""

from __future__ import annotations

import pytest

from evolve.clock import FrozenClock
from evolve.errors import InvalidRequest
from evolve.memory.answers import Answers, answer_id_of
from unit.memory.examples import recipe


@pytest.fixture
def clock():
    return FrozenClock(seconds=1000.0)


@pytest.fixture
def answers(database, clock):
    return Answers(database, clock=clock)


def save(answers, answer_id, *, document=None, position=3):
    return answers.save(
        answer_id,
        question="Which model for AAPL?",
        document=document or {"verdict": "no_edge"},
        trial_position=position,
        request_id="r1",
    )


def id_of(**changes):
    usual = {
        "question": "Which model for AAPL?",
        "data_fingerprints": ["f", "e"],
        "recipes": [recipe(), recipe(seed=8)],
        "seed": 7,
        "code_version": "1",
    }
    usual |= changes
    return answer_id_of(usual.pop("question"), **usual)


def test_an_id_never_changes():
    """Computed once and written down: stored ids depend on it."""
    assert id_of() == "01f3609dacd5"


def test_the_order_of_data_and_recipes_and_the_spacing_do_not_count():
    assert id_of() == id_of(
        data_fingerprints=["e", "f"], recipes=[recipe(seed=8), recipe()], question=" Which  model for AAPL?\n"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"question": "Which model for MSFT?"},
        {"data_fingerprints": ["f"]},
        {"recipes": [recipe()]},
        {"seed": 8},
        {"code_version": "2"},
    ],
)
def test_question_data_recipe_seed_and_code_each_make_another_id(changed):
    assert id_of(**changed) != id_of()


def test_an_answer_comes_back_whole(answers):
    saved = save(answers, "abc", document={"rows": [{"sharpe": 0.1 + 0.2}], "trials": None})

    assert answers.get("abc") == saved
    assert saved.document == {"rows": [{"sharpe": 0.30000000000000004}], "trials": None}
    assert (saved.trial_position, saved.answered_at) == (3, 1000.0)


def test_the_first_answer_of_an_id_stays_and_is_what_saving_returns(answers, clock):
    first = save(answers, "abc")
    clock.advance(60)

    assert save(answers, "abc", document={"verdict": "edge"}, position=9) == first


def test_an_unknown_id_lists_the_latest(answers):
    for answer_id in "abcdefg":
        save(answers, answer_id)

    with pytest.raises(InvalidRequest, match="there is no answer 'zzz'; the latest are g, f, e, d, c"):
        answers.get("zzz")
    assert [answer.answer_id for answer in answers.latest(2)] == ["g", "f"]


def test_with_no_answers_the_command_that_makes_one_is_named(answers):
    with pytest.raises(InvalidRequest, match="there are none yet: `evolve ask"):
        answers.get("zzz")
