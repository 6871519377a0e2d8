"""`evolve sandbox`: a program's value on standard output, everything else on standard error, and an exit code to rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evolve.cli import main
from evolve.cli.sandbox import input_of

pytestmark = pytest.mark.xdist_group("sandbox")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text("def main(d):\n    print('printed')\n    return {'n': len(d['prices'])}\n")
    return path


@pytest.mark.usefixtures("home")
def test_a_programs_value_is_json_on_standard_output(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "run", str(program), "--input", '{"prices": [1, 2, 3]}']) == 0

    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"n": 3}
    assert shown.err.startswith("printed\n")


@pytest.mark.usefixtures("home")
def test_the_input_may_stand_in_a_file(program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "given.json").write_text('{"prices": []}')

    assert main(["sandbox", "run", str(program), "--input", f"@{tmp_path / 'given.json'}", "--json"]) == 0

    result = json.loads(capsys.readouterr().out)
    assert (result["status"], result["return_value"], result["output"]) == ("success", {"n": 0}, "printed\n")


@pytest.mark.usefixtures("home")
def test_a_program_that_fails_exits_with_1_and_says_why(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "run", str(program)]) == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "execution_error: KeyError: 'prices'" in shown.err
    assert "line 3, in main" in shown.err


@pytest.mark.usefixtures("home")
def test_limits_of_one_run_are_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    endless = tmp_path / "endless.py"
    endless.write_text("def main(d):\n    while True: pass\n")

    assert main(["sandbox", "run", str(endless), "--timeout", "0.2"]) == 1

    assert "timeout: the program did not finish within 0.2 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.py"], "cannot read nowhere.py"),
        (["{program}", "--input", "[1]"], "takes a JSON object"),
        (["{program}", "--input", "{"], "is not JSON"),
        (["{program}", "--input", "@nowhere.json"], "cannot read nowhere.json"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_sentence(
    program: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sandbox", "run", *(word.replace("{program}", str(program)) for word in words)]) == 1

    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_no_input_is_an_empty_object() -> None:
    assert input_of("{}") == {}


@pytest.mark.usefixtures("home")
def test_the_attack_suite_names_each_attack_what_it_tried_and_what_stopped_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sandbox", "attack-suite", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["isolation_level"] in ("namespaces+landlock+seccomp", "landlock+seccomp", "seccomp")
    assert len(found["attacks"]) >= 20
    for attack in found["attacks"]:
        assert attack["stopped"], attack
        assert all(attack[field] for field in ("name", "tries", "gate", "wall"))


@pytest.mark.usefixtures("home")
def test_a_program_cannot_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "loud.py"
    path.write_text("def main(d):\n    print('\\x1b]0;owned\\x07 é')\n    raise ValueError('\\x1b[2J')\n")

    assert main(["sandbox", "run", str(path)]) == 1

    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "\\x1b]0;owned\\x07 é" in shown
