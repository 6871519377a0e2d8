"""What was found and tried? Papers and code that were searched and read, and whether what they claim came out here."""

from __future__ import annotations

from typing import Final, Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.contracts.research import (
    AddResearchNote,
    GenerateCode,
    GetResearchLog,
    SearchArxiv,
    SearchGithub,
    SummarizePaper,
)
from evolve.errors import InvalidRequest
from evolve.findings import CodeSuggestion, LogEntry, PaperSummary
from evolve.web.pages import frame
from evolve.web.pages.evidence import evidence_page, find_evidence
from evolve.web.pages.jobs import begin
from evolve.web.problems import NotFound

router = APIRouter(route_class=frame.PageRoute)
LISTED: Final = 200
REACH: Final = 1_000  # how far back an entry is looked for; the log's own limit
Kind = Literal["search", "paper", "code", "note"]


@router.get("/research")
async def library(request: Request) -> Response:
    tag = request.query_params.get("tag", "").strip()
    reply = await frame.told(request, GetResearchLog(tags=(tag,) if tag else (), limit=LISTED))
    rows = [(entry, _status(entry)) for entry in reply.log]
    return frame.page(request, "research.html", rows=rows, tag=tag, wanted=request.query_params.get("q", ""))


def _status(entry: LogEntry) -> str | None:
    """The replication verdict of a program's entry."""
    suggestion = entry.document.get("code_suggestion")
    if not isinstance(suggestion, dict):
        return None
    replication = suggestion.get("replication")
    return str(replication["status"]) if isinstance(replication, dict) else "failing"


@router.post("/research/search")
async def search(request: Request) -> Response:
    form = await frame.form_of(request)
    query = form.get("query", "").strip()
    if form.get("where") == "github":
        return begin(request, SearchGithub(query=query), title=f"Code about “{query}”")
    return begin(request, SearchArxiv(query=query, category=None), title=f"Papers about “{query}”")


@router.post("/research/read")
async def read(request: Request) -> Response:
    form = await frame.form_of(request)
    address, abstract = form.get("paper_url", "").strip() or None, form.get("paper_abstract", "").strip() or None
    title = form.get("paper_title", "").strip() or None
    order = SummarizePaper(paper_url=address, paper_abstract=abstract, paper_title=title)
    return begin(request, order, title=f"Read {title or address or 'a text'}")


@router.post("/research/try")
async def try_it(request: Request) -> Response:
    form = await frame.form_of(request)
    description = form.get("description", "").strip()
    order = GenerateCode(
        description=description, paper_reference=form.get("paper_reference", "").strip() or None, symbol=form.get("symbol", "").strip() or None,
        implementation_type="strategy",
    )  # fmt: skip
    return begin(request, order, title=f"Try: {description[:80]}")


async def entry_of(request: Request, entry_id: str) -> LogEntry:
    reply = await frame.told(request, GetResearchLog(limit=REACH))
    for entry in reply.log:
        if entry.entry_id == entry_id:
            return entry
    raise NotFound(f"there is no entry {entry_id[:40]!r} among the latest {REACH:,} of the research log")


@router.get("/research/{entry_id}")
async def entry_page(request: Request, entry_id: str) -> Response:
    from evolve.memory.canonical import canonical_json, from_json

    entry = await entry_of(request, entry_id)
    summary, suggestion = entry.document.get("summary"), entry.document.get("code_suggestion")
    return frame.page(
        request, "research_entry.html", entry=entry,
        summary=from_json(PaperSummary, canonical_json(summary)) if summary else None,
        suggestion=from_json(CodeSuggestion, canonical_json(suggestion)) if suggestion else None,
    )  # fmt: skip


@router.get("/research/{entry_id}/evidence/{evidence_id}")
async def entry_evidence(request: Request, entry_id: str, evidence_id: str) -> Response:
    entry = await entry_of(request, entry_id)
    base = f"/research/{entry_id}"
    return evidence_page(request, find_evidence(entry.document, evidence_id), base=base, back=base, name=entry.title)


@router.post("/research/{entry_id}/note")
async def note(request: Request, entry_id: str) -> Response:
    form = await frame.form_of(request)
    words = form.get("note", "").strip()
    if not words:
        raise InvalidRequest("a note needs words")
    await frame.told(request, AddResearchNote(entry_id=entry_id, note=words))
    return frame.see(f"/research/{entry_id}")
