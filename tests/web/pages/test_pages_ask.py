"""From a question to an answer that can be handed on."""

from __future__ import annotations

import json
import os
import signal
import urllib.request

import pytest

from homes import until
from web.pages.desk import ANSWER, QUESTION, Desk, settle


def test_a_question_streams_to_an_answer_whose_address_opens_it_elsewhere(at: Desk, answered: str) -> None:
    with at.visit() as (page, _):
        page.goto(answered)
        settle(page)

        assert page.get_by_role("heading", level=1).inner_text() == QUESTION
        assert page.locator("[data-series]").get_attribute("data-drawn") == "1"
        assert page.locator("[data-series] canvas").count() >= 3  # panes of prices, equity and drawdown, and their axes
        legend = page.locator(".legend").all_inner_texts()
        assert "C " in legend[0]
        assert "buy and hold" in legend[1]
        assert "Drawdown" in legend[2]
        assert page.locator(".heat tbody tr").count() >= 2  # the years 2012 and 2013
        document = page.request.get(page.get_by_role("link", name="JSON").get_attribute("href") or "").json()
        assert document["query"] == QUESTION


def test_a_number_opens_where_it_came_from_beside_the_page_and_as_a_page(at: Desk, answered: str) -> None:
    with at.visit() as (page, _):
        page.goto(answered)
        settle(page)
        figure = page.locator("table a.fig").first
        shown, address = figure.inner_text(), figure.get_attribute("href") or ""

        figure.click()

        beside = page.locator("#drawer [data-body]")
        beside.get_by_text("Exact value").wait_for()
        assert shown in beside.inner_text()
        page.keyboard.press("Escape")
        page.goto(address)
        assert shown in page.locator("main").inner_text()
        assert page.get_by_role("link", name="TINY 1d").count() == 1


@pytest.mark.prove
def test_a_follow_up_inherits_what_the_shared_answer_was_about(at: Desk, answered: str) -> None:
    with at.visit() as (page, _):
        page.goto(answered)
        page.get_by_role("textbox").fill("and with ridge over 180 days?")
        page.get_by_role("button", name="Follow up").click()
        page.wait_for_url(ANSWER)
        assert "TINY" in page.locator(".verdict").inner_text()


@pytest.mark.prove  # ten to twenty seconds, for the time that `make test` has
def test_a_service_killed_while_a_job_streams_is_said_and_the_job_recovers(at: Desk) -> None:
    started = at.home / "logs" / "safe_executor_service.log"
    assert started.exists()
    job = _asked(at, "def main(input_data):\n    import time\n    time.sleep(4)\n    return 'done at last'\n")
    with at.visit() as (page, seen):
        page.goto(f"/jobs/{job}")
        page.locator("[data-state]", has_text="Running").wait_for()
        os.kill(_pid_of(at, "safe_executor"), signal.SIGKILL)

        page.locator("[data-state][data-kind=warn]").wait_for()
        page.locator("pre", has_text='"done at last"').wait_for()
        assert seen.complaints == []


def test_a_job_is_cancelled_on_its_page(at: Desk) -> None:
    job = _asked(at, "def main(input_data):\n    import time\n    time.sleep(60)\n")
    with at.visit() as (page, _):
        page.goto(f"/jobs/{job}")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("alert").get_by_text("cancelled").wait_for()
        page.goto("/jobs")
        page.get_by_role("row", name="cancelled").first.wait_for()


def _asked(at: Desk, code: str) -> str:
    asked = urllib.request.Request(
        f"{at.url}/api/v1/safe_executor/execute_model",
        data=json.dumps({"model_code": code, "model_name": "slow"}).encode(),
        headers={"content-type": "application/json", "prefer": "respond-async", "origin": at.url},
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return str(json.load(answer)["id"])


def _pid_of(at: Desk, service: str) -> int:
    def running() -> int:
        with urllib.request.urlopen(f"{at.url}/api/v1/services/{service}", timeout=10) as answer:
            replicas = json.load(answer)["replicas"]
        return next((each["pid"] for each in replicas if each["in_flight"]), 0)

    return until(running, what="the job to be at work")
