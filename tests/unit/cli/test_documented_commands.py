"""Every `evolve …` that a page or a sentence of ours names is a command that exists, with the options it shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from evolve.cli.app import app

ROOT = Path(__file__).parents[3]
COMMAND: Any = typer.main.get_command(app)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = sorted((ROOT / "src" / "evolve").rglob("*.py"))

# `evolve x` in backticks, and shell lines of code blocks, with or without a prompt or variables before it.
IN_TICKS = re.compile(r"`(?:\$ )?(?:[A-Z_]+=\S+ )*evolve ([^`\n]+)`")
IN_BLOCKS = re.compile(r"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?evolve ([^\n#]+)", re.MULTILINE)


def commands_of(path: Path) -> Iterator[str]:
    text = path.read_text()
    found = IN_TICKS.findall(text)
    if path.suffix == ".md":
        for block in re.findall(r"```(?:sh|bash|console|shell|text)?\n(.*?)```", text, re.DOTALL):
            found += IN_BLOCKS.findall(block)
    for line in found:
        yield from re.split(r"\s*(?:;|&&)\s+evolve ", line)


def is_group(command: Any) -> bool:
    return hasattr(command, "commands")  # typer may carry a click of its own, so no isinstance


def alternatives(words: str) -> list[str]:
    """`up|status|down` and `{up,down}` are several commands."""
    first, _, rest = words.partition(" ")
    return [f"{each} {rest}".strip() for each in re.split(r"[|/]", first)]


def wrong_with(words: str) -> str | None:
    """Why these words after `evolve` are no command line, or None."""
    try:
        parts = shlex.split(re.sub(r"\{[^}]*\}", "X", words), comments=True)
    except ValueError:
        parts = words.split()
    at = COMMAND
    while parts and is_group(at):
        name = parts.pop(0)
        if name in ("…", "--help") or any(name in parameter.opts for parameter in at.params):
            return None
        names = name.split("|")
        if any(each not in at.commands for each in names):
            return f"there is no command {name!r}"
        at = at.commands[names[0]]
    known = {option for parameter in at.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    for part in parts:
        if part in (">", "|", ">>", "&&"):
            break
        if part.startswith("--") and part.split("=")[0] not in known:
            return f"{at.name} has no option {part}"
    return None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_names_only_commands_that_exist(path: Path) -> None:
    wrong = {words: why for found in commands_of(path) for words in alternatives(found) if (why := wrong_with(words))}

    assert wrong == {}


def test_a_sentence_of_the_program_names_only_commands_that_exist() -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: evolve {words}": why
        for path in SOURCES
        for found in commands_of(path)
        for words in alternatives(found)
        if (why := wrong_with(words))
    }

    assert wrong == {}


@pytest.mark.parametrize(
    ("words", "wrong"),
    [("ask X", False), ("ask X --json", False), ("data import FILE --symbol X", False), ("setup torch --cpu", False),
     ("aks X", True), ("ask X --jsonn", True), ("data imprt FILE", True), ("bus publish|subscribe|monitor", False), ("bus publish|shout", True)],
)  # fmt: skip
def test_the_check_tells_a_command_from_a_misspelt_one(words: str, wrong: bool) -> None:
    assert (wrong_with(words) is not None) == wrong


def test_every_command_says_what_it_does() -> None:
    def leaves(group: Any) -> Iterator[Any]:
        for each in group.commands.values():
            yield from leaves(each) if is_group(each) else [each]

    assert all(each.help for each in leaves(COMMAND))
    assert len(list(leaves(COMMAND))) > 20
