"""What only the command line could do before: bars, services, programs, messages, alerts and pictures, by a browser alone."""

from __future__ import annotations

import re

import pytest

from evolve.audit_trail import AuditTrail
from evolve.memory.database import Database
from evolve.memory.decisions import Decision, DecisionLog
from evolve.settings import Settings
from web.pages.desk import Desk, settle, walk

ATTACK = "<img src=x onerror=alert(1)>"


def test_bars_are_imported_looked_at_and_removed_and_a_bad_file_is_named_by_its_line(at: Desk) -> None:
    with at.visit() as (page, seen):
        page.goto("/data")
        form = page.locator("form[action='/data/import']")
        form.locator("input[type=file]").set_input_files(
            {
                "name": f"../{ATTACK}.csv",
                "mimeType": "text/csv",
                "buffer": b"date,open,high,low,close\n2012-01-02,1,2,1,abc\n",
            }
        )
        form.get_by_label("Symbol").fill("SENT")
        form.get_by_role("button", name="Import").click()
        said = page.get_by_role("alert").inner_text()
        assert "line 2" in said
        assert "abc" in said
        assert str(at.home) not in said

        form.locator("input[type=file]").set_input_files(
            {"name": "sent.csv", "mimeType": "text/csv", "buffer": walk(60).encode()}
        )
        form.get_by_role("button", name="Import").click()
        page.wait_for_url("**/data/SENT**")
        assert "imported from sent.csv" in page.locator("main").inner_text()
        page.get_by_role("link", name="Remove …").click()
        page.get_by_role("button", name="Remove").click()
        page.wait_for_url(re.compile("/data$"))
        assert page.get_by_role("link", name="SENT").count() == 0
        seen.complaints = [each for each in seen.complaints if "status of 422" not in each]
    acts = [(each.what, each.details.get("symbol")) for each in AuditTrail(at.home).entries()]
    assert acts[-3:] == [("import_bars", "SENT"), ("import_bars", "SENT"), ("remove_bars", "SENT")]


def test_a_service_is_stopped_after_a_confirmation_and_started_again(at: Desk) -> None:
    with at.visit() as (page, _):
        page.goto("/services")
        page.get_by_role("link", name="Stop research").click()
        assert "These pages go on" in page.locator("main").inner_text()
        page.get_by_role("button", name="Stop research").click()
        page.get_by_role("button", name="Start research").click()
        page.get_by_role("link", name="Stop research").wait_for()
    assert [each.what for each in AuditTrail(at.home).entries()][-2:] == ["stop_service", "start_service"]


def test_a_program_is_run_and_a_dangerous_one_is_refused_with_its_line(at: Desk) -> None:
    with at.visit() as (page, _):
        page.goto("/sandbox?kind=strategy")
        settle(page)
        page.get_by_role("button", name="Run the strategy").click()
        page.get_by_text("What it returned").wait_for()
        assert "SELL" in page.locator("main").inner_text()
        page.goto("/sandbox")
        settle(page)
        page.locator("#code").fill(f"import os\n\n\ndef main(input_data):\n    os.system('rm -rf /')  # {ATTACK}\n")
        page.get_by_role("button", name="Run the model").click()
        page.get_by_text("validation error").wait_for()
        assert "line 1" in page.locator(".verdict").inner_text()


def test_any_message_is_sent_by_its_form_and_one_that_decides_only_with_a_tick(at: Desk) -> None:
    with at.visit() as (page, seen):
        page.goto("/messages/quant_gpt/get_query_history")
        page.get_by_label("Symbol").fill("no symbol at all")
        page.get_by_role("button", name="Send").click()
        page.get_by_role("alert").get_by_text("is not a symbol").wait_for()
        page.get_by_label("Symbol").fill("TINY")
        page.get_by_role("button", name="Send").click()
        page.get_by_role("heading", name="Answer").wait_for()
        answer = page.request.post(
            "/messages/safe_executor/cleanup", form={}, headers={"origin": at.url, "sec-fetch-site": "same-origin"}
        )
        assert answer.status == 422
        assert "tick that you mean it" in answer.text()
        seen.complaints = [each for each in seen.complaints if "status of 422" not in each]


@pytest.mark.prove  # tests/web/api holds the same without a browser
def test_a_rule_is_made_tried_and_removed_but_no_secret_of_the_machine_is_named(at: Desk) -> None:
    with at.visit() as (page, seen):
        page.goto("/alerts")
        page.get_by_label("Name").fill("broken")
        page.locator("select[name=channel]").select_option("webhook")
        page.locator("select[name=kind]").select_option("crash")
        page.get_by_label("To:").fill("file:/etc/passwd")
        page.get_by_role("button", name="Make the rule").click()
        page.get_by_role("alert").get_by_text("evolve alerts add").wait_for()
        page.get_by_label("To:").fill("http://127.0.0.1:9/hook")
        page.get_by_role("button", name="Make the rule").click()
        page.get_by_role("button", name="Send a test").click()
        page.get_by_role("status").get_by_text("was not sent").wait_for()
        page.get_by_text("Remove …").click()
        page.get_by_role("button", name="Remove broken").click()
        page.get_by_text("No rules yet").wait_for()
        seen.complaints = [each for each in seen.complaints if "status of 422" not in each]


def test_a_chart_is_drawn_and_what_is_no_picture_is_refused(at: Desk) -> None:
    with at.visit() as (page, seen):
        page.goto("/pictures")
        page.get_by_label("Kind").select_option("candlestick")
        page.get_by_label("Of", exact=True).fill("TINY")
        page.get_by_role("button", name="Draw").click()
        drawn = page.locator("img.picture")
        drawn.wait_for()
        address = drawn.get_attribute("src") or ""
        answer = page.request.get(address)
        assert answer.body().startswith(b"\x89PNG")
        assert "sandbox" in answer.headers["content-security-policy"]
        for elsewhere in ("..%2F..%2Ftokens.json", ".hidden.png", "no.png"):
            assert page.request.get(f"/pictures/file/plots/{elsewhere}").status == 404
        page.goto("/pictures")
        page.locator("input[type=file]").set_input_files({"name": ATTACK, "mimeType": "image/png", "buffer": b"GIF89a"})
        page.get_by_role("button", name="Read it").click()
        page.get_by_role("alert").get_by_text("neither a PNG nor a JPEG").wait_for()
        seen.complaints = [each for each in seen.complaints if "status of 422" not in each]


def test_what_was_asked_in_an_earlier_life_of_the_server_is_listed_and_its_address_opens_the_record(at: Desk) -> None:
    decision = Decision(
        "quant_gpt", "earlier-1", "process_query", {"query": f"Is it? {ATTACK}"}, {"headline": "It is not."}, "success", "1", 1.0, 2.5,
        asked_by="Ann (token 0f3c)",
    )  # fmt: skip
    with Database.open(Settings.load(home=at.home)) as database:
        DecisionLog(database).record(decision)
    with at.visit() as (page, _):
        page.goto("/jobs")
        row = page.get_by_role("row", name=ATTACK)
        assert "Ann (token 0f3c)" in row.inner_text()
        row.get_by_role("link").click()
        page.get_by_text("It is not.").wait_for()
