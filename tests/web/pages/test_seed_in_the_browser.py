"""Each thing that seed.md lists has a page: the table in docs/web.md is complete, and leads to pages and messages that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.routing import Match

from architecture.project_files import ROOT
from evolve.client.core import all_requests
from evolve.settings import Settings
from evolve.web.app import create_app

SECTION = (
    (ROOT / "docs" / "web.md")
    .read_text(encoding="utf-8")
    .partition("## seed.md in the browser")[2]
    .partition("\n## ")[0]
)
ROWS = re.findall(r"^\| (.+?) \| `(/[^`]*)`[^|]* \| (?:`([^`]*)` )?\|$", SECTION, re.MULTILINE)
SEED = (ROOT / "tests" / "acceptance" / "seed.md").read_text(encoding="utf-8")


def test_every_method_and_action_of_the_specification_has_a_row() -> None:
    methods = set(re.findall(r"\bclient\.(\w+)\(", SEED)) - {"close"}
    actions = set(re.findall(r"--action ([\w-]+)", SEED)) & {"start", "start-all", "stop-all", "status"}
    listed = " ".join(what for what, _, _ in ROWS)

    assert len(methods) > 10
    assert {name for name in methods if f"`{name}`" not in listed} == set()
    assert {name for name in actions if not re.search(rf"\b{name}\b", listed)} == set()


@pytest.mark.parametrize(("what", "page", "form"), ROWS)
def test_a_row_leads_to_a_page_and_to_the_message_that_the_client_sends(
    what: str, page: str, form: str, tmp_path: Path
) -> None:
    app = create_app(Settings(home=tmp_path))
    scope = {"type": "http", "method": "GET", "path": page.format(model_id="m", service="web"), "headers": []}

    assert any(route.matches(scope)[0] is Match.FULL for route in app.routes)
    if form:
        _, _, service, wire = form.split("/")
        sent = all_requests()[service][wire]
        named = what.strip("`")
        assert named in (sent.client_method, sent.wire_type) or not named.isidentifier()
