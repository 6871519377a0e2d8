"""Which of the things found should be looked at first, and why? Relevance to the words asked for, then quality, with reasons.

Seven tenths relevance, three tenths quality: a famous repository about something else is no answer. Scores order one list; they
say nothing about whether a strategy works.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from evolve.findings import Paper, Repository

RELEVANCE, QUALITY = 0.7, 0.3
FAMOUS_STARS = 10_000  # about the hundred best-known projects in finance; more stars say nothing more
FRESH_DAYS = 730.0  # code untouched for two years has lost 63 % of its freshness: its dependencies have moved on
PAPER_FRESH_DAYS = 3650.0  # a paper ages, too, as what it found is traded on, but slower
STOP_WORDS = frozenset(
    "a an and are as at be by for from how in into is it of on or that the to use using via with".split()
)


ASKING = frozenset("find search show list look get papers paper articles article repositories repository repos github arxiv me please some about".split())  # fmt: skip


def subject_of(query: str) -> str:
    """What a query is about, without the words that ask for it: "Find papers on momentum" is about momentum.

    Only a query that begins as a request loses words.
    """
    words = query.split()
    if not words or words[0].casefold() not in ("find", "search", "show", "list", "look", "get"):
        return query
    left = [word for word in words if word.casefold().strip(".,?!") not in ASKING | STOP_WORDS]
    return " ".join(left) if left else query


def words_of(text: str) -> tuple[str, ...]:
    """The words that count, lower case, plural and singular alike, each once, in order."""
    found = (word.casefold() for word in re.findall(r"[^\W_]+", text))
    return tuple(dict.fromkeys(_stem(word) for word in found if word not in STOP_WORDS))


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def relevance(query: str, title: str, body: str) -> tuple[float, str]:
    """How much of the query stands in title (counts twice) and body, in [0, 1], and the sentence that says so."""
    wanted = words_of(query)
    if not wanted:
        return 0.0, "the query has no words to compare"
    in_title, in_body = set(words_of(title)), set(words_of(body))
    points = sum(2 if word in in_title else 1 if word in in_body else 0 for word in wanted)
    found = sum(word in in_title or word in in_body for word in wanted)
    titled = sum(word in in_title for word in wanted)
    return points / (2 * len(wanted)), f"{found} of {len(wanted)} words found, {titled} of them in the title"


def rank_repositories(query: str, found: Iterable[Repository], now: float) -> tuple[Repository, ...]:
    """Best first, duplicates merged into the one with most stars. now: Unix seconds."""
    return tuple(
        sorted((_scored_repository(query, each, now) for each in _merged_repositories(found)), key=lambda r: -r.score)
    )


def rank_papers(query: str, found: Iterable[Paper], now: float) -> tuple[Paper, ...]:
    """Best first, versions and copies merged into the newest; withdrawn papers last. now: Unix seconds."""
    scored = (_scored_paper(query, each, now) for each in _merged_papers(found))
    return tuple(sorted(scored, key=lambda paper: (paper.withdrawn, -paper.score)))


def _scored_repository(query: str, each: Repository, now: float) -> Repository:
    fits, why = relevance(query, each.name, f"{each.description} {' '.join(each.topics)}")
    fame = min(1.0, math.log10(1 + each.stars) / math.log10(1 + FAMOUS_STARS))
    days = _days_since(each.pushed_at, now)
    fresh = 0.0 if days is None else math.exp(-days / FRESH_DAYS)
    licensed = each.licence != "none stated"
    quality = 0.5 * fame + 0.3 * fresh + 0.1 * licensed + 0.1 * (not each.archived)
    reasons = [
        why,
        f"{each.stars:,} stars",
        "when it was last changed is not known" if days is None else f"last changed {days:,.0f} days ago",
        f"licence {each.licence}" if licensed else "no licence stated: its code may not be reused",
    ]
    if each.archived:
        reasons.append("archived: no longer maintained")
    if each.also:
        reasons.append(f"{len(each.also)} of the same merged into it")
    return replace(each, score=round(RELEVANCE * fits + QUALITY * quality, 4), reasons=tuple(reasons))


def _scored_paper(query: str, each: Paper, now: float) -> Paper:
    fits, why = relevance(query, each.title, each.summary)
    days = _days_since(each.published, now)
    fresh = 0.0 if days is None else math.exp(-days / PAPER_FRESH_DAYS)
    reviewed = bool(each.journal_ref or each.doi)
    quality = 0.5 * reviewed + 0.3 * fresh + 0.2 * (each.version > 1)
    reasons = [why, f"published in {each.journal_ref or each.doi}" if reviewed else "no journal named"]
    if each.version > 1:
        reasons.append(f"revised: version {each.version}")
    if days is not None:
        reasons.append(f"first submitted {each.published[:10]}")
    if each.withdrawn:
        reasons.append("WITHDRAWN by its authors: nothing in it should be relied on")
        quality = 0.0
    if each.also:
        reasons.append(f"{len(each.also)} of the same merged into it")
    return replace(each, score=round(RELEVANCE * fits + QUALITY * quality, 4), reasons=tuple(reasons))


def _merged_repositories(found: Iterable[Repository]) -> list[Repository]:
    """One per project. The same full name is the same; so is a fork or mirror with equal name and equal description."""
    groups: dict[tuple[str, ...], list[Repository]] = {}
    for each in {each.full_name.casefold(): each for each in found}.values():
        described = " ".join(words_of(each.description))
        key = (each.name.casefold(), described) if described else (each.full_name.casefold(),)
        groups.setdefault(key, []).append(each)
    return [_with_others(group, max(group, key=lambda r: r.stars)) for group in groups.values()]


def _with_others(group: Sequence[Repository], kept: Repository) -> Repository:
    return replace(kept, also=tuple(each.url for each in group if each is not kept))


def _merged_papers(found: Iterable[Paper]) -> list[Paper]:
    """One per work. The same arXiv id is the same, whatever its version; so is an equal title by the same first author."""
    newest: dict[str, Paper] = {}
    for each in found:
        known = newest.get(each.arxiv_id)
        if known is None or each.version > known.version:
            newest[each.arxiv_id] = each
    groups: dict[tuple[str, str], list[Paper]] = {}
    for each in newest.values():
        first = each.authors[0].casefold() if each.authors else each.arxiv_id
        groups.setdefault((" ".join(words_of(each.title)), first), []).append(each)
    merged = []
    for group in groups.values():
        kept = max(group, key=lambda paper: paper.updated)
        merged.append(replace(kept, also=tuple(paper.url for paper in group if paper is not kept)))
    return merged


def _days_since(iso: str, now: float) -> float | None:
    try:
        return max(0.0, (now - datetime.fromisoformat(iso).timestamp()) / 86_400)
    except ValueError:
        return None
