"""Every page, in both themes and at phone width: nothing is complained of, nobody else is asked, everybody can read it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page

from web.pages.desk import Desk, axe_findings, settle

PAGES = (
    "/", "{answer}", "{model}", "/compare?run={model_id}&run={answer_id}", "/strategies", "/data/TINY?timeframe=1d", "/services",
    "/messages/model_builder/build_model", "/pictures", "/alerts",
    # Made of the same pieces as others: looked at by `make prove`.
    *(
        pytest.param(address, marks=pytest.mark.prove)
        for address in (
            "/answers", "{answer}/evidence/{evidence}", "/models", "{model}/promote", "/compare", "/strategies?template=rsi_reversion", "/research",
            "/data", "/data/NVDA?simulate=1", "/studies", "/jobs", "/feed", "/dead-letters", "/sandbox?kind=strategy", "/messages",
            "/services/all/stop", "/data/TINY/remove", "/doctor", "/logs/web", "/route?q=Build me a ridge model for TINY",
        )
    ),
)  # fmt: skip
PHONE = {"width": 360, "height": 780}
WIDE = {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def names(at: Desk, answered: str) -> dict[str, str]:
    """What stands in the addresses: of the answer, one of its figures, and one of its models."""
    with at.visit() as (page, _):
        page.goto(answered)
        model = page.locator("table a[href^='/models/']").first.get_attribute("href") or ""
        figure = page.locator("table a.fig").first.get_attribute("href") or ""
    return {
        "answer": answered, "evidence": figure.rpartition("/")[2], "model": model, "model_id": model.rpartition("/")[2],
        "answer_id": answered.rpartition("/")[2],
    }  # fmt: skip


@pytest.mark.parametrize("address", PAGES)
def test_a_page_reads_well_in_both_themes_and_on_a_phone(at: Desk, names: dict[str, str], address: str) -> None:
    with at.visit(viewport=WIDE, color_scheme="light") as (page, _):
        response = page.goto(address.format(**names))
        assert response is not None
        assert response.status == 200
        assert "unsafe" not in (response.headers.get("content-security-policy") or "unsafe: there is no policy")
        settle(page)
        found = {"light": axe_findings(page)}
        page.emulate_media(color_scheme="dark")
        found["dark"] = axe_findings(page)
        page.set_viewport_size(PHONE)
        wide = page.evaluate("document.documentElement.scrollWidth")

        assert found == {"light": [], "dark": []}
        assert wide <= PHONE["width"]


def test_simulated_bars_carry_their_badge_in_the_chart_too(at: Desk) -> None:
    with at.visit() as (page, _):
        page.goto("/data/NVDA?simulate=1")
        settle(page)
        assert page.locator(".chart .badge.sim").inner_text() == "SIMULATED"
        assert page.locator(".head .badge.sim").count() == 1


def test_the_keyboard_asks_goes_and_opens_help(at: Desk) -> None:
    with at.visit() as (page, _):
        page.goto("/")
        settle(page)
        page.locator("h1").click()
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.name") == "query"
        page.keyboard.press("Escape")
        page.locator("h1").click()
        page.keyboard.press("?")
        assert page.locator("#keys").is_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.keyboard.press("f")
        page.wait_for_url("**/feed")


def test_what_a_service_says_is_on_the_screen_of_every_open_page(at: Desk) -> None:
    with at.visit() as (first, _), at.visit() as (second, _):
        for page in (first, second):
            page.goto("/feed")
            page.locator("[data-live=on]").wait_for()
        at.running.run("ask", "What can you do?")
        for page in (first, second):
            page.locator(".feed li", has_text="query_processed").first.wait_for()
            assert re.search(r"prompt_router|quant_gpt", _text(page))


def _text(page: Page) -> str:
    return page.locator(".feed").inner_text()


def test_a_model_is_promoted_only_after_a_confirmation(at: Desk, names: dict[str, str]) -> None:
    with at.visit() as (page, _):
        page.goto(names["model"])
        page.get_by_role("link", name="Promote …").click()
        page.get_by_label("Reason, for the record").fill("tried in a test")
        page.get_by_role("button", name="Promote").click()
        page.wait_for_url(f"**{names['model']}")
        page.get_by_text("champion of TINY 1d").wait_for()
        assert "tried in a test" in page.locator("main").inner_text()


def test_a_dead_letter_is_shown_with_its_reason_and_dropped_for_good(at: Desk) -> None:
    at.running.run("bus", "publish", "research_input", "{<b>no JSON</b>")
    with at.visit() as (page, _):
        page.goto("/dead-letters")
        while not page.get_by_text("research", exact=True).count():
            page.reload()
        page.get_by_text("Its bytes").click()
        assert "{<b>no JSON</b>" in page.locator("pre").inner_text()
        page.get_by_text("Drop …").click()
        page.get_by_role("button", name="Drop for good").click()
        page.get_by_text("Everything that was asked could be answered.").wait_for()
