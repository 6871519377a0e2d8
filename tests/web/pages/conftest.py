"""Services, pages and browser are started once, for all tests of the pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _pytest.nodeid import NodeId

from web.pages.desk import ANSWER, QUESTION, Desk, Running, at_the_desk, chromium, running_pages, settle


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker has them all. As in tests/acceptance: pytest-xdist 3.8 notes groups where pytest 9.2 no longer reads them."""
    for item in items:
        if "pages" in item.path.parts and "at" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("pages"))
            if item.config.getoption("loadgroup", default=False) and not item.nodeid.endswith("@pages"):
                item._id = NodeId.parse(item.nodeid + "@pages")


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    chromium()  # skips before anything is started
    with running_pages() as started:
        yield started


@pytest.fixture(scope="module")
def at(running: Running) -> Iterator[Desk]:
    with at_the_desk(running) as desk:
        yield desk


@pytest.fixture(scope="module")
def answered(at: Desk) -> str:
    """The address of an answer, without the server: asked once, in a browser, as a trader would."""
    if not at.running.answered:
        with at.visit() as (page, _):
            page.goto("/")
            page.get_by_role("textbox").fill(QUESTION)
            page.get_by_role("button", name="Ask", exact=True).click()
            page.locator("[data-steps] li", has_text="TINY").first.wait_for()  # streamed while the work goes on
            page.wait_for_url(ANSWER)
            settle(page)
            at.running.answered = page.url.removeprefix(at.url).partition("?")[0]
    return at.running.answered
