"""What the proofs of state and compute counted, written into docs/reliability.md when they have run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "reliability.md"
HEAD = ["| fault | done | faults | lost | doubled | different | tried |", "|---" * 7 + "|"]
Count = Callable[[str, str, int, int, int, int], None]


@pytest.fixture(scope="session")
def counted() -> Count:
    """Called as (fault, what was done, faults, lost, doubled, different); rows of other faults stay as they stand."""
    sys.path.insert(0, str(ROOT / "bench"))
    from report.page import provenance, write_section

    # Of the commit as it was before the first row changed the page.
    when = ", ".join(part.strip() for part in provenance().split(",")[:2])

    def count(fault: str, done: str, faults: int, lost: int, doubled: int, different: int) -> None:
        standing = PAGE.read_text().partition("<!-- state -->")[2].partition("<!-- /state -->")[0].splitlines()
        rows = {line.split("|")[1].strip(): line for line in standing if line.startswith("|") and line not in HEAD}
        rows[fault] = f"| {fault} | {done} | {faults} | {lost} | {doubled} | {different} | {when} |"
        write_section(PAGE, "state", "\n".join([*HEAD, *rows.values()]))

    return count
