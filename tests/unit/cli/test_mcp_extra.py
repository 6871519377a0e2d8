"""`evolve mcp` where its package is not installed, or its token can be guessed: one sentence that says what to do."""

from __future__ import annotations

import sys

import pytest

from evolve.cli import main


def test_without_the_package_it_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)

    assert main(["mcp"]) == 1
    assert "pip install 'evolve-trading[mcp]'" in capsys.readouterr().err


def test_a_token_that_can_be_guessed_is_refused_before_anything_listens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVOLVE_MCP_TOKEN", "secret")

    assert main(["mcp", "--http", "--port", "0"]) == 1
    said = capsys.readouterr().err
    assert "at least 24" in said
    assert "secret" not in said
