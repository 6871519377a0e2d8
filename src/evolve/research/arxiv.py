"""Which papers are there for some words, and under which licence? arXiv's own search, at most once in three seconds, as its terms ask.

Source: arXiv API User's Manual (GET /api/query, an Atom feed with OpenSearch counts). Licence and dates of all versions are not in that
feed; its OAI-PMH records have them (format arXivRaw), and are asked for the one paper that is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from xml.etree import ElementTree

from evolve.clock import iso
from evolve.errors import BadAnswer, DataUnavailable, InvalidRequest
from evolve.findings import Paper
from evolve.market.sources.answers import Answer
from evolve.market.sources.line import Line, Question, looks_like
from evolve.market.sources.pace import Allowance
from evolve.research.ranking import STOP_WORDS
from evolve.research.sought import Outside, Sought, paged
from evolve.research.topics import tag_of

NAME = "arxiv"
PAGE = 100
PACE = Allowance(1, 3.0)
SEARCH_URL = "https://export.arxiv.org"
RECORDS_URL = "https://oaipmh.arxiv.org"
OAI = "{http://www.openarchives.org/OAI/2.0/}"
RAW = "{http://arxiv.org/OAI/arXivRaw/}"
ATOM = "{http://www.w3.org/2005/Atom}"
OPENSEARCH = "{http://a9.com/-/spec/opensearch/1.1/}"
ARXIV = "{http://arxiv.org/schemas/atom}"
ARXIV_ID = re.compile(r"(?:\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})")
WITHDRAWN = re.compile(
    r"\b(this (paper|article|work|submission)|paper) (has been|is|was) withdrawn\b|^withdrawn\b", re.IGNORECASE
)


def search_papers(outside: Outside, query: str, max_results: int, category: str) -> Sought[Paper]:
    """As arXiv orders them. category: such as `q-fin.TR`; empty for any.

    Raises Unavailable, BadAnswer, RateLimited, DeadlineExceeded; InvalidRequest for what it cannot search.
    """
    line = outside.line(NAME, outside.settings.arxiv_url, PACE)
    words = re.findall(r"[^\W_]+(?:-[^\W_]+)*", query)
    if not words:
        raise InvalidRequest(f"the query {query[:80]!r} has no words to search for")
    telling = [word for word in words if word.casefold() not in STOP_WORDS] or words
    terms = [f"all:{word}" for word in telling] + ([f"cat:{category}"] if category else [])

    def page(start: int, size: int) -> tuple[list[Paper], int]:
        return _ask(line, {"search_query": " AND ".join(terms), "start": str(start), "max_results": str(size)})

    found, total, note = paged(page, max_results, PAGE, truce=outside.truce(NAME))
    return Sought(tuple(found), total, line.as_of, note)


def paper_of(outside: Outside, arxiv_id: str) -> Paper | None:
    """The paper with this id, or None. Raises as `search_papers`."""
    line = outside.line(NAME, outside.settings.arxiv_url, PACE)
    outside.truce(NAME).check()
    found, _ = _ask(line, {"id_list": arxiv_id, "max_results": "1"})
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Record:
    """licence: its address, or "none stated"; versions: "v1 2021-01-01", oldest first."""

    licence: str
    versions: tuple[str, ...]


def record_of(outside: Outside, arxiv_id: str) -> Record:
    """What arXiv keeps beside a paper. Raises DataUnavailable where it has no record, and as `search_papers`."""
    base = outside.settings.arxiv_url
    # Whoever names another address for arXiv (a mirror, a test) means all of arXiv.
    line = outside.line(NAME, RECORDS_URL if base == SEARCH_URL else base, PACE)
    outside.truce(NAME).check()
    asked = {"verb": "GetRecord", "identifier": f"oai:arXiv.org:{arxiv_id}", "metadataPrefix": "arXivRaw"}
    return line.ask(Question("/oai", asked), _read_record)


def _read_record(answer: Answer) -> Record:
    root = parse_xml(answer)
    if root.tag != f"{OAI}OAI-PMH" or answer.status != 200:
        raise BadAnswer(f"arXiv answered no record (status {answer.status}): {answer.url}", source=NAME)
    error = root.find(f"{OAI}error")
    raw = root.find(f".//{RAW}arXivRaw")
    if error is not None or raw is None:
        why = "" if error is None else f" ({error.get('code', '')[:40]})"
        raise DataUnavailable(f"arXiv has no record of this paper{why}")
    versions = (
        f"{each.get('version', '')[:5]} {_day(_text(each, f'{RAW}date'))}" for each in raw.findall(f"{RAW}version")
    )
    return Record(_text(raw, f"{RAW}license")[:200] or "none stated", tuple(versions))


def _day(text: str) -> str:
    """`2008-04-14` from `Mon, 14 Apr 2008 20:41:24 GMT`; the text itself where it is no such date."""
    try:
        return parsedate_to_datetime(text).date().isoformat()
    except ValueError:
        return text[:40] or "without a date"


def arxiv_id_in(text: str) -> str | None:
    """The arXiv id that a reference is: `2101.00001`, `arXiv:2101.00001v2`, or the address of its page; None for another text."""
    match = re.fullmatch(
        rf"\s*(?:arxiv:\s*|https?://(?:www\.|export\.)?arxiv\.org/(?:abs|pdf|html)/)?({ARXIV_ID.pattern})(?:v\d+)?(?:\.pdf)?\s*",
        text,
        re.IGNORECASE,
    )
    return match.group(1) if match else None


def _ask(line: Line, parameters: dict[str, str]) -> tuple[list[Paper], int]:
    found, total = line.ask(Question("/api/query", parameters), _read)
    return [_paper(entry, iso(line.as_of)) for entry in found], total


def _read(answer: Answer) -> tuple[list[ElementTree.Element], int]:
    feed = parse_xml(answer)
    entries = feed.findall(f"{ATOM}entry")
    if feed.tag != f"{ATOM}feed":
        raise BadAnswer(f"arXiv answered XML that is no feed: {answer.url}", source=NAME)
    if entries and "/api/errors" in _text(entries[0], f"{ATOM}id"):
        raise InvalidRequest(f"arXiv does not understand the query: {_text(entries[0], f'{ATOM}summary')[:200]}")
    if answer.status != 200:
        raise BadAnswer(f"arXiv answered status {answer.status}: {answer.url}", source=NAME)
    total = _text(feed, f"{OPENSEARCH}totalResults")
    if not total.isdecimal():
        raise BadAnswer(f"arXiv does not say how many papers there are: {answer.url}", source=NAME)
    return entries, int(total)


def parse_xml(answer: Answer) -> ElementTree.Element:
    """The root. Raises BadAnswer for what is no whole XML, and for any document type: entities are how XML reads files and explodes."""
    try:
        text = answer.body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadAnswer(f"arXiv answered {looks_like(answer)}, which is no UTF-8", source=NAME) from None
    if re.search(r"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise BadAnswer(f"arXiv answered {looks_like(answer)} with a document type: {answer.url}", source=NAME)
    try:
        # From text, not bytes: an encoding that the document claims for itself is not believed.
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        raise BadAnswer(
            f"arXiv answered {looks_like(answer)} where a whole Atom feed was expected: {answer.url}", source=NAME
        ) from None


def _paper(entry: ElementTree.Element, fetched_at: str) -> Paper:
    url = _text(entry, f"{ATOM}id")
    match = re.search(rf"/abs/({ARXIV_ID.pattern})(?:v(\d+))?$", url)
    title, summary = _text(entry, f"{ATOM}title"), _text(entry, f"{ATOM}summary")
    if match is None or not title:
        raise BadAnswer(f"arXiv lists a paper without id or title: {url[:100]!r}", source=NAME)
    comment = _text(entry, f"{ARXIV}comment")
    links = {link.get("title", ""): link.get("href", "") for link in entry.findall(f"{ATOM}link")}
    return Paper(
        arxiv_id=match.group(1),
        version=int(match.group(2) or 1),
        title=title,
        summary=summary,
        url=url,
        tag=tag_of(f"{title} {summary}"),
        authors=tuple(_text(author, f"{ATOM}name") for author in entry.findall(f"{ATOM}author")),
        categories=tuple(each.get("term", "") for each in entry.findall(f"{ATOM}category")),
        published=_text(entry, f"{ATOM}published"),
        updated=_text(entry, f"{ATOM}updated"),
        pdf_url=links.get("pdf", ""),
        comment=comment,
        journal_ref=_text(entry, f"{ARXIV}journal_ref"),
        doi=_text(entry, f"{ARXIV}doi"),
        withdrawn=bool(WITHDRAWN.search(comment) or WITHDRAWN.search(summary)),
        fetched_at=fetched_at,
    )


def _text(parent: ElementTree.Element, tag: str) -> str:
    """The text of a child, on one line; empty where there is none."""
    return " ".join((parent.findtext(tag) or "").split())
