"""`evolve alerts`: rules are made, shown, tried and forgotten by people; what was told can be looked up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alert_receivers import Says, receiving
from evolve.cli import main
from evolve.memory.database import database_path
from evolve.settings import Settings

pytestmark = pytest.mark.usefixtures("home")


def run(line: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    assert main(line.split()) == code
    shown = capsys.readouterr()
    return shown.err if code else shown.out


def test_a_rule_is_made_shown_tried_and_forgotten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("hunter2-hunter2")
    with receiving(Says(), Says(404)) as receiver:
        made = run(f"alerts add mine --on drift --symbol aapl --webhook {receiver.url}/x --private --secret file:{key} --quiet 22:00-07:00 --timezone Europe/Berlin", capsys)  # fmt: skip
        assert (
            made.splitlines()[0]
            == f"mine: drift of AAPL from 1 until 0 → webhook {receiver.url}/x, quiet 22:00-07:00 Europe/Berlin"
        )
        assert "sent by webhook" in run("alerts test mine", capsys)
        assert "not sent by webhook: it answered status 404" in run("alerts test mine", capsys, code=1)

    assert receiver.taken[0].json["data"]["level"] == "test"
    assert "webhook-signature" in receiver.taken[0].headers
    assert json.loads(run("alerts list --json", capsys))[0]["secret"] == f"file:{key}"
    assert run("alerts log", capsys) == "nothing has been told yet\n"  # a test is no alert
    assert run("alerts remove mine", capsys) == "removed mine\n"
    assert "no rules yet" in run("alerts list", capsys)
    assert b"hunter2" not in database_path(Settings.load()).read_bytes()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--on drift", "one of --webhook URL"),
        ("--on drift --webhook http://x --email a@b", "one of --webhook URL"),
        ("--on rain --email a@b", "--on takes signal, drift, crash"),
        ("--on drift --symbol ??? --email a@b", "is not a symbol"),
        ("--on crash --service updatr --email a@b", "updater"),
        ("--on drift --email a@b --above -1", "--above must be positive"),
    ],
)
def test_a_mistake_says_how_to_write_it(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in run(f"alerts add mine {line}", capsys, code=1)
