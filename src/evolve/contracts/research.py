"""What can the research service be asked? To find papers and code, to say what they claim, and to try it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from evolve.findings import CodeSuggestion, LogEntry, Paper, PaperSummary, Repository
from evolve.market.types import Period, Symbol, Timeframe
from evolve.messaging.messages import Reply, Request

# 256 is GitHub's own limit on the words of a search.
Query = Field(min_length=1, max_length=256, examples=["time series momentum"])
MAX_TEXT = 200_000  # an abstract, or the text of a paper that somebody pasted
Origin = Literal["github", "arxiv", "library"]


class GithubSearchResults(Reply):
    """source: who answered, GitHub or the local library; as_of: when what is shown was fetched; note: what must be known beside it."""

    results: tuple[Repository, ...]
    query: str
    count: int
    source: Origin
    as_of: str
    note: str


class SearchGithub(
    Request[GithubSearchResults],
    slot="heavy",
    waits=60.0,
    positional=("query", "max_results", "language"),
    effect="read",
):
    """Repositories for some words, best first. language: empty or null for any. Without a network the local library answers."""

    query: str = Query
    max_results: int = Field(default=10, ge=1, le=1000)
    language: str | None = Field(default="python", max_length=40, pattern=r"^[\w +#.-]*$")


class ArxivSearchResults(Reply):
    """source: who answered, arXiv or the local library; as_of: when what is shown was fetched; note: what must be known beside it."""

    results: tuple[Paper, ...]
    query: str
    count: int
    source: Origin
    as_of: str
    note: str


class SearchArxiv(
    Request[ArxivSearchResults],
    slot="heavy",
    waits=60.0,
    positional=("query", "max_results", "category"),
    effect="read",
):
    """Papers for some words, best first. category: empty or null for any. Without a network the local library answers."""

    query: str = Query
    max_results: int = Field(default=10, ge=1, le=1000)
    category: str | None = Field(default="q-fin.TR", max_length=40, pattern=r"^([a-z-]+(\.[A-Za-z-]+)?)?$")


class PaperSummarized(Reply):
    """`summary` holds sentences and figures of the text itself. entry_id: of the research log."""

    summary: PaperSummary
    entry_id: str


class SummarizePaper(
    Request[PaperSummarized], slot="heavy", waits=180.0, positional=("paper_url", "paper_title", "paper_abstract")
):
    """What a paper claims, in its own sentences. One of the three is needed; a text given is read before an address is."""

    paper_url: str | None = Field(default=None, max_length=2048)
    paper_title: str | None = Field(default=None, max_length=500)
    paper_abstract: str | None = Field(default=None, max_length=MAX_TEXT)


class CodeGenerated(Reply):
    """`code_suggestion.code` is the program; `.checks` what was tried with it; `.replication` what came out. entry_id: of the log."""

    code_suggestion: CodeSuggestion
    entry_id: str


class GenerateCode(
    Request[CodeGenerated],
    slot="heavy",
    records=True,
    waits=600.0,
    positional=("description", "paper_reference", "implementation_type"),
):
    """A program for the strategy described, tried in the sandbox and backtested with costs beside baselines.

    paper_reference: an address, an arXiv id, `owner/repository`, or the title of something in the library; its claims are compared with
    what comes out. symbol: null means AAPL, whose bundled bars are real. second_symbol: for strategies of a pair, which is long the first and
    short the second. writer: a language model where one is configured ("auto"), the library of templates, or a language model or nothing.
    """

    description: str = Field(
        min_length=1, max_length=MAX_TEXT, examples=["Long while the close is above its 50-day average, else flat"]
    )
    paper_reference: str | None = Field(default=None, max_length=2048)
    implementation_type: Literal["model", "strategy", "indicator"] = "model"
    symbol: Symbol | None = None
    timeframe: Timeframe | None = "1d"
    period: Period = "1y"
    simulate: bool = False
    second_symbol: Symbol | None = None
    writer: Literal["auto", "template", "model"] = "auto"


class ResearchLogReply(Reply, wire="research_log"):
    log: tuple[LogEntry, ...]
    tags: tuple[str, ...]
    count: int


class GetResearchLog(Request[ResearchLogReply], positional=("tags", "limit")):
    """What was searched, read and tried, newest first; only what carries all of `tags`."""

    tags: tuple[str, ...] = Field(default=(), max_length=20)
    limit: int = Field(default=50, ge=1, le=1000)


class ResearchNoted(Reply):
    entry: LogEntry


class AddResearchNote(Request[ResearchNoted], positional=("entry_id", "note"), effect="run"):
    """Keep a note and tags with an entry of the research log."""

    entry_id: str = Field(min_length=1, max_length=40, examples=["5d41402abc4b"])
    note: str = Field(min_length=1, max_length=4000, examples=["costs are not in the paper's figures"])
    tags: tuple[str, ...] = Field(default=(), max_length=20)
