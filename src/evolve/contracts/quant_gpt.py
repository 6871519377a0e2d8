"""What can QuantGPT be asked? A question in plain English; it answers with evidence gathered from the other services."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from evolve.cards import AnswerCard
from evolve.market.types import Symbol
from evolve.messaging.messages import Reply, Request

MAX_QUERY = 4_000


@dataclass(frozen=True, slots=True)
class ParsedIntent:
    """intent: one of the four of the specification; detail: the finer one behind `general_query`. Unnamed slots are null."""

    intent: str
    symbol: str | None
    symbols: tuple[str, ...]
    timeframe: str | None
    period: str | None
    model_type: str | None
    side: str | None
    confidence: float
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class QueryResult:
    """status "error": the question cannot be carried out; `error` and `suggestions` say what can. results.action names
    what was done, results.answer is the answer's card."""

    query: str
    status: Literal["success", "error"]
    timestamp: float
    parsed_intent: ParsedIntent | None = None
    results: dict[str, Any] = field(default_factory=dict)
    gpt_commentary: str = ""
    answer: AnswerCard | None = None
    error: str | None = None
    code: str | None = None
    suggestions: tuple[str, ...] = ()
    missing: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PastQuery:
    at: str
    query: str
    intent: str
    symbol: str | None
    status: str
    answer_id: str | None
    headline: str


class QueryProcessed(Reply):
    result: QueryResult


class ProcessQuery(
    Request[QueryProcessed],
    slot="heavy",
    records=True,
    waits=900.0,
    client="process_natural_language_query",
    positional=("query",),
):
    """Answer a question in plain English.

    session: questions of one session inherit from each other. simulate: use SIMULATED bars. reproduce: the id of an
    earlier answer whose question is answered again with the same data, recipe, seed and trial count.
    """

    query: str = Field(max_length=MAX_QUERY)
    session: str | None = Field(None, max_length=128)
    simulate: bool = False
    reproduce: str | None = Field(None, max_length=128)


class QueryHistory(Reply):
    history: tuple[PastQuery, ...]
    symbol: str | None
    count: int


class GetQueryHistory(Request[QueryHistory], positional=("limit", "symbol")):
    """Questions asked before, newest first."""

    limit: int = Field(10, ge=1, le=1000)
    symbol: Symbol | None = None


class AvailableSymbols(Reply):
    """What can be named in a question. sources: symbol → where its bars come from (`SIMULATED` where they are)."""

    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    periods: tuple[str, ...]
    models: tuple[str, ...]
    sources: dict[str, str] = Field(default_factory=dict)


class GetAvailableSymbols(Request[AvailableSymbols]):
    """Symbols, timeframes, periods and models at hand."""


class AnswerFound(Reply):
    answer: AnswerCard


class GetAnswer(Request[AnswerFound], positional=("answer_id",)):
    """A stored answer, whole."""

    answer_id: str = Field(min_length=1, max_length=128)
