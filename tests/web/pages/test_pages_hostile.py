"""Other people's words are shown as words: in questions, titles, names of programs and what programs print."""

from __future__ import annotations

import re

from web.pages.desk import ANSWER, Desk, settle

ATTACK = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'{{7*7}}</textarea>"
PROGRAM = f"""print({ATTACK!r})


def main(input_data):
    return "FLAT"
"""


def test_markup_in_a_question_is_words(at: Desk) -> None:
    with at.visit() as (page, _):
        page.goto("/")
        page.get_by_role("textbox").fill(f"What can you do? {ATTACK}")
        page.get_by_role("button", name="Ask", exact=True).click()
        page.wait_for_url(ANSWER)
        assert ATTACK in page.get_by_role("heading", level=1).inner_text()
        for address in ("/", "/answers", "/jobs", f"/?q={ATTACK}"):
            page.goto(address)
            settle(page)
        assert page.get_by_role("textbox").input_value() == ATTACK


def test_markup_in_what_a_strategy_prints_and_is_called_is_words(at: Desk) -> None:
    with at.visit() as (page, _):
        page.goto("/strategies")
        settle(page)
        page.locator("#code").fill(PROGRAM)
        page.get_by_label("Name").fill(ATTACK[:64])
        page.get_by_label("Symbol").select_option("TINY")
        page.get_by_role("button", name="Run the backtest").click()
        page.get_by_text("What it printed").wait_for()
        settle(page)
        assert ATTACK in page.locator("main").inner_text()
        page.locator("table a.fig").first.click()  # figures of a result that is kept for a day open like any other
        page.locator("#drawer [data-body]").get_by_text("Exact value").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("link", name="Edit").click()
        settle(page)
        assert page.locator("#code").input_value() == PROGRAM


def test_markup_in_the_title_of_a_paper_is_words(at: Desk) -> None:
    with at.visit() as (page, _):
        page.goto("/research")
        page.get_by_text("Read a paper").click()
        page.get_by_label("Title").fill(f"Momentum {ATTACK}")
        page.get_by_label("or its text").fill(f"We show that momentum earns a Sharpe ratio of 1.2 on stocks. {ATTACK}")
        page.get_by_role("button", name="Read").click()
        page.wait_for_url(re.compile("/research/[0-9a-f]+"))
        assert ATTACK in page.get_by_role("heading", level=1).inner_text()
        page.goto("/research")
        settle(page)


def test_a_symbol_that_is_no_symbol_is_refused_in_words(at: Desk) -> None:
    with at.visit() as (page, seen):
        page.goto("/data/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
        assert "script" in page.locator("main").inner_text()
        page.goto(f"/models?symbol={ATTACK}")
        settle(page)
        # The status of a page that is refused is no complaint.
        seen.complaints = [said for said in seen.complaints if "the server responded with a status of 4" not in said]
