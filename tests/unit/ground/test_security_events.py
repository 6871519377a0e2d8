"""Security events: one list, one file, nothing in it that others could write there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from architecture.project_files import modules
from evolve import logs, security_events
from evolve.security_events import EVENTS, MAX_DETAIL, NAME, plain, report, reported


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(logs, "_directory", tmp_path)
    monkeypatch.setattr(security_events, "_said", {})
    yield tmp_path
    for file in security_events._files.values():
        file.close()
    security_events._files.clear()


def test_an_event_is_one_line_of_json(place: Path) -> None:
    report("path_refused", path='../../etc/passwd\n{"event": "forged"}', wanted="read")

    [line] = (place / NAME).read_text().splitlines()
    event = json.loads(line)
    assert event["event"] == "path_refused"
    assert event["path"] == '../../etc/passwd\\n{"event": "forged"}'
    assert list(reported(place)) == [event]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\r\nb", "a\\r\\nb"),
        ("a\u202eb", "a\\u202eb"),
        ("NVDA é 株", "NVDA é 株"),
        (7, 7),
        (None, None),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_text(given: str | int | None, shown: str | int | None) -> None:
    assert plain(given) == shown


def test_a_long_detail_is_cut(place: Path) -> None:
    assert plain("x" * 10_000) == "x" * MAX_DETAIL + "…"


def test_the_same_again_at_once_is_written_once(place: Path) -> None:
    for _ in range(100):
        report("auth_refused", why="WRONGPASS")
    report("auth_refused", why="another")

    assert [event["why"] for event in reported(place)] == ["WRONGPASS", "another"]


def test_a_directory_that_is_gone_refuses_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_directory", place / "gone")

    report("url_refused", host="x")


def test_every_event_of_the_list_is_reported_somewhere() -> None:
    written = "".join(
        path.read_text(encoding="utf-8") for name, path in modules().items() if name != "evolve.security_events"
    )

    assert [event for event in EVENTS if f'"{event}"' not in written] == []
