"""Where is the text of this paper or repository, and what does it say? From what was given, the library, or the address."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from evolve.clock import Clock, iso
from evolve.errors import DataUnavailable, DeadlineExceeded, EvolveError, InvalidRequest, Unavailable
from evolve.findings import Paper, PaperSummary, Repository
from evolve.memory.library import Library
from evolve.research.arxiv import arxiv_id_in, paper_of, record_of, search_papers
from evolve.research.fetch import check_url, fetch
from evolve.research.github import readme_of, repository_of
from evolve.research.ranking import relevance
from evolve.research.sought import Outside, reason_of
from evolve.research.summarize import summarize
from evolve.research.text import Reading, licence_named, read_markdown, read_page

# Three quarters of the words of a title: a subtitle may be missing, another paper is not taken for it.
SAME_TITLE = 0.75


@dataclass(frozen=True, slots=True)
class Read:
    """A summary, and the text it was made from."""

    summary: PaperSummary
    text: str


class Reader:
    def __init__(self, outside: Outside, library: Library, clock: Clock) -> None:
        self._outside = outside
        self._library = library
        self._clock = clock

    def refer(self, reference: str) -> Read:
        """What an address, an arXiv id, `owner/repository` or a title refers to. Raises as `read`."""
        if "://" in reference or arxiv_id_in(reference) or re.fullmatch(r"[\w.-]+/[\w.-]+", reference):
            return self.read(url=reference, title="", abstract="")
        return self.read(url="", title=reference, abstract="")

    def read(self, *, url: str, title: str, abstract: str) -> Read:
        """Given text first, then the address, then the title. Raises what fetching raises, and DataUnavailable for an unknown title."""
        if abstract.strip():
            reading = replace(read_markdown(abstract), kind="abstract")
            return self._made(reading, title, url, iso(self._clock.now())[:10])
        if not url.strip():
            return self._titled(title)
        if (arxiv_id := arxiv_id_in(url)) is not None:
            return self._paper(arxiv_id)
        if (name := _repository_in(url)) is not None:
            return self._repository(name)
        check_url(url)
        reading, where = self._fetched(url)
        return self._made(reading, title, where, iso(self._clock.now())[:10])

    def _titled(self, title: str) -> Read:
        """The paper with this title, from the library or else arXiv."""
        known = self._library.search(Paper, title, 5)
        trouble = ""
        if not any(_same(title, paper) for paper in known):
            try:
                sought = search_papers(self._outside, title, 5, "")
                self._library.save(sought.items)
                known = sought.items
            except EvolveError as error:
                trouble = f"; arXiv could not be asked ({reason_of(error)})"
        best = next((paper for paper in known if _same(title, paper)), None)
        if best is None:
            raise DataUnavailable(
                f"no paper titled {title[:100]!r} is in the library or on arXiv{trouble}; give paper_abstract or paper_url", title=title[:200]
            )  # fmt: skip
        return self._paper(best.arxiv_id)

    def _paper(self, arxiv_id: str) -> Read:
        """The whole text where it can be had, else the abstract, saying so."""
        notes = []
        known = self._library.get(Paper, arxiv_id)
        try:
            paper = paper_of(self._outside, arxiv_id)
        except Unavailable as error:
            paper = known
            notes.append(f"arXiv could not be asked ({reason_of(error)}); what the library kept was read")
        if paper is None:
            raise DataUnavailable(
                f"arXiv and the library have no paper {arxiv_id}; give paper_abstract", arxiv_id=arxiv_id
            )
        reading = Reading(paper.title, paper.summary, "abstract")
        if not notes:
            paper, trouble = self._with_record(paper, known)
            notes += trouble
            self._library.save([paper])
            whole = self._whole(arxiv_id)
            if whole is None:
                notes.append("only the abstract could be read: neither HTML nor PDF could be had")
            else:
                reading = Reading(
                    paper.title, f"{paper.summary}\n\n{whole.text}", f"abstract and {whole.kind}", whole.licence
                )
        if paper.withdrawn:
            notes.insert(0, "WITHDRAWN by its authors: nothing in it should be relied on")
        licence = paper.licence or licence_named(reading.licence) or "not known"
        read = self._made(reading, paper.title, paper.url, (paper.published or paper.fetched_at)[:10], licence)
        summary = replace(
            read.summary, notes=(*notes, *read.summary.notes), withdrawn=paper.withdrawn, categories=paper.categories,
            versions=paper.versions or (f"v{paper.version} {paper.updated[:10]}".strip(),),
        )  # fmt: skip
        return replace(read, summary=summary)

    def _with_record(self, paper: Paper, known: Paper | None) -> tuple[Paper, list[str]]:
        """The paper with its licence and versions, asked once for each version of it."""
        if known is not None and known.licence and known.version == paper.version:
            return replace(paper, licence=known.licence, versions=known.versions), []
        try:
            record = record_of(self._outside, paper.arxiv_id)
        except (DataUnavailable, Unavailable, DeadlineExceeded, InvalidRequest) as error:
            return paper, [f"its licence and the dates of its versions could not be asked ({reason_of(error)})"]
        return replace(paper, licence=licence_named(record.licence), versions=record.versions), []

    def _whole(self, arxiv_id: str) -> Reading | None:
        for kind in ("html", "pdf"):
            try:
                return self._fetched(f"{self._outside.settings.arxiv_url}/{kind}/{arxiv_id}")[0]
            except EvolveError:
                continue  # the other form, and else the abstract, which the summary then says
        return None

    def _repository(self, name: str) -> Read:
        known = self._library.get(Repository, name)
        url = known.url if known is not None else f"https://github.com/{name}"
        if known is None:
            known = self._described(name)
        licence = known.licence if known is not None else "not known"
        try:
            text, as_of = readme_of(self._outside, name)
        except Unavailable as error:
            if known is None:
                raise
            read = self._made(
                Reading(name, known.description, "description"), name, url, known.fetched_at[:10], licence
            )
            note = f"GitHub could not be asked ({reason_of(error)}); only its description, from the library, was read"
            return replace(read, summary=replace(read.summary, notes=(note, *read.summary.notes)))
        return self._made(replace(read_markdown(text), kind="README"), name, url, as_of[:10], licence)

    def _described(self, name: str) -> Repository | None:
        """A repository that no search has found yet; None where GitHub cannot say, which asking for its README then tells."""
        try:
            found = repository_of(self._outside, name)
        except (DataUnavailable, Unavailable, DeadlineExceeded):
            return None
        self._library.save([found])
        return found

    def _fetched(self, url: str) -> tuple[Reading, str]:
        settings = self._outside.settings
        page = fetch(
            url,
            limit_s=settings.research_limit_s,
            private=settings.research_private_addresses,
            clock=self._outside.clock,
        )
        return read_page(page), page.url

    def _made(self, reading: Reading, title: str, url: str, as_of: str, licence: str = "") -> Read:
        return Read(summarize(reading, title=title, url=url, as_of=as_of, licence=licence), reading.text)


def _same(title: str, paper: Paper) -> bool:
    return relevance(title, paper.title, "")[0] >= SAME_TITLE and relevance(paper.title, title, "")[0] >= SAME_TITLE


def _repository_in(url: str) -> str | None:
    """`owner/name` of a repository's own page; None for any other address."""
    if re.fullmatch(r"[\w.-]+/[\w.-]+", url):
        return url
    parts = urlsplit(url)
    match = re.fullmatch(r"/([\w.-]+/[\w.-]+?)(?:\.git)?/?", parts.path)
    return (
        match.group(1)
        if match and parts.scheme in ("http", "https") and parts.hostname in ("github.com", "www.github.com")
        else None
    )
