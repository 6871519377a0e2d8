"""Research: finds papers and code, says what they claim, and tries it in the sandbox with costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evolve.contracts.performance_critic import BacktestStrategy
from evolve.contracts.research import (
    AddResearchNote,
    ArxivSearchResults,
    CodeGenerated,
    GenerateCode,
    GetResearchLog,
    GithubSearchResults,
    PaperSummarized,
    ResearchLogReply,
    ResearchNoted,
    SearchArxiv,
    SearchGithub,
    SummarizePaper,
)
from evolve.contracts.safe_executor import ExecuteBars
from evolve.errors import EvolveError
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, handles
from evolve.services.base import BaseService, Facts

if TYPE_CHECKING:
    from evolve.agents.replication import ProgramRun
    from evolve.cards import ComparisonCard
    from evolve.market.bars import Bars
    from evolve.market.pair import Pair


class ResearchService(BaseService):
    name = "research"
    preload = ("evolve.agents.research",)

    def setup(self) -> None:
        from evolve.agents.research import ResearchAgent

        self.agent = ResearchAgent.from_settings(self.settings)

    @handles
    def search_github(self, request: SearchGithub, job: Job) -> GithubSearchResults:
        found = self.agent.search_github(
            request.query, request.max_results, request.language or "", request_id=job.request_id
        )
        return GithubSearchResults(
            results=found.items, query=request.query, count=len(found.items), source=found.source, as_of=found.as_of, note=found.note
        )  # fmt: skip

    @handles
    def search_arxiv(self, request: SearchArxiv, job: Job) -> ArxivSearchResults:
        found = self.agent.search_arxiv(
            request.query, request.max_results, request.category or "", request_id=job.request_id
        )
        return ArxivSearchResults(
            results=found.items, query=request.query, count=len(found.items), source=found.source, as_of=found.as_of, note=found.note
        )  # fmt: skip

    @handles
    def summarize_paper(self, request: SummarizePaper, job: Job) -> PaperSummarized:
        summary, entry_id = self.agent.summarize(
            request.paper_url or "", request.paper_title or "", request.paper_abstract or "", request_id=job.request_id
        )
        return PaperSummarized(summary=summary, entry_id=entry_id)

    @handles
    def generate_code(self, request: GenerateCode, job: Job) -> CodeGenerated:
        suggestion, entry_id = self.agent.suggest(
            request.description, request.paper_reference or "", request.implementation_type, symbol=request.symbol,
            timeframe=request.timeframe, simulate=request.simulate, second_symbol=request.second_symbol, writer=request.writer,
            workbench=_Workbench(job, request), request_id=job.request_id,
        )  # fmt: skip
        return CodeGenerated(code_suggestion=suggestion, entry_id=entry_id)

    @handles
    def get_research_log(self, request: GetResearchLog, job: Job) -> ResearchLogReply:
        log = self.agent.log.latest(request.tags, request.limit)
        return ResearchLogReply(log=log, tags=request.tags, count=len(log))

    @handles
    def add_research_note(self, request: AddResearchNote, job: Job) -> ResearchNoted:
        entry = self.agent.log.annotate(request.entry_id, request.note, tags=request.tags, request_id=job.request_id)
        return ResearchNoted(entry=entry)

    def facts(self, request: Request[Any], outcome: Reply | EvolveError) -> Facts:
        if isinstance(outcome, CodeGenerated) and outcome.code_suggestion.replication is not None:
            return Facts((outcome.code_suggestion.replication.symbol,))
        return super().facts(request, outcome)


class _Workbench:
    """The sandbox and the critic as the agent knows them; how they are asked stays here."""

    def __init__(self, job: Job, request: GenerateCode) -> None:
        self._job = job
        self._request = request

    def run(self, code: str, name: str, bars: Mapping[str, Sequence[Any]], about: Mapping[str, str]) -> ProgramRun:
        from evolve.agents.replication import ProgramRun

        done = self._job.ask(
            ExecuteBars(
                strategy_code=code,
                strategy_name=name,
                bars={column: list(cells) for column, cells in bars.items()},
                market_data=dict(about),
            )
        )
        return ProgramRun(done.result.status, done.result.error or "", done.decisions)

    def backtest(self, code: str, name: str, given: Bars | Pair) -> ComparisonCard:
        from evolve.market.pair import Pair

        legs = (given.first, given.second) if isinstance(given, Pair) else (given,)
        reply = self._job.ask(
            BacktestStrategy(
                strategy_code=code,
                strategy_name=name,
                symbol=legs[0].symbol,
                second_symbol=legs[1].symbol if len(legs) > 1 else None,
                timeframe=legs[0].timeframe,
                period=self._request.period,
                simulate=self._request.simulate,
            )
        )
        return reply.comparison

    def progress(self, stage: str, done: int, total: int, message: str) -> None:
        self._job.progress(stage, done, total, message)
