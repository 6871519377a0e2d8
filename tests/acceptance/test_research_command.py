"""`evolve research …`: with no network, and with local servers in the place of GitHub, arXiv and a paper's page."""

from __future__ import annotations

from pathlib import Path

import pytest
from seed_system import System

from data_services import Reply, serving
from research_services import arxiv, entry, github, repository

pytestmark = [pytest.mark.xdist_group("running"), pytest.mark.timeout(700)]

PAPER = (
    "A contrarian strategy with daily reversals: it buys what fell over the last 1 day and shorts what has risen. "
    "We find a Sharpe ratio of 4.0 before transaction costs."
)


def test_a_papers_file_is_replicated_from_words_to_verdict_without_a_network(running: System, tmp_path: Path) -> None:
    file = tmp_path / "reversal.txt"
    file.write_text(PAPER)

    reply = running.json(f"evolve research replicate {file} --symbol MSFT --json")

    suggestion = reply["code_suggestion"]
    assert (suggestion["status"], suggestion["name"]) == ("tested", "short_term_reversal")
    assert all(check["passed"] for check in suggestion["checks"])
    found = suggestion["replication"]
    assert [(each["name"], each["value"]) for each in found["claimed"]] == [("sharpe", 4.0)]
    assert found["status"] in ("not_reproduced", "costs_remove_it")
    ours = {each["name"]: each["value"] for each in found["reproduced"] if each["of"] == suggestion["name"]}
    assert ours["sharpe"] < ours["sharpe_before_costs"] < 4
    assert "2000-03-01 to 2013-03-01" in found["data"]

    shown = running.shell("evolve research log --tag code --tag mean_reversion").stdout
    assert reply["entry_id"] in shown


def test_what_no_template_describes_exits_with_1_and_says_what_there_is(running: System, tmp_path: Path) -> None:
    file = tmp_path / "weather.txt"
    file.write_text("It rained for the whole of the week and then it stopped.")
    done = running.shell(f"evolve research replicate {file}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no strategy of the library is described here; it has:" in done.stderr


def test_a_pair_of_which_one_symbol_is_named_says_what_is_missing(running: System, tmp_path: Path) -> None:
    file = tmp_path / "pairs.txt"
    file.write_text("Pairs trading: buy the cheap one of two stocks when their spread is wide, and short the other.")
    done = running.shell(f"evolve research replicate {file} --symbol MSFT")
    assert done.returncode == 1
    assert "--symbol MSFT --second IBM" in done.stderr


@pytest.mark.prove
def test_a_pair_is_replicated_on_both_symbols(running: System, tmp_path: Path) -> None:
    file = tmp_path / "pairs.txt"
    file.write_text(
        "Pairs trading: when the spread of two stocks is 2 standard deviations from its 60-day mean buy the cheap one."
    )
    found = running.json(f"evolve research replicate {file} --symbol MSFT --second IBM --json")["code_suggestion"]
    assert (found["status"], found["replication"]["symbol"]) == ("tested", "MSFT~IBM")


@pytest.mark.prove
def test_search_paper_and_replicate_over_servers_that_speak_the_protocols(fresh: System) -> None:
    def papers(asked):
        if asked.path == "/paper":
            return Reply(
                f"<html><title>Daily reversals</title><p>{PAPER}</p></html>".encode(), content_type="text/html"
            )
        return arxiv([entry(1, title="Momentum in stocks")])(asked)

    with serving(github([repository(1)])) as code, serving(papers) as pages:
        extra = {"EVOLVE_GITHUB_URL": code.url, "EVOLVE_ARXIV_URL": pages.url, "EVOLVE_RESEARCH_PRIVATE_ADDRESSES": "1"}
        found = fresh.json("evolve research search 'trading bot' --in github --json", extra=extra)
        assert (found["source"], found["count"], found["results"][0]["licence"]) == ("github", 1, "MIT")
        found = fresh.json("evolve research search momentum --json", extra=extra)
        assert (found["source"], found["results"][0]["title"]) == ("arxiv", "Momentum in stocks")
        summary = fresh.json(f"evolve research paper {pages.url}/paper --json", extra=extra)["summary"]
        assert (summary["title"], summary["claimed"][0]["value"]) == ("Daily reversals", 4.0)
        done = fresh.json(f"evolve research replicate {pages.url}/paper --symbol IBM --json", extra=extra)
        assert done["code_suggestion"]["paper"] == f"{pages.url}/paper"
    # The servers are gone; what they said is not.
    again = fresh.json("evolve research search 'bot trading' --in github --json", extra=extra)
    assert (again["source"], again["count"]) == ("library", 1)
