"""Research as a whole, in one process: local servers, the real sandbox, the real critic; and what is said without any of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from data_services import HTML, Reply, Waits, reply, serving
from evolve.agents.performance_critic import PerformanceCriticAgent
from evolve.agents.author import TemplateWriter
from evolve.agents.replication import ProgramRun, try_out
from evolve.agents.research import ResearchAgent
from evolve.agents.strategy import Strategy, columns_of
from evolve.cards import ComparisonCard
from evolve.errors import DataUnavailable, Forbidden, InvalidRequest
from evolve.market.bars import Bars
from evolve.market.catalog import Catalog
from evolve.market.pair import Pair
from evolve.market.store import BarStore
from evolve.memory.database import Database
from evolve.memory.library import Library
from evolve.memory.research_log import ResearchLog
from evolve.research.codegen import draft
from evolve.sandbox.executor import SafeExecutor
from evolve.settings import Settings
from research_services import arxiv, entry, feed, github, outside, repository

DAY_MS = 86_400_000
NOWHERE = {"github_url": "http://127.0.0.1:9", "arxiv_url": "http://127.0.0.1:9"}  # nobody listens on port 9
REVERSAL = (
    "Short-term reversal: a contrarian strategy that buys what fell over the last 1 day and shorts what has risen."
)


def bouncing(bars: int = 1500) -> Bars:
    """A price that jumps between bid and ask: yesterday's fall is tomorrow's rise, by less than a trade costs (5 bp a leg)."""
    chance = np.random.default_rng(5)
    fair = np.cumsum(chance.normal(0, 2e-4, bars))
    close = 100 * np.exp(fair + 3e-4 * chance.choice([-1.0, 1.0], bars))
    open_ = np.concatenate([[100.0], close[:-1]])
    return Bars(
        symbol="BOUNCE", timeframe="1d", time=1_400_000_000_000 + DAY_MS * np.arange(bars), open=open_, high=np.maximum(open_, close),
        low=np.minimum(open_, close), close=close, volume=np.full(bars, 1e6), source="made for a test", bars_per_year=252.0,
    )  # fmt: skip


class Bench:
    """The real sandbox and the real critic, without the bus between them. spoil: what to do to a program before it runs."""

    def __init__(self, executor: SafeExecutor, settings: Settings) -> None:
        self.executor = executor
        self.critic = PerformanceCriticAgent.from_settings(settings)
        self.runs = 0
        self.fails: list[ProgramRun] = []

    def run(self, code: str, name: str, bars: Mapping[str, Sequence[Any]], about: Mapping[str, str]) -> ProgramRun:
        self.runs += 1
        if self.fails:
            return self.fails.pop(0)
        rows = [{column: bars[column][bar] for column in bars} for bar in range(len(bars["close"]))]
        done = self.executor.run_bars(code, name, rows, {})
        return ProgramRun(done.result.status, done.result.error or "", done.decisions)

    def backtest(self, code: str, name: str, given: Bars | Pair) -> ComparisonCard:
        if isinstance(given, Pair):
            made, notes = self.critic.pair_for(given.first.symbol, given.second.symbol, "1d", simulate=False)
            bars = made.bars
        else:
            bars, notes = self.critic.bars_for(given.symbol, given.timeframe, simulate=False)
            made = bars
        run = self.run(code, name, columns_of(made), {})
        return self.critic.backtest(
            Strategy(code, name),
            run.decisions,
            bars,
            period="1y",
            notes=notes,
            again=run.decisions,
            request_id="b",
            progress=self.progress,
        )

    def progress(self, *_: object) -> None:
        pass


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setattr("evolve.agents.figures.INTERVAL_DRAWS", 200)
    made = Settings.load(home=tmp_path)
    BarStore(made.home).save(bouncing())
    return made


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with Database.open(settings) as opened:
        yield opened


def agent(settings: Settings, database: Database, waits: Waits | None = None, **urls: object) -> ResearchAgent:
    waits = waits or Waits()
    return ResearchAgent(
        outside(settings.home, waits, **{**NOWHERE, **urls}), Library(database, clock=waits.clock), ResearchLog(database, clock=waits.clock),
        Catalog(BarStore(settings.home)), clock=waits.clock,
    )  # fmt: skip


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SafeExecutor]:
    with SafeExecutor(60, 256, home=tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture
def bench(executor: SafeExecutor, settings: Settings) -> Bench:
    return Bench(executor, settings)


# ── Searching ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_network_and_a_library_nothing_is_found_and_that_is_said(settings, database):
    found = agent(settings, database).search_github("trading bot machine learning", 10, "python", request_id="r")
    assert (found.items, found.source, found.as_of) == ((), "library", "2024-01-10T12:00:0" + found.as_of[-2:])
    assert "GitHub could not be asked" in found.note
    assert "does not mean that there is nothing" in found.note


def test_what_was_found_once_answers_later_without_a_network_with_its_date(settings, database):
    waits = Waits()
    with serving(github([repository(1), repository(2, language="C++")])) as service:
        agent(settings, database, waits, github_url=service.url).search_github("trading bot", 10, "", request_id="1")
    waits.clock.advance(30 * 86_400)

    found = agent(settings, database, waits).search_github("trading", 10, "python", request_id="2")

    assert [each.full_name for each in found.items] == ["owner1/bot-1"]
    assert (found.source, found.as_of[:10]) == ("library", "2024-01-10")
    assert "fetched 2024-01-10: newer ones are missing" in found.note


@pytest.mark.parametrize(
    "answer",
    [Reply(HTML, content_type="text/html"), reply({"message": "API rate limit exceeded"}, 403, headers={"X-RateLimit-Remaining": "0"}), reply({}, 503)],
    ids=["HTML", "rate limit", "down"],
)  # fmt: skip
def test_a_service_that_fails_is_answered_for_by_the_library(settings, database, answer):
    with serving(github([repository(1)])) as service:
        agent(settings, database, github_url=service.url).search_github("bot", 5, "", request_id="1")
    with serving(lambda asked: answer) as service:
        found = agent(settings, database, github_url=service.url).search_github("bot trading", 5, "", request_id="2")
    assert ([each.name for each in found.items], found.source) == (["bot-1"], "library")


def test_a_refused_token_is_the_users_to_mend(settings, database):
    with serving(lambda asked: reply({"message": "Bad credentials"}, 401)) as service, pytest.raises(Forbidden):
        agent(settings, database, github_url=service.url, github_token="t" * 10).search_github(
            "x", 5, "", request_id="1"
        )


def test_papers_are_ranked_merged_and_filtered_by_category_offline_too(settings, database):
    entries = [
        entry(1, title="Carry"),
        entry(2, title="Momentum"),
        entry(3, title="Momentum", updated="2022-01-01T00:00:00Z"),
        entry(4, category="cs.LG"),
    ]
    with serving(arxiv(entries)) as service:
        online = agent(settings, database, arxiv_url=service.url).search_arxiv("momentum", 10, "", request_id="1")
    assert next(each.arxiv_id for each in online.items) == "2101.00003"
    assert "1 duplicates merged" in online.note
    offline = agent(settings, database).search_arxiv("momentum", 10, "cs.LG", request_id="2")
    assert [each.arxiv_id for each in offline.items] == ["2101.00004"]


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_paper_of_arxiv_is_read_whole_and_its_withdrawal_said(settings, database):
    def answer(asked):
        if asked.path == "/api/query":
            return feed([entry(1, summary="We study reversal.", comment="This paper has been withdrawn")])
        if asked.path.startswith("/html"):
            return Reply(b"", 404)
        return Reply(
            b"<html><p>We find a Sharpe ratio of 3.5 on daily data of stocks.</p></html>", content_type="text/html"
        )

    with serving(answer) as service:
        desk = agent(settings, database, arxiv_url=service.url, research_private_addresses=True)
        summary, entry_id = desk.summarize("https://arxiv.org/abs/2101.00001v1", "", "", request_id="r")

    assert (summary.title, summary.read) == ("Momentum number 1", "abstract and web page")
    assert summary.claimed[0].value == 3.5
    assert summary.notes[0].startswith("WITHDRAWN")
    assert desk.log.latest()[0].entry_id == entry_id


def test_an_address_of_this_machine_is_not_read_unless_a_test_says_so(settings, database):
    with serving(
        lambda asked: Reply(b"<html><p>Secret words of the intranet.</p></html>", content_type="text/html")
    ) as service:
        with pytest.raises(Forbidden):
            agent(settings, database).summarize(f"{service.url}/p", "", "", request_id="r")
        assert service.asked == []


def test_a_title_that_is_nowhere_found_says_what_to_do(settings, database):
    with pytest.raises(DataUnavailable, match="give paper_abstract or paper_url"):
        agent(settings, database).summarize("", "A paper that nobody wrote", "", request_id="r")


def test_a_title_is_found_in_the_library(settings, database):
    with serving(
        arxiv([entry(1, title="On reversal at daily horizons", summary="We find a Sharpe ratio of 2.2 on stocks.")])
    ) as service:
        agent(settings, database, arxiv_url=service.url).search_arxiv("reversal", 5, "", request_id="1")
    summary, _ = agent(settings, database).summarize("", "On Reversal at Daily Horizons", "", request_id="2")
    assert (summary.claimed[0].value, summary.url) == (2.2, "http://arxiv.org/abs/2101.00001v1")
    assert "what the library kept was read" in summary.notes[0]


# ── Trying ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def suggest(desk: ResearchAgent, bench: Bench, description: str, reference: str = "", request_id: str = "r"):
    return desk.suggest(
        description,
        reference,
        "strategy",
        symbol="BOUNCE",
        timeframe="1d",
        simulate=False,
        workbench=bench,
        request_id=request_id,
    )


def test_a_paper_whose_edge_costs_remove_is_told_so_and_everything_is_linked(settings, database, bench):
    page = f"<html><title>On reversal</title><p>{REVERSAL} We find a Sharpe ratio of 4.0 before transaction costs.</p></html>"
    with serving(lambda asked: Reply(page.encode(), content_type="text/html")) as service:
        desk = agent(settings, database, research_private_addresses=True)
        suggestion, entry_id = suggest(desk, bench, "The strategy of the paper.", f"{service.url}/paper")
    found = suggestion.replication

    assert found is not None
    assert (suggestion.name, found.status) == ("short_term_reversal", "costs_remove_it")
    figures = {each.name: each.value for each in reversed(found.reproduced) if each.of != "buy_and_hold"}
    assert figures["sharpe_before_costs"] > 3
    assert figures["sharpe"] < 0
    assert "costs remove it: claimed sharpe 4.00" in found.headline
    assert found.claimed[0].note == "stated before costs"
    assert "BOUNCE" in found.data or found.symbol == "BOUNCE"
    code, paper = desk.log.latest()
    assert (code.entry_id, code.kind, paper.kind) == (entry_id, "code", "paper")
    assert {paper.entry_id, "run:r", f"{service.url}/paper"} <= set(code.links)
    assert {"costs_remove_it", "mean_reversion"} <= set(code.tags)


def test_a_program_passes_its_checks_and_its_figures_are_the_critics(settings, database, bench):
    suggestion, _ = suggest(agent(settings, database), bench, f"{REVERSAL} No figures.")
    assert suggestion.status == "tested"
    assert {check.name: check.passed for check in suggestion.checks} == dict.fromkeys(
        ("gate", "sandbox", "look_ahead", "takes_positions", "same_again"), True
    )
    assert suggestion.replication is not None
    assert suggestion.replication.status == "no_claim"
    json.dumps([str(suggestion.replication)])


def test_a_program_whose_past_changes_with_the_future_is_reported_as_failing(settings, bench):
    made = draft(REVERSAL, "strategy")
    bars = bouncing()
    honest = bench.run(made.code, made.name, {c: getattr(bars, c).tolist() for c in ("time", "close")}, {})
    peeking = (*honest.decisions[:700], {"position": 0.123}, *honest.decisions[701:])
    bench.fails = [ProgramRun("success", "", peeking)]

    suggestion = try_out(TemplateWriter(made), bars, (), bench)

    assert (suggestion.status, suggestion.replication) == ("failing", None)
    assert [check.name for check in suggestion.checks if check.passed is False] == ["look_ahead"]


@pytest.mark.parametrize(("status", "repairs"), [("timeout", 2), ("execution_error", 1), ("validation_error", 0)])
def test_code_that_fails_is_repaired_at_most_twice_and_then_reported(settings, bench, status, repairs):
    bench.fails = [ProgramRun(status, "why", ()) for _ in range(9)]
    suggestion = try_out(TemplateWriter(draft("momentum over the past 24 months", "strategy")), bouncing(), (), bench)
    assert (suggestion.status, len(suggestion.repairs), suggestion.replication) == ("failing", repairs, None)
    assert bench.runs == repairs + 1


def test_a_program_that_never_acts_is_reported_with_what_the_text_left_open(settings, database, bench):
    suggestion, _ = suggest(agent(settings, database), bench, "The carry trade.")
    assert suggestion.status == "failing"
    assert "the text does not state CARRY_PER_YEAR = 0.0" in suggestion.checks[-1].detail


def test_a_repaired_program_is_tested_like_any_other(settings, bench):
    bench.fails = [ProgramRun("timeout", "too slow", ())]
    suggestion = try_out(TemplateWriter(draft("momentum over the past 100 days", "strategy")), bouncing(), (), bench)
    assert (suggestion.status, suggestion.repairs) == ("tested", ("timeout: LOOKBACK_BARS halved to 50",))
    assert "LOOKBACK_BARS = 50" in suggestion.code


def test_what_is_no_strategy_of_the_library_is_refused(settings, database, bench):
    with pytest.raises(InvalidRequest, match="the library is described"):
        suggest(agent(settings, database), bench, "Something about the weather")
    assert bench.runs == 0
