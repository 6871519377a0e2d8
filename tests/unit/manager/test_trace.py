"""The life of a request is told from the logs of all services, of either format."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve import logs
from evolve.manager.board import Look, rows
from evolve.manager.trace import TracedRequest, traced
from evolve.messaging.bus import QueueState, ReplicaInfo


@pytest.fixture(params=["text", "json"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Logs as two services write them: a question that waited for a build whose first process died."""
    for service, lines in {
        "quant_gpt": [("info", "answered", {"request_id": "question-1", "request_type": "process_query", "seconds": 2.5, "waited": 0.01})],
        "model_builder": [
            ("warning", "put off", {"request_id": "build-1", "error": "its 'process' died", "delay_s": 0.2}),
            ("info", "answered", {"request_id": "build-1", "request_type": "build_model", "parent": "question-1", "sender": "quant_gpt", "attempt": 2, "seconds": 1.5, "waited": 0.3}),
            ("info", "answered", {"request_id": "other-99", "request_type": "list_models", "code": "invalid_request", "seconds": 0.0, "waited": 0.0}),
        ],
    }.items():  # fmt: skip
        logs.configure(service, directory=tmp_path, level="INFO", form=request.param)
        for level, event, fields in lines:
            getattr(logs.logger(service=service, replica=f"{service}-1"), level)(event, **fields)
    logs.configure(None, directory=None, level="INFO")
    return tmp_path


def told(directory: Path, request_id: str) -> TracedRequest:
    found = traced(logs.read(directory), request_id)
    assert found is not None
    return found


def test_a_request_is_told_with_those_it_led_to(directory: Path) -> None:
    question = told(directory, "question-1")

    assert (question.service, question.request_type, question.state) == ("quant_gpt", "process_query", "answered")
    assert (question.waited_s, question.worked_s) == (0.01, 2.5)
    (build,) = question.children
    assert (build.service, build.sender, build.attempts, build.worked_s) == ("model_builder", "quant_gpt", 2, 1.5)
    assert [step.event for step in build.steps] == ["put off", "answered"]
    assert "its 'process' died" in build.steps[0].detail
    assert question.plain()["children"][0]["request_id"] == "build-1"


def test_an_error_shows_its_code_and_a_beginning_of_the_id_is_enough(directory: Path) -> None:
    assert told(directory, "other-99").state == "invalid_request"
    assert told(directory, "question").request_id == "question-1"


def test_a_beginning_that_two_ids_share_is_neither(tmp_path: Path) -> None:
    lines = [{"timestamp": "t", "event": "answered", "request_id": f"shared-beginning-{end}"} for end in "ab"]

    assert traced(lines, "shared-beginning") is None
    assert traced(lines, "shared-beginning-b") is not None


def test_a_request_without_an_end_is_under_way_and_an_unknown_one_is_none(directory: Path) -> None:
    with (directory / "model_builder_service.log").open("a") as file:
        file.write("timestamp='2026-01-01T00:00:00Z' level='warning' event='took over' request_id='hanging-1'\n")
        file.write("Traceback (most recent call last):\n{broken json\n")

    assert told(directory, "hanging-1").state == "under way"
    assert traced(logs.read(directory), "nobody-asked") is None


def test_rotated_files_come_first(tmp_path: Path) -> None:
    for name, event in (("a_service.log", "third"), ("a_service.log.1", "second"), ("a_service.log.2", "first")):
        (tmp_path / name).write_text(f"timestamp='t' level='info' event={event!r} request_id='x'\n")

    assert [line["event"] for line in logs.read(tmp_path)] == ["first", "second", "third"]


def replica(name: str, cpu_s: float, **fields: object) -> ReplicaInfo:
    known = {
        "replica": name,
        "pid": 1,
        "host": "h",
        "in_flight": 1,
        "cpu_s": cpu_s,
        "rss_mb": 50.0,
        "state": "running",
        "version": "1",
    }
    return ReplicaInfo(**{**known, **fields})  # type: ignore[arg-type]


def test_a_board_shows_what_changed_between_two_looks() -> None:
    before = Look(10.0, {"a": (replica("a1", 5.0),), "b": ()}, {"a": QueueState(), "b": QueueState()})
    now = Look(12.0, {"a": (replica("a1", 5.5), replica("a2", 9.0)), "b": ()}, {"a": QueueState(3, 1.5, 2), "b": QueueState()})  # fmt: skip

    a, b = rows(now, before)

    assert (a.state, a.replicas, a.in_flight, a.queued, a.oldest_s, a.dead, a.rss_mb) == (
        "running",
        2,
        2,
        3,
        1.5,
        2,
        100.0,
    )
    assert a.cpu == pytest.approx(0.25)  # of the replica that both looks saw; the other has just been started
    assert (b.state, b.replicas) == ("stopped", 0)
    assert rows(now)[0].cpu is None
