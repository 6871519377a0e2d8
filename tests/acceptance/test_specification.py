"""Is every sentence of seed.md proven, or open, or different for a reason? docs/specification.md says so, and this holds it to it."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from seed_blocks import ROOT, statements

PAGE = ROOT / "docs" / "specification.md"
TESTS = ROOT / "tests"


@cache
def rows() -> tuple[tuple[str, str], ...]:
    """(what seed.md says, what proves it) of each row of the page's tables."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith(("| seed.md |", "|---")):
            left, right = line.strip("| ").split(" | ")
            found.append((left, right))
    return tuple(found)


@cache
def names_of_tests() -> dict[str, set[str]]:
    """Test functions by the name of their file."""
    return {
        path.name: {
            node.name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        for path in TESTS.rglob("test_*.py")
    }


def test_every_sentence_and_code_step_of_the_specification_has_its_row_in_order():
    said = [statement.text for statement in statements() if not statement.level]
    assert [left for left, _ in rows()] == [text.replace("|", "\\|") for text in said]


def test_the_page_has_the_sections_of_the_specification():
    headings = [statement.text for statement in statements() if statement.level > 1]
    page = re.findall(r"^##+ (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert page == headings


@pytest.mark.parametrize(("left", "right"), rows())
def test_a_row_names_a_test_an_issue_or_a_reason(left, right):
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", right)
    assert named or re.search(r"open: issue \d+|differs: |introduces ", right), right
    for file, name in named:
        assert name in names_of_tests().get(file, ()), f"{file} has no {name}"
