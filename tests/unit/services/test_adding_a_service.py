"""docs/adding-a-service.md is true: its code is a whole service that answers."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from evolve.client import generate
from evolve.errors import InvalidRequest
from evolve.messaging.envelope import RequestEnvelope
from evolve.messaging.service import Job, load_service
from evolve.settings import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "adding-a-service.md").read_text()
(CODE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's code, saved and imported where the page says, but for the directory."""
    path = tmp_path / "clock.py"
    path.write_text(CODE)
    name = "evolve.services.clock"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def answer(module: ModuleType, settings: Settings, data: dict[str, Any]) -> Any:
    service = module.ClockService(settings=settings)
    envelope = RequestEnvelope("tell_time", data, request_id="r1")
    return service.handle(module.ClockService.parse(envelope), Job(envelope, wire=None))  # type: ignore[arg-type]


def test_the_service_answers(clock: ModuleType, settings: Settings) -> None:
    reply = answer(clock, settings, {"zone": "Asia/Tokyo"})

    assert reply.local_time.endswith("+09:00")  # Tokyo has no summer time


def test_the_services_own_refusal_is_a_typed_error(clock: ModuleType, settings: Settings) -> None:
    with pytest.raises(InvalidRequest, match="Europe/London"):
        answer(clock, settings, {"zone": "Mars/Olympus"})


def test_names_derive_from_the_classes_as_the_page_says(clock: ModuleType) -> None:
    assert (clock.TellTime.wire_type, clock.TimeTold.wire_type, clock.TellTime.service) == (
        "tell_time",
        "time_told",
        "clock",
    )
    assert clock.TellTime.slot == "light"
    assert not clock.TellTime.records
    assert load_service("evolve.services.clock:ClockService") is clock.ClockService


def test_the_line_of_the_registry_is_the_one_on_the_page() -> None:
    assert '`"clock": "evolve.services.clock:ClockService"`' in PAGE.replace("\n", " ").replace(
        'add `"clock"', '`"clock"'
    )


def test_the_generated_client_gets_its_method(clock: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page promises `tell_time("Asia/Tokyo")`: the zone by position."""
    monkeypatch.setattr(generate, "all_requests", lambda: {"clock": {"tell_time": clock.TellTime}})

    source = generate.source()

    assert "from evolve.services.clock import TellTime" in source
    assert 'def tell_time(self, zone: str = "America/New_York", *' in source
