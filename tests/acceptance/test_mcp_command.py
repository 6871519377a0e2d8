"""`evolve mcp` as an assistant starts it: over a pipe, in front of the running services."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from seed_system import System

import evolve.cli.mcp
from evolve.cli import main

pytestmark = [pytest.mark.xdist_group("running"), pytest.mark.timeout(700)]


async def test_over_a_pipe_an_assistant_asks_and_reads_the_answer(running: System) -> None:
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    server = StdioServerParameters(
        command=sys.executable, args=["-m", "evolve", "mcp", "--allow-run"], env=running.environment
    )
    async with Client(server) as client:
        asked = await client.call_tool("ask", {"query": "What's happening with AAPL?"}, progress_callback=hear)
        answer = asked.structured_content["data"]["result"]["answer"]
        stored = await client.call_tool("show_answer", {"answer_id": answer["answer_id"]})
        whole = (await client.read_resource(f"evolve://answers/{answer['answer_id']}")).contents[0].text

    assert "AAPL" in answer["headline"]
    assert stored.structured_content["data"]["answer"]["figures"] == answer["figures"]
    assert answer["headline"] in whole
    assert any(message and message.startswith("understand") for message in heard)


@pytest.mark.parametrize(("words", "allowed"), [([], False), (["--allow-run"], True)])
def test_it_is_read_only_on_a_pipe_unless_told_otherwise(
    words: list[str], allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(evolve.cli.mcp, "serve", lambda **options: given.update(options))

    assert main(["mcp", *words]) == 0

    assert (given["allow_run"], given["http"], given["host"]) == (allowed, False, "127.0.0.1")
