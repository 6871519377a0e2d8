"""The prompt resumes conversations, completes what it knows, and keeps its lines where only their owner reads them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from evolve import chat
from evolve.settings import Settings


class Answers:
    """In place of QuantGPT: notes what is asked, in which conversation."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings.load(home=home)
        self.asked: list[tuple[str, str]] = []

    def process_query(self, query: str, *, session: str, on_progress: Any) -> dict[str, Any]:
        if query == "something long":
            raise KeyboardInterrupt
        self.asked.append((session, query))
        return {"query": query, "status": "success", "timestamp": 0.0, "gpt_commentary": f"answer to {query}"}

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answers:
    found = Answers(tmp_path)
    monkeypatch.setattr(chat, "QuantGPT", lambda: found)
    return found


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    waiting = iter(lines)

    def read(prompt: str) -> str:
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)


def test_a_conversation_is_resumed_by_continue_and_by_name(answers: Answers, monkeypatch: pytest.MonkeyPatch):
    typed(monkeypatch, "one", "quit", "two", "three")

    chat.converse()
    chat.converse(resume=True)
    typed(monkeypatch, "four")
    chat.converse()
    typed(monkeypatch, "five")
    chat.converse(session=answers.asked[0][0])

    sessions = {query: session for session, query in answers.asked}
    assert sessions["one"] == sessions["two"] == sessions["three"] == sessions["five"]
    assert sessions["four"] != sessions["one"]


def test_ctrl_c_cancels_the_question_and_not_the_conversation(
    answers: Answers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    typed(monkeypatch, "something long", "something short", "exit")

    assert chat.converse() == 0
    assert [query for _, query in answers.asked] == ["something short"]
    assert "cancelled" in capsys.readouterr().err


@pytest.mark.skipif("readline" not in sys.builtin_module_names and not __import__("importlib.util").util.find_spec("readline"), reason="this Python edits no lines")  # fmt: skip
def test_the_lines_that_were_typed_are_kept_for_their_owner_only(answers: Answers, monkeypatch: pytest.MonkeyPatch):
    typed(monkeypatch, "quit")

    chat.converse()

    assert (answers.settings.home / "chat" / "lines").stat().st_mode & 0o077 == 0


def completions(word: str) -> list[str]:
    complete = chat.completer()
    found = []
    while (next_one := complete(word, len(found))) is not None:
        found.append(next_one)
    return found


@pytest.mark.parametrize(
    ("word", "wanted"),
    [("nvd", "NVDA"), ("btc", "BTCUSDT"), ("xgb", "xgboost"), ("fo", "forget it"), ("", chat.EXAMPLES[0])],
)
def test_tab_completes_symbols_models_and_commands_and_offers_examples_on_an_empty_line(word: str, wanted: str):
    assert wanted in completions(word)
