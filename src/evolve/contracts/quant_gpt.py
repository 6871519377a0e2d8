"""What can QuantGPT be asked? A question in plain English; it answers with evidence gathered from the other services."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from evolve.cards import AnswerCard, PastQuery, QueryResult
from evolve.market.types import Symbol
from evolve.messaging.messages import Reply, Request

MAX_QUERY = 4_000


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
    earlier answer whose question is answered again with the same recipes, seed and trial count; document: such an answer
    whole, from another machine. replay: no language model is asked; what one said before to the same words is used again.
    """

    query: str = Field(max_length=MAX_QUERY, examples=["Give me the best model for AAPL over 90 days"])
    session: str | None = Field(default=None, max_length=128)
    simulate: bool = False
    reproduce: str | None = Field(default=None, max_length=128)
    document: dict[str, Any] | None = None
    replay: bool = False


class QueryHistory(Reply):
    history: tuple[PastQuery, ...]
    symbol: str | None
    count: int


class GetQueryHistory(Request[QueryHistory], positional=("limit", "symbol")):
    """Questions asked before, newest first."""

    limit: int = Field(default=10, ge=1, le=1000)
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

    answer_id: str = Field(min_length=1, max_length=128, examples=["b04285bd7b711f3c1272f6033054ccf4"])
