"""`evolve bus dead` and `evolve bus acl`, as a user types them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evolve.cli.app import app
from evolve.errors import InvalidRequest, UnknownService
from evolve.messaging.connection import bus_for
from evolve.settings import Settings

SERVICE = "model_builder"


def evolve(*words: str) -> str:
    done = CliRunner().invoke(app, ["bus", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def dead(settings: Settings) -> str:
    """A request that was given up; the entry of its dead letter."""

    async def bury() -> str:
        bus = bus_for(settings)
        await bus.open(SERVICE)
        await bus.send(SERVICE, "heavy", b'{"type":"build_model"}', request_id="r1")
        [delivery] = await bus.receive(SERVICE, "heavy", "a", 1, block_s=5)
        assert await bus.finish(delivery, "a", b"error", dead="job_died: given up after 3 attempts") == "sent"
        [letter] = await bus.dead_letters(SERVICE)
        await bus.close()
        return letter.entry

    return asyncio.run(bury())


def test_dead_letters_are_listed_with_their_reason(dead: str) -> None:
    assert f"{SERVICE} {dead}" in evolve("dead", "list")
    [found] = json.loads(evolve("dead", "list", SERVICE, "--json"))
    assert (found["entry"], found["request_id"], found["attempts"], found["raw"]) == (
        dead,
        "r1",
        1,
        '{"type":"build_model"}',
    )
    assert found["reason"] == "job_died: given up after 3 attempts"


def test_one_is_shown_with_its_bytes(dead: str) -> None:
    shown = evolve("dead", "show", SERVICE, dead)

    assert "reason:   job_died: given up after 3 attempts" in shown
    assert shown.endswith('{"type":"build_model"}\n')


def test_one_is_queued_again_or_dropped_and_then_it_is_gone(dead: str, settings: Settings) -> None:
    assert "queued again as r1" in evolve("dead", "retry", SERVICE, dead)
    assert evolve("dead", "list") == "no dead letters\n"
    with pytest.raises(InvalidRequest, match=f"has no dead letter '{dead}'; `evolve bus dead list {SERVICE}`"):
        evolve("dead", "drop", SERVICE, dead)


@pytest.mark.parametrize("entry", ["nonsense", "9-9", "-"])
def test_an_entry_that_is_none_is_said(dead: str, entry: str) -> None:
    with pytest.raises(InvalidRequest, match="has no dead letter"):
        evolve("dead", "show", SERVICE, "--", entry)


def test_a_service_that_is_none_is_said(settings: Settings) -> None:
    with pytest.raises(UnknownService):
        evolve("dead", "list", "nobody")


def test_the_acl_file_names_every_user_and_keeps_passwords_apart(tmp_path: Path, settings: Settings) -> None:
    kept = tmp_path / "passwords"

    first, again = evolve("acl", "--passwords", str(kept)), evolve("acl", "--passwords", str(kept))

    assert first == again, "passwords once made are kept"
    assert kept.stat().st_mode & 0o777 == 0o600
    words = dict(line.split("=") for line in kept.read_text().splitlines())
    assert {"client", "supervisor", SERVICE} <= set(words)
    assert not any(word in first for word in words.values())
    assert first.startswith("user default off")
