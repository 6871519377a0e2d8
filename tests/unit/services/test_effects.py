"""What does each request do to the system? Surfaces let in readers, those who may run, and administrators by it."""

from __future__ import annotations

import pytest

from evolve.client.core import all_requests
from evolve.messaging.messages import Effect, Reply, Request

EFFECTS = {
    request.wire_type: request.effect for of_service in all_requests().values() for request in of_service.values()
}


class Done(Reply):
    pass


@pytest.mark.parametrize(
    ("keywords", "effect"),
    [({}, "read"), ({"slot": "heavy"}, "run"), ({"records": True}, "run"), ({"slot": "heavy", "effect": "read"}, "read")],
)  # fmt: skip
def test_what_computes_or_is_recorded_runs_unless_it_says_otherwise(keywords, effect):
    class Do(Request[Done], **keywords):
        pass

    assert Do.effect == effect


@pytest.mark.parametrize(
    ("effect", "wire_types"),
    [
        ("admin", "auto_update cleanup delete_model import_model move_alias replace_model roll_back start_watch stop_watch"),
        ("read", "check_drift export_model get_answer get_model_info get_watch_board route_prompt search_arxiv search_github"),
        ("run", "add_research_note build_model execute_strategy process_query retrain_model summarize_paper work_on_study"),
    ],
)  # fmt: skip
def test_requests_say_what_they_do(effect: Effect, wire_types: str):
    assert {EFFECTS[name] for name in wire_types.split()} == {effect}


def test_whatever_only_gets_or_lists_reads():
    assert {effect for name, effect in EFFECTS.items() if name.startswith(("get_", "list_"))} == {"read"}
