"""The example notebooks: they run from top to bottom, show what they promise, and are kept without outputs."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from seed_blocks import ROOT
from seed_system import System

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

# notebook → what must stand in its outputs: as HTML, or as plain text
SHOWN = {
    "audit_a_strategy.ipynb": ("cross", "bp a leg", "data:image/png", "(False,"),
    "first_question.ipynb": ("understood as", "ridge-AAPL-1d-", "NO EDGE", "caveats", "data:image/png", "reproduce"),
    "your_own_model.ipynb": ("AAPL 1d", "buy and hold", 'image/png": "', "no feature up to the cut"),
}

pytestmark = [pytest.mark.xdist_group("running"), pytest.mark.timeout(700)]


@pytest.fixture(scope="module")
def executed(running: System) -> dict[str, str]:
    """Notebook → its outputs as text. All in one kernel, which forgets between them: its start costs more than most cells."""
    whole = nbformat.v4.new_notebook()
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        for cell in [nbformat.v4.new_code_cell("%reset -f"), *cells]:
            cell.metadata["from"] = path.name
            cell.id = f"{path.stem}-{len(whole.cells)}"
            whole.cells.append(cell)
    place = {"metadata": {"path": str(running.home)}}
    environment = {**running.environment, "IPYTHONDIR": str(running.home / "ipython")}

    NotebookClient(whole, timeout=600, kernel_name="python3", resources=place).execute(env=environment)

    return {
        path.name: json.dumps([cell.get("outputs", []) for cell in whole.cells if cell.metadata["from"] == path.name])
        for path in NOTEBOOKS
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_shows_what_it_promises(path: Path, executed: dict[str, str]) -> None:
    assert [words for words in SHOWN[path.name] if words not in executed[path.name]] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]

    assert [cell.id for cell in cells if cell.outputs or cell.execution_count is not None] == []


def test_there_are_three_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS] == sorted(SHOWN)
