"""The audit trail: what is on record stays, and whoever changes it is seen."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from evolve.audit_trail import START, AuditTrail
from evolve.clock import FrozenClock
from evolve.errors import InvalidRequest, Unavailable


@pytest.fixture
def trail(tmp_path: Path) -> AuditTrail:
    """Three entries, one second apart."""
    clock = FrozenClock()
    made = AuditTrail(tmp_path, clock=clock)
    for model in ("a", "b", "c"):
        made.record("delete_model", who="client-1", model_id=model)
        clock.advance(1)
    return made


def test_each_entry_follows_from_the_one_before(trail: AuditTrail) -> None:
    first, second, third = trail.entries()

    assert (first.number, first.previous) == (1, START)
    assert (second.previous, third.previous) == (first.digest, second.digest)
    assert third.details == {"model_id": "c"}
    assert trail.verify() == trail.verify(head=third.digest)
    assert (trail.verify().entries, trail.verify().head, trail.verify().problem) == (3, third.digest, "")


def test_the_file_is_its_users_alone(trail: AuditTrail) -> None:
    assert trail.path.stat().st_mode & 0o777 == 0o600
    assert trail.path.parent.stat().st_mode & 0o777 == 0o700


def changed(lines: list[str]) -> list[str]:
    return [lines[0], lines[1].replace('"b"', '"x"'), lines[2]]


def respelled(lines: list[str]) -> list[str]:
    """The same values in other bytes."""
    return [lines[0], json.dumps(json.loads(lines[1])) + "\n", lines[2]]


def with_a_new_digest(lines: list[str]) -> list[str]:
    entry = json.loads(lines[1])
    return [lines[0], lines[1].replace(entry["digest"], "0" * 64), lines[2]]


TAMPERINGS: list[tuple[Callable[[list[str]], list[str]], int]] = [
    (changed, 1),
    (respelled, 1),
    (with_a_new_digest, 1),
    (lambda lines: [lines[0], lines[2]], 1),
    (lambda lines: lines[1:], 0),
    (lambda lines: [lines[0], lines[2], lines[1]], 1),
    (lambda lines: [lines[0], lines[0], *lines[1:]], 1),
    (lambda lines: [lines[0], "{}\n", *lines[1:]], 1),
    (lambda lines: [*lines[:2], lines[2][:-20]], 2),
    (lambda lines: [*lines, "no entry\n"], 3),
]


@pytest.mark.parametrize(("tamper", "hold"), TAMPERINGS)
def test_a_change_of_the_file_is_seen_and_where(
    trail: AuditTrail, tamper: Callable[[list[str]], list[str]], hold: int
) -> None:
    trail.path.write_text("".join(tamper(trail.path.read_text().splitlines(keepends=True))))

    found = trail.verify()

    assert found.problem.startswith(f"line {hold + 1} ")
    assert found.entries == hold


def test_an_end_that_was_cut_off_is_seen_by_a_head_that_was_kept_elsewhere(trail: AuditTrail) -> None:
    head = trail.verify().head
    lines = trail.path.read_text().splitlines(keepends=True)
    trail.path.write_text("".join(lines[:2]))

    assert trail.verify().problem == ""  # what the page says it cannot see
    assert "no line has the head" in trail.verify(head=head).problem


def test_a_trail_that_was_written_anew_is_seen_by_the_head(trail: AuditTrail, tmp_path: Path) -> None:
    head = trail.verify().head
    trail.path.unlink()
    for _ in range(5):
        trail.record("delete_model", who="client-1", model_id="z")

    assert trail.verify().problem == ""
    assert trail.verify(head=head).problem != ""


def test_nothing_is_added_to_a_broken_end(trail: AuditTrail) -> None:
    with trail.path.open("a") as file:
        file.write("half a li")

    with pytest.raises(Unavailable, match="is no entry"):
        trail.record("delete_model", who="client-1")


def test_control_characters_of_others_stay_out(trail: AuditTrail) -> None:
    """A line that a terminal would obey, or that would look like another entry."""
    entry = trail.record("move_alias", who="me\n7 \x1b[31mroot", reason="a\u2028b\u202e" + "x" * 1000)

    assert entry.who == "me\\n7 \\x1b[31mroot"
    assert str(entry.details["reason"]).startswith("a\\u2028b\\u202exxx")
    assert len(str(entry.details["reason"])) < 330
    assert trail.verify().problem == ""


def _write(home: Path, who: str) -> None:
    for number in range(20):
        AuditTrail(home).record("start_watch", who=who, number=number)


def test_processes_that_write_at_once_make_one_chain(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_write, args=(tmp_path, f"p{number}")) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    found = AuditTrail(tmp_path).verify()

    assert (found.entries, found.problem) == (60, "")


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file where a directory should be")

    with pytest.raises(Unavailable, match=r"cannot write .*trail\.jsonl"):
        AuditTrail(tmp_path).record("delete_model", who="me")


def test_what_is_no_head_is_refused(trail: AuditTrail) -> None:
    with pytest.raises(InvalidRequest, match="64 hex digits"):
        trail.verify(head="abc")


def test_an_empty_trail_is_whole(tmp_path: Path) -> None:
    assert AuditTrail(tmp_path).verify().problem == ""
    assert list(AuditTrail(tmp_path).entries()) == []
