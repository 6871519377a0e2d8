"""What pages load: exact versions from npm, built from today's sources, and said plainly where it is not built."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from starlette.requests import Request

from evolve.errors import Unavailable
from evolve.web import bundle
from evolve.web.pages import frame

SOURCES = Path(bundle.__file__).with_name("assets")


def test_the_lock_of_npm_names_exact_versions_and_no_host() -> None:
    lock = (SOURCES / "package-lock.json").read_text(encoding="utf-8")
    wanted = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))
    pins = {**wanted["dependencies"], **wanted["devDependencies"]}

    assert "://" not in lock
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", pin) for pin in pins.values())
    locked = json.loads(lock)["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in pins} == pins
    assert all("integrity" in each for name, each in locked.items() if name)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources and bundle in a directory of the test's own."""
    sources = tmp_path / "assets"
    (sources / "src").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "vite.config.js", "src/main.js"):
        (sources / name).write_text("{}", encoding="utf-8")
    monkeypatch.setattr(bundle, "SOURCES", sources)
    monkeypatch.setattr(bundle, "BUILT", tmp_path / "static")
    return tmp_path


def stamped(place: Path, key: str) -> None:
    (place / "static").mkdir(exist_ok=True)
    (place / "static" / bundle.STAMP).write_text(key, encoding="ascii")


def test_a_bundle_is_current_until_a_source_changes(elsewhere: Path) -> None:
    assert not bundle.is_current()
    stamped(elsewhere, bundle.source_key() or "")
    assert bundle.is_current()

    (elsewhere / "assets" / "src" / "main.js").write_text("changed", encoding="utf-8")

    assert not bundle.is_current()


def test_a_shipped_bundle_has_no_sources_and_is_what_it_is(elsewhere: Path) -> None:
    stamped(elsewhere, "of another machine")
    (elsewhere / "assets" / "package.json").unlink()

    assert bundle.is_current()
    with pytest.raises(Unavailable, match="make web"):
        bundle.build()


def test_a_failing_npm_is_said_with_its_own_words_and_the_old_bundle_stays(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamped(elsewhere, "old")
    monkeypatch.setattr(bundle, "_npm", lambda: ["sh", "-c", "echo no such package >&2; exit 3"])

    with pytest.raises(Unavailable, match=r"no such package.*make web"):
        bundle.build()

    assert (elsewhere / "static" / bundle.STAMP).read_text(encoding="ascii") == "old"


def test_without_a_bundle_every_page_says_the_command(elsewhere: Path) -> None:
    request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []})

    response = frame.page(request, "feed.html", services=(), service="")

    assert response.status_code == 503
    assert b"<pre>make web</pre>" in response.body
    assert b"<script" not in response.body
