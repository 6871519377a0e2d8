"""Which repositories are there for some words? GitHub's search, within the pace it allows.

Source: GitHub REST API, "Search repositories" (GET /search/repositories) and its pages on rate limits: 10 searches a minute, 30 with a
token; at most 1,000 results of one search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from evolve.clock import iso
from evolve.errors import BadAnswer, DataUnavailable, EvolveError, InvalidRequest, RateLimited
from evolve.findings import Repository
from evolve.market.sources.answers import Answer
from evolve.market.sources.line import Line, Question, json_of, refused
from evolve.market.sources.pace import Allowance
from evolve.research.sought import SECONDARY_WAIT_S, Outside, Sought, paged
from evolve.research.topics import tag_of

T = TypeVar("T")
NAME = "github"
PAGE = 100
MOST = 1000
API_VERSION = "2022-11-28"


def search_repositories(outside: Outside, query: str, max_results: int, language: str) -> Sought[Repository]:
    """As GitHub orders them. language: empty for any.

    Raises RateLimited, Unavailable, BadAnswer, DeadlineExceeded; Forbidden for a token it refuses; InvalidRequest for a query it does.
    """
    settings = outside.settings
    pace = Allowance(30 if settings.github_token else 10, 60.0)
    line = outside.line(NAME, settings.github_url, pace)
    words = query if not language else f"{query} language:{language}"
    cut, pages = False, 0

    def page(*_: int) -> tuple[list[Repository], int]:
        nonlocal cut, pages
        pages += 1  # counted in pages of one size, whatever the last one held
        question = _question(words, min(PAGE, max_results), pages, settings.github_token)
        body = line.ask(question, lambda answer: _read(line, answer, question))
        cut = cut or bool(body.get("incomplete_results"))
        return [_repository(item, iso(line.as_of)) for item in body["items"]], int(body["total_count"])

    found, total, note = paged(page, max_results, PAGE, truce=outside.truce(NAME), most=MOST)
    if cut:
        note = (
            f"{note}; GitHub ran out of time: there may be more"
            if note
            else "GitHub ran out of time: there may be more"
        )
    return Sought(tuple(found), total, line.as_of, note)


def _question(words: str, size: int, page: int, token: str | None) -> Question:
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return Question(
        "/search/repositories", {"q": words, "per_page": str(size), "page": str(page)}, secret_headers=headers
    )


def _read(line: Line, answer: Answer, question: Question) -> Mapping[str, Any]:
    if answer.status == 200:
        body = json_of(answer, NAME)
        if not (isinstance(body, dict) and isinstance(body.get("items"), list) and "total_count" in body):
            raise BadAnswer(f"GitHub answered JSON that is no list of repositories: {answer.url}", source=NAME)
        return body
    raise refusal(line, answer, question)


def refusal(line: Line, answer: Answer, question: Question) -> EvolveError:
    """What an answer means that is no success."""
    said = line.said(answer, question)
    if answer.status == 401:
        return refused("GitHub", "GITHUB_TOKEN", said)
    if answer.status == 403 and "rate limit" in said.casefold():
        # The limit on abuse may come without a header that says until when.
        return RateLimited(
            f"GitHub refuses more searches for now ({said})", source=NAME, retry_after_s=SECONDARY_WAIT_S
        )
    if answer.status == 422:
        return InvalidRequest(f"GitHub does not understand the query ({said}); use plain words")
    return BadAnswer(f"GitHub answered status {answer.status} ({said}): {answer.url}", source=NAME)


def _repository(item: Any, fetched_at: str) -> Repository:
    """Raises BadAnswer for an entry without a name or an address."""
    if not isinstance(item, dict) or not isinstance(item.get("full_name"), str):
        raise BadAnswer("GitHub lists a repository without a name", source=NAME)
    licence = item.get("license")
    spdx = licence.get("spdx_id") if isinstance(licence, dict) else None
    topics = tuple(_text(topic) for topic in item.get("topics") or ())
    description = _text(item.get("description"))
    full_name = _text(item["full_name"])
    return Repository(
        full_name=full_name,
        name=_text(item.get("name")) or full_name.rpartition("/")[2],
        url=_text(item.get("html_url")),
        description=description,
        stars=int(item.get("stargazers_count") or 0),
        language=_text(item.get("language")),
        licence=_text(spdx) if spdx and spdx != "NOASSERTION" else "none stated",
        pushed_at=_text(item.get("pushed_at")),
        tag=tag_of(f"{full_name} {description} {' '.join(topics)}"),
        topics=topics,
        forks=int(item.get("forks_count") or 0),
        archived=bool(item.get("archived")),
        fetched_at=fetched_at,
    )


def _text(value: object) -> str:
    """Text on one line; JSON may hold half a surrogate pair, which no file takes."""
    return " ".join(str(value or "").encode("utf-8", "replace").decode().split())


def repository_of(outside: Outside, full_name: str) -> Repository:
    """What GitHub says of one repository, its licence among it. Raises as `readme_of`."""
    return _asked_about(outside, full_name, "", _described)


def readme_of(outside: Outside, full_name: str) -> tuple[str, str]:
    """Text of a repository's README, and when it was fetched. Raises as `search_repositories`; DataUnavailable where there is none."""
    return _asked_about(outside, full_name, "/readme", _readme)


def _asked_about(outside: Outside, full_name: str, part: str, read: Callable[[Answer, str], T]) -> T:
    settings = outside.settings
    outside.truce(NAME).check()
    line = outside.line(NAME, settings.github_url, Allowance(60, 3600.0))  # requests without a token share 60 an hour
    kind = "raw+json" if part else "json"
    headers = {"Accept": f"application/vnd.github.{kind}", "X-GitHub-Api-Version": API_VERSION}
    if settings.github_token:
        headers["Authorization"] = f"Bearer {settings.github_token}"
    question = Question(f"/repos/{full_name}{part}", secret_headers=headers)

    def answered(answer: Answer) -> Callable[[str], T]:
        if answer.status == 404:
            missing = ", or it has no README" if part else ""
            raise DataUnavailable(f"GitHub has no repository {full_name}{missing}", repository=full_name)
        if answer.status != 200:
            raise refusal(line, answer, question)
        if answer.content_type == "text/html":
            raise BadAnswer(f"GitHub answered an HTML page, which nobody asked for: {answer.url}", source=NAME)
        return lambda fetched_at: read(answer, fetched_at)

    made = line.ask(question, answered)
    return made(iso(line.as_of))


def _readme(answer: Answer, fetched_at: str) -> tuple[str, str]:
    return answer.body.decode("utf-8", "replace"), fetched_at


def _described(answer: Answer, fetched_at: str) -> Repository:
    return _repository(json_of(answer, NAME), fetched_at)
