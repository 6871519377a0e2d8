"""What holds for all commands: JSON where it is asked for, exit codes as documented, no colour where it would be noise."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from evolve.cli import main
from evolve.cli.app import app
from evolve.cli.show import console
from evolve.settings import Settings

COMMANDS_PAGE = (Path(__file__).parents[3] / "docs" / "commands.md").read_text()
# Foreground programs: what they print is a log, and what they answer goes elsewhere.
PRINT_NOTHING = {"serve", "mcp"}


def leaves(group: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, each in group.commands.items():
        path = (*before, name)
        if hasattr(each, "commands"):
            yield from leaves(each, path)
            if not each.invoke_without_command:
                continue
        yield " ".join(path), each


ALL = dict(leaves(typer.main.get_command(app)))


@pytest.mark.parametrize("name", sorted(ALL.keys() - PRINT_NOTHING))
def test_a_command_that_prints_takes_json(name: str) -> None:
    assert any("--json" in each.opts for each in ALL[name].params)


@pytest.mark.parametrize("name", sorted(ALL))
def test_everything_that_a_command_takes_is_explained(name: str) -> None:
    assert [each.name for each in ALL[name].params if not each.help] == []


def out_of(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "line",
    [
        "history", "parse Hello", "data list", "data show AAPL", "alerts list", "alerts log", "config redis", "config redis embedded",
        "schema asyncapi", "status", "down", "bus acl",
    ],
)  # fmt: skip
def test_what_is_printed_as_json_is_json_with_nothing_running(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert out_of(capsys, *line.split()) is not None


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("data show APPL", "unknown_symbol"), ("data show AAPL --timeframe 1h", "data_unavailable"), ("bus ping", "unavailable"),
        ("bus dead show nobody 1-1", "unknown_service"), ("alerts remove nothing", "invalid_request"), ("ping nobody", "unknown_service"),
    ],
)  # fmt: skip
def test_an_error_is_json_too_and_its_sentence_links_its_section(
    line: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*line.split(), "--json"]) == 1

    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert (found["status"], found["data"]["code"]) == ("error", code)
    assert shown.err.rstrip().endswith(f"· docs/troubleshooting.md#{code}")


def test_the_bus_commands_do_what_redis_cli_does(
    server: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", str(server.redis_url))
    monkeypatch.setenv("EVOLVE_HOME", str(tmp_path))
    reader = subprocess.Popen(
        [sys.executable, "-m", "evolve", "bus", "subscribe", "quiet_channel", "--count", "2", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert reader.stderr is not None
    assert "listening" in reader.stderr.readline()

    assert out_of(capsys, "bus", "ping")["answer"] == "PONG"
    assert out_of(capsys, "bus", "channels", "quiet_*") == [{"channel": "quiet_channel", "listeners": 1}]
    assert out_of(capsys, "bus", "publish", "quiet_channel", '{"a": 1}') == {"channel": "quiet_channel", "heard": 1}
    assert main(["bus", "publish", "quiet_channel", "plain"]) == 0
    lines = reader.communicate(timeout=60)[0].splitlines()
    assert [json.loads(line)["message"] for line in lines] == [{"a": 1}, "plain"]


# --- exit codes ---


def test_the_exit_codes_are_those_of_the_page() -> None:
    assert re.findall(r"^\| (\d+) \|", COMMANDS_PAGE, re.MULTILINE) == ["0", "1", "2", "130"]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("data list", 0), ("data show APPL", 1), ("bus dead list nobody", 1), ("nothing", 2), ("data show", 2), ("data show AAPL --no-such", 2),
        ("history --limit many", 2), ("alerts add x", 2), ("alerts add x --on rain --email a@b", 1), ("alerts add x --on drift", 1),
    ],
)  # fmt: skip
def test_a_command_exits_as_documented(line: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == code
    assert "Traceback" not in capsys.readouterr().err


def test_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("evolve.cli.doctor.run", interrupted)

    assert main(["doctor"]) == 130


# --- colours, completion ---


def test_output_that_is_no_terminal_has_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("red", style="bold red")

    assert "\x1b" not in capsys.readouterr().out


def test_no_color_leaves_no_colour_on_a_terminal_either(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = {}
    for wanted in ("", "1"):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("NO_COLOR", wanted)
        console().print("red", style="red")
        shown[wanted] = terminal.getvalue()
    assert "\x1b[31m" in shown[""]
    assert "\x1b[31m" not in shown["1"]


def test_the_shell_completes_commands_without_loading_libraries() -> None:
    asks = {
        "_EVOLVE_COMPLETE": "complete_bash",
        "COMP_WORDS": "evolve al",
        "COMP_CWORD": "1",
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    program = Path(sys.executable).with_name("evolve")

    done = subprocess.run(
        [program], env={**os.environ, **asks}, capture_output=True, text=True, timeout=60, check=False
    )

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.stdout.split() == ["alerts"]
    assert "evolve.cli.app" in loaded
    assert not loaded & {"numpy", "redis", "sqlalchemy", "torch"}  # pydantic is loaded by typer itself
