"""What does the specification show? The code blocks of seed.md, read out of its copy beside this file, and run as they stand."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEED = Path(__file__).with_name("seed.md")

# Calls that take minutes: left out of the blocks, and run as they stand by a proof of their own (`make prove`).
SLOW = ("tune_hyperparameters",)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, the heading above it, its text without the fence's own indentation."""

    language: str
    heading: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block that do something."""
        return [line for line in self.text.splitlines() if line.strip() and not line.startswith("#")]


@cache
def blocks() -> tuple[Block, ...]:
    found: list[Block] = []
    heading, language, indent, lines = "", None, 0, []
    for line in SEED.read_text(encoding="utf-8").splitlines():
        fence = re.match(r"( *)```(\w*)$", line)
        if fence and language is None:
            language, indent, lines = fence.group(2), len(fence.group(1)), []
        elif fence:
            found.append(Block(language or "", heading, "\n".join(lines)))
            language = None
        elif language is not None:
            lines.append(line[indent:])
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return tuple(found)


def block(containing: str) -> Block:
    """The one block that contains this text."""
    found = [each for each in blocks() if containing in each.text]
    if len(found) != 1:
        raise LookupError(f"{len(found)} blocks of seed.md contain {containing!r}")
    return found[0]


def without_slow_calls(python: str) -> str:
    """The block without calls of methods in SLOW, and without the `print(result)` after each."""
    kept: list[ast.stmt] = []
    left_out = False
    for statement in ast.parse(python).body:
        called = {node.attr for node in ast.walk(statement) if isinstance(node, ast.Attribute)}
        if called & {*SLOW}:
            left_out = True
        elif not (left_out and ast.unparse(statement) == "print(result)"):
            kept.append(statement)
            left_out = False
    return ast.unparse(ast.Module(kept, []))


@dataclass(frozen=True, slots=True)
class Statement:
    """What seed.md says in one place: a heading (level > 0), a sentence or bullet, or one step of a code block, on one line."""

    text: str
    level: int = 0


SHOWN_CODE = 80  # characters of a code step that docs/specification.md repeats


@cache
def statements() -> tuple[Statement, ...]:
    """Everything that seed.md says, in order; code is told apart at its comments."""
    found: list[Statement] = []
    code: list[str] | None = None
    quoted = False
    for line in SEED.read_text(encoding="utf-8").splitlines():
        fence = re.match(r" *```\w*$", line)
        if fence and code is None:
            code, quoted = [], False
        elif fence and code is not None:
            found += _step(code)
            code = None
        elif code is not None:
            if line.lstrip().startswith("# ") and not quoted and not line.startswith("    "):
                found += _step(code)
                code = []
            quoted ^= line.count("'''") % 2 == 1
            code.append(line.strip())
        elif line.startswith("#"):
            marks, _, text = line.partition(" ")
            found.append(Statement(text, len(marks)))
        elif line.strip():
            found.append(Statement(re.sub(r"^(- |\d+\. )", "", line.strip())))
    return tuple(found)


def _step(lines: list[str]) -> list[Statement]:
    text = " ".join(" ".join(lines).split())
    shown = text if len(text) <= SHOWN_CODE else text[:SHOWN_CODE].rstrip() + " …"
    return [Statement(f"`` {shown} ``")] if text else []
