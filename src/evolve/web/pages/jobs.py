"""What is being worked on, and what became of it? Each job has an address: its steps while it runs, its result when it is done."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.cards import AuditCard, ComparisonCard
from evolve.contracts.model_builder import ModelBuilt
from evolve.contracts.performance_critic import ModelAudited, ModelsCompared, StrategyAudited, StrategyBacktested
from evolve.contracts.quant_gpt import QueryProcessed
from evolve.contracts.research import ArxivSearchResults, CodeGenerated, GithubSearchResults, PaperSummarized
from evolve.contracts.updater import AutoUpdateCompleted, DriftChecked, ModelReplaced, ModelRetrained
from evolve.errors import InvalidRequest
from evolve.messaging.messages import Reply
from evolve.messaging.messages import Request as Message
from evolve.web.access import require
from evolve.web.jobs import Job
from evolve.web.pages import frame
from evolve.web.pages.decisions import decision_of, decisions_before
from evolve.web.problems import NotFound

if TYPE_CHECKING:
    from evolve.memory.decisions import Decision

router = APIRouter(route_class=frame.PageRoute)
MAX_TITLES: Final = 1_000
SAID_BY: Final = (
    "query", "user_prompt", "strategy_name", "model_name", "indicator_name", "description", "paper_title", "paper_url", "plot_type",
    "image_path", "model_id", "old_model_id", "data_source", "model_type", "symbol",
)  # fmt: skip
COLUMNS: Final = ("sharpe", "total_return", "drawdown", "alpha", "alpha_p_value", "exposure", "costs_paid")
EARLIER: Final = 100  # of what was asked before this server started
ReplyT = TypeVar("ReplyT", bound=Reply)
ResultPage = Callable[[Request, Job, str, dict[str, Any]], Awaitable[Response]]
# Pages of results that stand in files of their own: reply type → page.
_result_pages: dict[str, ResultPage] = {}

# What a person asked for, in words; a job that this process did not begin is called by its type.
_titles: OrderedDict[str, str] = OrderedDict()


def register(reply_type: str, page: ResultPage) -> None:
    """Have the results of one type shown by their own page."""
    _result_pages[reply_type] = page


def json_object(text: str, name: str) -> dict[str, Any]:
    """What somebody wrote as JSON. Raises InvalidRequest."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f'{name}: JSON such as {{"fast": 20}} is wanted: {error}') from None
    if not isinstance(found, dict):
        raise InvalidRequest(f'{name}: a JSON object such as {{"fast": 20}} is wanted')
    return found


def begin(request: Request, message: Message[Any], *, title: str, **query: str) -> Response:
    """Have it worked on, and show it going on. Raises Forbidden for who may not ask for it."""
    asked_by = require(request, type(message).effect).on_record
    job = frame.jobs_of(request).submit(message, asked_by=asked_by)
    _titles[job.id] = title
    while len(_titles) > MAX_TITLES:
        _titles.popitem(last=False)
    told = {name: value for name, value in query.items() if value}
    return frame.see(f"/jobs/{job.id}" + (f"?{urlencode(told)}" if told else ""))


@router.get("/jobs")
async def jobs_page(request: Request) -> Response:
    listed = frame.jobs_of(request).list()[:200]
    rows = [(job, _titles.get(job.id, "")) for job in listed]
    if frame.is_for_a_page(request):
        return frame.piece("jobs_piece.html", rows=rows)
    live = {job.id for job in listed}
    earlier = [
        (each, words_of(each)) for each in await decisions_before(request, EARLIER) if each.request_id not in live
    ]
    return frame.page(request, "jobs.html", rows=rows, earlier=earlier)


@router.get("/jobs/{id}")
async def job_page(request: Request, id: str) -> Response:
    try:
        job = await frame.jobs_of(request).get(id)
    except NotFound:
        return await _on_record(request, id)
    title = _titles.get(id) or await _title_on_record(request, job)
    thread = request.query_params.get("thread", "")
    if not job.is_open:
        data = await frame.jobs_of(request).result(job)
        if data is not None:
            return await _result(request, job, title, data, thread)
    return frame.page(request, "job.html", job=job, title=title, thread=thread)


@router.post("/jobs/{id}/cancel")
async def cancel(request: Request, id: str) -> Response:
    require(request, "run")
    jobs = frame.jobs_of(request)
    job = await jobs.get(id)
    await jobs.cancel(job)
    return frame.see(f"/jobs/{id}")


async def _title_on_record(request: Request, job: Job) -> str:
    decision = await decision_of(request, job.id, job.service) if not job.is_open else None
    return words_of(decision) if decision else ""


def words_of(decision: Decision) -> str:
    """What a request was about, in what its sender called it."""
    for name in SAID_BY:
        if decision.inputs.get(name):
            return str(decision.inputs[name])[:200]
    return ""


async def _on_record(request: Request, id: str) -> Response:
    """A job whose result is kept no more: what was asked and decided stays in the decision log. Raises NotFound."""
    require(request, "read")
    decision = await decision_of(request, id, None)
    if decision is None:
        raise NotFound(f"there is no job {id[:128]!r} (any more), and nothing about it in the decision log")
    return frame.page(request, "decision.html", decision=decision, title=words_of(decision))


async def _result(request: Request, job: Job, title: str, data: dict[str, Any], thread: str) -> Response:
    """The page of what came out; replies without one of their own are shown as they are."""

    def read(kind: type[ReplyT]) -> ReplyT:
        return kind.model_validate(data)

    kind = job.reply_type
    if kind == QueryProcessed.wire_type:
        result = read(QueryProcessed).result
        if result.answer is not None:
            return frame.see(
                f"/answers/{result.answer.answer_id}" + (f"?{urlencode({'thread': thread})}" if thread else "")
            )
        return frame.page(request, "unanswered.html", result=result, thread=thread)
    if kind == ModelBuilt.wire_type:
        return frame.see(f"/models/{read(ModelBuilt).model_info.model_id}")
    if kind in (ModelRetrained.wire_type, ModelReplaced.wire_type, AutoUpdateCompleted.wire_type):
        return frame.page(request, "updated.html", job=job, title=title, result=data["result"])
    if kind == DriftChecked.wire_type:
        drift = read(DriftChecked).drift
        return frame.page(request, "drift.html", job=job, drift=drift)
    if kind == ModelsCompared.wire_type:
        return comparison_page(request, job, read(ModelsCompared).comparison, title)
    if kind == StrategyBacktested.wire_type:
        reply = read(StrategyBacktested)
        return frame.page(
            request, "strategy_run.html", job=job, title=title, comparison=reply.comparison, run=reply.run,
            columns=COLUMNS, curves=curves_of(reply.comparison), code=await _code_of(request, job),
        )  # fmt: skip
    if kind == StrategyAudited.wire_type:
        return audit_page(request, job, read(StrategyAudited).audit)
    if kind == ModelAudited.wire_type:
        return audit_page(request, job, read(ModelAudited).audit)
    if kind in (ArxivSearchResults.wire_type, GithubSearchResults.wire_type):
        found = read(ArxivSearchResults if kind == ArxivSearchResults.wire_type else GithubSearchResults)
        return frame.page(request, "found.html", job=job, found=found)
    if kind == PaperSummarized.wire_type:
        return frame.see(f"/research/{read(PaperSummarized).entry_id}")
    if kind == CodeGenerated.wire_type:
        return frame.see(f"/research/{read(CodeGenerated).entry_id}")
    if kind in _result_pages:
        return await _result_pages[kind](request, job, title, data)
    return frame.page(request, "job_result.html", job=job, title=title, data=data)


@router.get("/jobs/{id}/evidence/{evidence_id}")
async def job_evidence(request: Request, id: str, evidence_id: str) -> Response:
    """A figure of a comparison or a backtest, as long as its reply is kept."""
    jobs = frame.jobs_of(request)
    job = await jobs.get(id)
    data = await jobs.result(job) or {}
    from evolve.web.pages.evidence import evidence_page, find_evidence

    item = find_evidence(data, evidence_id)
    return evidence_page(request, item, base=f"/jobs/{id}", back=f"/jobs/{id}", name=_titles.get(id) or "this result")


def audit_page(request: Request, job: Job, audit: AuditCard) -> Response:
    return frame.page(request, "audit.html", job=job, audit=audit)


def comparison_page(request: Request, job: Job, comparison: ComparisonCard, title: str) -> Response:
    return frame.page(
        request,
        "comparison.html",
        job=job,
        title=title,
        comparison=comparison,
        columns=COLUMNS,
        curves=curves_of(comparison),
    )


def curves_of(comparison: ComparisonCard) -> list[dict[str, Any]]:
    """Curves as the chart takes them: the first model is the one that stands out."""
    best = next((row.name for row in comparison.rows if row.kind == "model"), "")
    return [
        {
            "name": curve.name,
            "dates": curve.dates,
            "equity": curve.equity,
            "main": curve.name == best,
            "simulated": curve.simulated,
        }
        for curve in comparison.curves
    ]


async def _code_of(request: Request, job: Job) -> str:
    decision = await decision_of(request, job.id, job.service)
    return str(decision.inputs.get("strategy_code", "")) if decision else ""
