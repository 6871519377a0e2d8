"""The tables of docs/reliability.md, each between its markers: written by the tests that counted, when they have run."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def write(name: str, said: str, *lines: str) -> None:
    """said: of this run, after its date, commit, machine and load."""
    sys.path.insert(0, str(ROOT / "bench"))
    from report.page import load, provenance, write_section

    write_section(
        ROOT / "docs" / "reliability.md", name, "\n".join([f"{provenance()}; load {load()}; {said}.", "", *lines])
    )


def head(columns: str) -> list[str]:
    """columns: `fault | sent | answered`."""
    return [f"| {columns} |", "|---" * len(columns.split("|")) + "|"]


@contextlib.contextmanager
def table(name: str, columns: str, *, said: str) -> Iterator[list[str]]:
    """Rows, to be added to; written at the end if there are any, the bad ones too."""
    rows: list[str] = []
    yield rows
    if rows:
        write(name, said, *head(columns), *rows)
