"""What has been written about this, and does it hold? Searches outside or in the library, reads, suggests code, and keeps a log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from evolve.agents.author import Author
from evolve.agents.reading import Reader
from evolve.agents.replication import DEFAULT_SYMBOL, Workbench, try_out
from evolve.clock import SYSTEM_CLOCK, Clock, iso
from evolve.errors import DeadlineExceeded, EvolveError, InvalidRequest, Unavailable
from evolve.findings import CodeSuggestion, Paper, PaperSummary, Repository
from evolve.market.bars import Bars
from evolve.market.catalog import Catalog
from evolve.market.pair import Pair, pair_of_bars
from evolve.market.store import BarStore
from evolve.memory.database import Database
from evolve.memory.library import Library
from evolve.memory.research_log import ResearchLog
from evolve.research.arxiv import search_papers
from evolve.research.github import search_repositories
from evolve.research.ranking import rank_papers, rank_repositories, subject_of
from evolve.research.sought import Outside, Sought, reason_of
from evolve.research.summarize import own_claims
from evolve.settings import Settings

Item = TypeVar("Item", Repository, Paper)
Source = Literal["github", "arxiv", "library"]
TITLED = {"github": "GitHub", "arxiv": "arXiv"}
LINKED = 20  # findings of a search that its log entry links to


@dataclass(frozen=True, slots=True)
class Found(Generic[Item]):
    """as_of: ISO date of the oldest thing shown; note: empty where nothing must be said."""

    items: tuple[Item, ...]
    source: Source
    as_of: str
    note: str


class ResearchAgent:
    def __init__(
        self, outside: Outside, library: Library, log: ResearchLog, catalog: Catalog, *, author: Author | None = None,
        clock: Clock = SYSTEM_CLOCK, simulate: bool = False,
    ) -> None:  # fmt: skip
        self.log = log
        self._outside = outside
        self._library = library
        self._catalog = catalog
        self._clock = clock
        self._simulate = simulate
        self._reader = Reader(outside, library, clock)
        self._author = author or Author(outside.settings, clock=clock)

    @classmethod
    def from_settings(cls, settings: Settings) -> ResearchAgent:
        database = Database.open(settings)
        return cls(
            Outside(settings), Library(database), ResearchLog(database), Catalog(BarStore.open(settings)), simulate=settings.simulate
        )  # fmt: skip

    def search_github(self, query: str, max_results: int, language: str, *, request_id: str) -> Found[Repository]:
        """Repositories, best first; from the library where GitHub does not answer. Raises Forbidden, InvalidRequest."""

        def spoken(each: Repository) -> bool:
            return not language or each.language.casefold() == language.casefold()

        found = self._searched(
            "github", Repository, query, max_results, spoken,
            lambda: search_repositories(self._outside, subject_of(query), max_results, language),
            lambda items: rank_repositories(subject_of(query), items, self._clock.now()),
        )  # fmt: skip
        self._note_search(
            found, query, [each.url for each in found.items], [each.tag for each in found.items], request_id
        )
        return found

    def search_arxiv(self, query: str, max_results: int, category: str, *, request_id: str) -> Found[Paper]:
        """Papers, best first; from the library where arXiv does not answer. Raises InvalidRequest."""
        found = self._searched(
            "arxiv", Paper, query, max_results, lambda each: not category or category in each.categories,
            lambda: self._with_licences(search_papers(self._outside, subject_of(query), max_results, category)),
            lambda items: rank_papers(subject_of(query), items, self._clock.now()),
        )  # fmt: skip
        self._note_search(
            found, query, [each.url for each in found.items], [each.tag for each in found.items], request_id
        )
        return found

    def summarize(self, url: str, title: str, abstract: str, *, request_id: str) -> tuple[PaperSummary, str]:
        """The summary and its log entry's id.

        Raises InvalidRequest where nothing was given, DataUnavailable for a title that is nowhere found, and what fetching raises.
        """
        if not any(given.strip() for given in (url, title, abstract)):
            raise InvalidRequest("summarize_paper needs one of paper_url, paper_title and paper_abstract")
        read = self._reader.read(url=url, title=title, abstract=abstract)
        summary = self._author.reviewed(read.summary, read.text)
        return summary, self._note_paper(summary, request_id)

    def suggest(
        self,
        description: str,
        reference: str,
        implementation_type: str,
        *,
        symbol: str | None,
        timeframe: str | None,
        simulate: bool,
        second_symbol: str | None = None,
        writer: str = "auto",
        workbench: Workbench,
        request_id: str,
    ) -> tuple[CodeSuggestion, str]:
        """A program for what is described, tried; and its log entry's id. second_symbol: then on the pair of both.

        Raises InvalidRequest for what can be written by nobody here, UnknownSymbol, DataUnavailable, and what fetching raises.
        """
        workbench.progress("read", 0, 1, reference or "the description")
        own = self._reader.read(url="", title="", abstract=description)
        papers = [self._reader.refer(reference)] if reference else []
        links = [self._note_paper(each.summary, f"{request_id}/paper") for each in papers]
        text = " ".join([own.text, *(each.text for each in papers)])
        writing = self._author.writer(text, implementation_type, writer, pair=second_symbol is not None)
        simulate = simulate or self._simulate
        bars = self._catalog.load(symbol or DEFAULT_SYMBOL, timeframe, simulate=simulate)
        given: Bars | Pair = bars
        if second_symbol is not None:
            given = pair_of_bars(bars, self._catalog.load(second_symbol, timeframe, simulate=simulate))
        claims = [claim for each in (*papers, own) for claim in own_claims(each.summary)]
        caveats = (
            [] if symbol else [f"no symbol was named: tried on {bars.symbol}, which may not be what the text is about"]
        )
        suggestion = try_out(writing, given, claims, workbench, caveats)
        suggestion = replace(suggestion, paper=papers[0].summary.source if papers else "")
        entry = self.log.record(
            "code",
            f"{suggestion.title} on {' and '.join(filter(None, (bars.symbol, second_symbol)))}: {suggestion.replication.headline if suggestion.replication else 'failing'}",
            document={"code_suggestion": suggestion, "description": description[:1000]},
            request_id=request_id,
            tags=(suggestion.family, suggestion.replication.status if suggestion.replication else "failing", "code"),
            links=(*links, f"run:{request_id}", *([suggestion.paper] if suggestion.paper else [])),
        )
        return suggestion, entry.entry_id

    def _searched(
        self,
        source: Literal["github", "arxiv"],
        kind: type[Item],
        query: str,
        wanted: int,
        fits: Callable[[Item], bool],
        ask: Callable[[], Sought[Item]],
        rank: Callable[[Sequence[Item]], tuple[Item, ...]],
    ) -> Found[Item]:
        try:
            sought = ask()
        except (Unavailable, DeadlineExceeded) as error:
            return self._from_library(source, kind, query, wanted, fits, rank, error)
        self._library.save(sought.items)
        ranked = rank(sought.items)
        note = sought.note
        if len(ranked) < len(sought.items):
            merged = f"{len(sought.items) - len(ranked)} duplicates merged"
            note = f"{note}; {merged}" if note else merged
        return Found(ranked[:wanted], source, iso(sought.as_of), note)

    def _with_licences(self, sought: Sought[Paper]) -> Sought[Paper]:
        """A search knows no licences; those that reading a paper has found stay known."""
        known = {each.arxiv_id: self._library.get(Paper, each.arxiv_id) for each in sought.items}
        items = tuple(
            replace(each, licence=old.licence, versions=old.versions)
            if (old := known[each.arxiv_id]) is not None and old.version == each.version
            else each
            for each in sought.items
        )
        return replace(sought, items=items)

    def _from_library(
        self,
        source: str,
        kind: type[Item],
        query: str,
        wanted: int,
        fits: Callable[[Item], bool],
        rank: Callable[[Sequence[Item]], tuple[Item, ...]],
        error: EvolveError,
    ) -> Found[Item]:
        """What the library has, said to be that, with the dates."""
        known = [each for each in self._library.search(kind, subject_of(query), 5 * wanted) if fits(each)]
        ranked = rank(known)[:wanted]
        reason = reason_of(error).rstrip(".")
        if not ranked:
            note = f"{TITLED[source]} could not be asked ({reason}); the local library has nothing for these words, which does not mean that there is nothing"
            return Found((), "library", iso(self._clock.now()), note)
        dates = sorted(each.fetched_at for each in ranked)
        between = dates[0][:10] if dates[0][:10] == dates[-1][:10] else f"{dates[0][:10]} to {dates[-1][:10]}"
        note = f"{TITLED[source]} could not be asked ({reason}); these {len(ranked)} are from the local library, fetched {between}: newer ones are missing"
        return Found(ranked, "library", dates[0], note)

    def _note_search(
        self, found: Found[Item], query: str, urls: Sequence[str], tags: Sequence[str], request_id: str
    ) -> None:
        self.log.record(
            "search",
            f"“{query}”: {len(found.items)} from {found.source}",
            document={
                "query": query,
                "source": found.source,
                "as_of": found.as_of,
                "note": found.note,
                "found": list(urls)[:LINKED],
            },
            request_id=request_id,
            tags=("search", found.source, *dict.fromkeys(tags)),
            links=list(urls)[:LINKED],
        )

    def _note_paper(self, summary: PaperSummary, request_id: str) -> str:
        searched = self.log.about(summary.url) if summary.url else None
        entry = self.log.record(
            "paper",
            summary.title,
            document={"summary": summary},
            request_id=request_id,
            tags=("paper", summary.tag),
            links=[*([summary.url] if summary.url else []), *([searched] if searched else [])],
        )
        return entry.entry_id
