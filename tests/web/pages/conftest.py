"""Services, pages and browser are started once, for all tests of the pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _pytest.nodeid import NodeId

from web.pages.desk import Desk, desk


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker has them all. As in tests/acceptance: pytest-xdist 3.8 notes groups where pytest 9.2 no longer reads them."""
    for item in items:
        if "pages" in item.path.parts and "at" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("pages"))
            if item.config.getoption("loadgroup", default=False) and not item.nodeid.endswith("@pages"):
                item._id = NodeId.parse(item.nodeid + "@pages")


@pytest.fixture(scope="session")
def at() -> Iterator[Desk]:
    with desk() as running:
        yield running


@pytest.fixture(scope="session")
def answered(at: Desk) -> str:
    """The address of an answer, without the server: asked in a browser, as a trader would."""
    from web.pages.desk import ANSWER, QUESTION, settle

    with at.visit() as (page, _):
        page.goto("/")
        page.get_by_role("textbox").fill(QUESTION)
        page.get_by_role("button", name="Ask", exact=True).click()
        page.locator("[data-steps] li", has_text="TINY").first.wait_for()  # streamed while the work goes on
        page.wait_for_url(ANSWER)
        settle(page)
        return page.url.removeprefix(at.url).partition("?")[0]
