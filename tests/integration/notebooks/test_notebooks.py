"""The example notebooks: they run from top to bottom, show what they promise, and are kept without outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from architecture.project_files import ROOT
from evolve.manager.manager import ServiceManager
from evolve.settings import Settings
from homes import fresh_home

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
NEEDED = ("model_builder", "performance_critic", "prompt_router", "quant_gpt", "safe_executor")

# notebook → what must stand in its outputs: as HTML, or as plain text
SHOWN = {
    "audit_a_strategy.ipynb": ("cross", "bp a leg", "data:image/png", "(False,"),
    "first_question.ipynb": ("understood as", "ridge-AAPL-1d-", "NO EDGE", "caveats", "data:image/png", "reproduce"),
    "your_own_model.ipynb": ("AAPL 1d", "buy and hold", "no feature up to the cut"),
}

pytestmark = [pytest.mark.xdist_group("notebooks"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def running() -> Iterator[Path]:
    """A home in which the services that notebooks ask run already."""
    with fresh_home() as home, ServiceManager(settings=Settings.load(home=home, log_dir=home / "logs")) as manager:
        for name in NEEDED:
            manager.start_service(name)
        yield home
        manager.down()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_shows_what_it_promises(
    path: Path, running: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EVOLVE_HOME", str(running))
    monkeypatch.setenv("EVOLVE_LOG_DIR", str(running / "logs"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    notebook = nbformat.read(path, as_version=4)

    NotebookClient(notebook, timeout=240, kernel_name="python3").execute()

    shown = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert [words for words in SHOWN[path.name] if words not in shown] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]

    assert [cell.id for cell in cells if cell.outputs or cell.execution_count is not None] == []


def test_there_are_three_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS] == sorted(SHOWN)
