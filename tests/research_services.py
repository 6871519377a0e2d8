"""Local servers that answer as GitHub and arXiv do, and a desk to ask them from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

from data_services import Asked, Reply, Waits, reply
from evolve.research.sought import Outside
from evolve.settings import Settings

ATOM = "application/atom+xml"


def outside(home: Path, waits: Waits | None = None, **settings: object) -> Outside:
    waits = waits or Waits()
    return Outside(Settings.load(home=home, **settings), clock=waits.clock, sleep=waits.sleep)


def repository(number: int, **changed: object) -> dict[str, object]:
    """As GitHub describes one."""
    return {
        "full_name": f"owner{number}/bot-{number}", "name": f"bot-{number}", "html_url": f"https://github.com/owner{number}/bot-{number}",
        "description": f"A trading bot, the {number}th", "stargazers_count": 10 * number, "forks_count": 1, "language": "Python",
        "license": {"spdx_id": "MIT"}, "pushed_at": "2024-01-01T00:00:00Z", "topics": ["trading"], "archived": False, **changed,
    }  # fmt: skip


def github(items: list[dict[str, object]], *, incomplete: bool = False):
    """GET /search/repositories over `items`, page by page."""

    def answer(asked: Asked) -> Reply:
        size, page = int(asked.query["per_page"]), int(asked.query["page"])
        found = items[(page - 1) * size : page * size]
        return reply({"total_count": len(items), "incomplete_results": incomplete, "items": found})

    return answer


def entry(number: int, **changed: str) -> str:
    """A paper as arXiv's feed lists it."""
    about = {
        "id": f"http://arxiv.org/abs/2101.{number:05}v1", "title": f"Momentum number {number}", "summary": "We study momentum.",
        "author": "Ada Lovelace", "published": "2021-01-01T00:00:00Z", "updated": "2021-01-01T00:00:00Z", "category": "q-fin.TR",
        "comment": "", "journal": "", **changed,
    }  # fmt: skip
    return (
        f"<entry><id>{about['id']}</id><updated>{about['updated']}</updated><published>{about['published']}</published>"
        f"<title>{escape(about['title'])}</title><summary>{escape(about['summary'])}</summary>"
        f"<author><name>{escape(about['author'])}</name></author><category term='{about['category']}'/>"
        f"<arxiv:comment>{escape(about['comment'])}</arxiv:comment><arxiv:journal_ref>{escape(about['journal'])}</arxiv:journal_ref>"
        f"<link title='pdf' href='http://arxiv.org/pdf/2101.{number:05}v1'/></entry>"
    )


def feed(entries: list[str], total: int | None = None) -> Reply:
    """An Atom feed with OpenSearch counts."""
    count = len(entries) if total is None else total
    body = (
        '<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom"'
        ' xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:arxiv="http://arxiv.org/schemas/atom">'
        f"<opensearch:totalResults>{count}</opensearch:totalResults>{''.join(entries)}</feed>"
    )
    return Reply(body.encode(), content_type=ATOM)


def record(arxiv_id: str, licence: str, dates: list[str]) -> tuple[str, str]:
    """A paper's id and what arXiv's OAI-PMH records (arXivRaw) hold of it: the licence, and the date of each version."""
    versions = "".join(
        f"<version version='v{number}'><date>{escape(date)}</date><size>9kb</size></version>"
        for number, date in enumerate(dates, 1)
    )
    named = f"<license>{escape(licence)}</license>" if licence else ""
    return (
        arxiv_id,
        f"<arXivRaw xmlns='http://arxiv.org/OAI/arXivRaw/'><id>{arxiv_id}</id>{versions}<title>T</title>{named}</arXivRaw>",
    )


def _oai(asked: Asked, records: list[tuple[str, str]]) -> Reply:
    wanted = asked.query["identifier"].removeprefix("oai:arXiv.org:")
    found = dict(records).get(wanted)
    said = (
        "<error code='idDoesNotExist'>No matching identifier</error>" if found is None
        else f"<GetRecord><record><header/><metadata>{found}</metadata></record></GetRecord>"
    )  # fmt: skip
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">{said}</OAI-PMH>'
    )
    return Reply(body.encode(), content_type="text/xml")


def arxiv(entries: list[str], *, at_most: int = 1000, records: list[tuple[str, str]] | None = None):
    """GET /api/query over `entries`, and /oai over `records`; nothing else. at_most: a page never holds more."""

    def answer(asked: Asked) -> Reply:
        if asked.path == "/oai":
            return _oai(asked, records or [])
        if asked.path != "/api/query":
            return Reply(b"", 404)
        start, wanted = int(asked.query.get("start", 0)), int(asked.query["max_results"])
        return feed(entries[start : start + min(wanted, at_most)], len(entries))

    return answer


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
