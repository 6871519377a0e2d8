"""What was found, what does it claim, and what came of trying it? Plain values that replies, library, log and pages share.

All are frozen dataclasses that survive JSON. Times are ISO 8601, UTC. Every figure is an `Evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from evolve.evidence import Evidence

LogKind = Literal["search", "paper", "code", "note"]
ReplicationStatus = Literal[
    "reproduced", "costs_remove_it", "not_reproduced", "no_claim", "not_comparable", "insufficient_data", "failing"
]


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on GitHub. licence: its SPDX id, or "none stated"; score in [0, 1] with its reasons; also: duplicates of it."""

    full_name: str
    name: str
    url: str
    description: str
    stars: int
    language: str
    licence: str
    pushed_at: str
    tag: str
    topics: tuple[str, ...] = ()
    forks: int = 0
    archived: bool = False
    score: float = 0.0
    reasons: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    fetched_at: str = ""


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper on arXiv. arxiv_id: without its version; summary: the abstract; score in [0, 1] with its reasons.

    licence, versions ("v1 2021-01-01"): from arXiv's records, which are asked when a paper is read; empty before.
    """

    arxiv_id: str
    version: int
    title: str
    summary: str
    url: str
    tag: str
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    published: str = ""
    updated: str = ""
    pdf_url: str = ""
    comment: str = ""
    journal_ref: str = ""
    doi: str = ""
    withdrawn: bool = False
    score: float = 0.0
    reasons: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    fetched_at: str = ""
    licence: str = ""
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of the text, as it stands there, and what it was taken for."""

    about: Literal["claim", "data", "method", "caveat"]
    sentence: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence of a language model about a text, and the sentences of the text that it rests on."""

    text: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PaperSummary:
    """What a text says about itself, in its own sentences; nothing here was tested.

    read: which part was read ("abstract", "web page", "PDF, 12 pages", "README"); claimed: the figures it states, each with the
    sentence in `computed`; extractor: how it was made; notes: what was left out, and why. overview: statements of a language model (`by`),
    whose figures are among `claimed`, each with the sentences of the text it rests on; versions: "v1 2021-01-01".
    """

    title: str
    url: str
    read: str
    as_of: str
    source: str
    tag: str
    licence: str
    claims: tuple[Quote, ...]
    data: tuple[Quote, ...]
    method: tuple[Quote, ...]
    caveats: tuple[Quote, ...]
    claimed: tuple[Evidence, ...]
    extractor: Literal["sentences", "sentences and language model"] = "sentences"
    notes: tuple[str, ...] = ()
    overview: tuple[Statement, ...] = ()
    by: str = ""
    versions: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One parameter of a program. origin: stated in the text (`said`), or the template's usual value; a model's program has none."""

    name: str
    value: float | int | str
    origin: Literal["stated", "usual", "repaired"]
    said: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried with the program. passed: None where it could not be tried."""

    name: Literal["gate", "sandbox", "look_ahead", "same_again", "takes_positions"]
    passed: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Replication:
    """What was claimed and what came out of our own backtest. symbol … costs: on which data; figures: reproduced, by name."""

    status: ReplicationStatus
    headline: str
    claimed: tuple[Evidence, ...]
    reproduced: tuple[Evidence, ...]
    symbol: str
    timeframe: str
    data: str
    costs: str
    verdict: str
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CodeSuggestion:
    """A program for the bar loop, how it was chosen, what was tried with it, and the replication verdict.

    status "failing": it did not get through its checks, after `repairs` (at most two); `replication` is then None. by: the language
    model that wrote it, where one did; notes: why none did although one is configured.
    """

    status: Literal["tested", "failing"]
    code: str
    name: str
    title: str
    family: str
    implementation_type: str
    settings: tuple[Setting, ...]
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    repairs: tuple[str, ...]
    replication: Replication | None
    paper: str = ""
    written_by: Literal["template", "language model"] = "template"
    others: tuple[str, ...] = ()
    by: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One step of research. links: ids of entries it follows from, or of runs elsewhere; document: what it was about, as JSON."""

    entry_id: str
    at: str
    kind: LogKind
    title: str
    tags: tuple[str, ...]
    notes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    document: dict[str, object] = field(default_factory=dict)
