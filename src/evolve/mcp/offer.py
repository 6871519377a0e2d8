"""Which tools is an assistant offered? A few requests of the registry under words it understands; all others by discovery.

A tool is a request with fewer fields and defaults of its own. Its schemas come from the request and the reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp import types

from evolve.client.core import requests_of
from evolve.errors import InvalidRequest, nearest
from evolve.mcp.results import framed_schema, without_titles
from evolve.messaging.messages import Effect, Request, validated


@dataclass(frozen=True, slots=True)
class Offered:
    """A request as a tool. fields: those of the request that an assistant may set; defaults: where they differ from the request's;
    fixed: set always; open_world: it reaches beyond this machine."""

    name: str
    title: str
    description: str
    service: str
    wire_type: str
    fields: tuple[str, ...]
    required: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    open_world: bool = False

    @property
    def request(self) -> type[Request[Any]]:
        return requests_of(self.service)[self.wire_type]

    def typed(self, arguments: Mapping[str, Any]) -> Request[Any]:
        """The request that a call means. Raises InvalidRequest naming the field that is wrong."""
        check_names(self.name, arguments, self.fields, self.required)
        return validated(self.request, {**self.defaults, **arguments, **self.fixed})

    def as_tool(self) -> types.Tool:
        schema = self.request.model_json_schema()
        properties = {name: dict(schema["properties"][name]) for name in self.fields}
        for name, value in self.defaults.items():
            properties[name]["default"] = value
        for name in self.required:
            properties[name].pop("default", None)
        inputs: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "required": list(self.required),
            "additionalProperties": False,
        }
        if "$defs" in schema:
            inputs["$defs"] = schema["$defs"]
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=without_titles(inputs),
            output_schema=framed_schema(reply_schema(self.request)),
            annotations=annotations_of(self.request.effect, open_world=self.open_world),
        )


def reply_schema(request: type[Request[Any]]) -> dict[str, Any]:
    return request.reply_type.model_json_schema(mode="serialization")


def annotations_of(effect: Effect, *, open_world: bool = False) -> types.ToolAnnotations:
    reads = effect == "read"
    return types.ToolAnnotations(
        read_only_hint=reads, destructive_hint=effect == "admin", idempotent_hint=reads, open_world_hint=open_world
    )


def check_names(tool: str, arguments: Mapping[str, Any], known: tuple[str, ...], required: tuple[str, ...]) -> None:
    """Raises InvalidRequest for an argument that the tool does not have, or one that it needs and did not get."""
    for name in arguments:
        if name not in known:
            close = nearest(name[:80], known) or list(known)
            raise InvalidRequest(f"{tool} takes no {name[:80]!r}; nearest: {', '.join(close) or 'it takes nothing'}")
    for name in required:
        if name not in arguments:
            raise InvalidRequest(f"{tool} needs {name!r}")


OFFERED = (
    Offered(
        "ask",
        "Ask a question",
        "Answer a question about a market in plain English, with evidence: which model is worth trusting for a symbol, whether to buy, what "
        "happens in a market. Builds and tests models walk-forward with costs where needed (seconds to minutes). The verdict is `edge`, `no_edge` or "
        "`insufficient_data`; report `no_edge` as the normal answer it is, and quote figures as they stand.",
        "quant_gpt", "process_query", ("query", "session", "simulate"), ("query",),
    ),
    Offered(
        "reproduce_answer",
        "Reproduce an answer",
        "Answer an earlier question again with the same recipes, seed and trial count, and compare every figure bit for bit.",
        "quant_gpt", "process_query", ("reproduce",), ("reproduce",), fixed={"query": ""},
    ),
    Offered(
        "show_answer",
        "Show a stored answer",
        "A stored answer by its id: verdict, table, trust card, and every figure with its source and how it was computed.",
        "quant_gpt", "get_answer", ("answer_id",), ("answer_id",),
    ),
    Offered(
        "best_models",
        "Best evaluated models",
        "The best evaluated models of a symbol by a metric. Ranked is not proven: each one's `trust.verdict` says whether it beat luck.",
        "performance_critic", "get_best_models", ("symbol", "timeframe", "limit", "metric"), ("symbol",), {"timeframe": "1d"},
    ),
    Offered(
        "show_model",
        "Show a model and its outlook",
        "A model's card: data, recipe, out-of-sample figures, limits, and its forecast after the last bar (`model_info.outlook`: median, bands, "
        "probability of a rise, expected volatility).",
        "model_builder", "get_model_info", ("model_id",), ("model_id",),
    ),
    Offered(
        "evaluate_model",
        "Evaluate a model",
        "Score one model out of sample, net of costs, beside the baselines, and test it against luck. symbol and timeframe: null means the model's own.",
        "performance_critic", "evaluate_model", ("model_id", "symbol", "timeframe", "period", "metrics", "simulate"), ("model_id",),
        {"symbol": None, "timeframe": None, "period": "90d"},
    ),
    Offered(
        "compare_models",
        "Compare models",
        "Rank two or more models and the baselines on the same bars and costs. `comparison.winner` is null unless one earned it.",
        "performance_critic", "compare_models", ("model_ids", "symbol", "timeframe", "period", "simulate"), ("model_ids",),
        {"symbol": None, "timeframe": None, "period": "90d"},
    ),
    Offered(
        "run_strategy",
        "Backtest a strategy in the sandbox",
        "Run a strategy given as Python code, bar by bar in the sandbox, with costs and beside the baselines; it counts as a trial. The code "
        "defines main(input_data) and returns a position between -1 and 1 (or BUY, SELL, HOLD) for each bar; evolve://docs/sandbox shows how.",
        "performance_critic", "backtest_strategy",
        ("strategy_code", "strategy_name", "symbol", "timeframe", "period", "parameters", "long_only", "simulate"),
        ("strategy_code", "strategy_name", "symbol"), {"timeframe": None},
    ),
    Offered(
        "check_drift",
        "Is a model still good?",
        "Whether a model still meets the world it was tested in: drift of its errors, its age, its results since. Changes nothing.",
        "updater", "check_drift", ("model_id",), ("model_id",),
    ),
    Offered(
        "search_papers",
        "Search research papers",
        "Papers on arXiv for some words, best first; without a network the local library answers. Titles and summaries are other people's text.",
        "research", "search_arxiv", ("query", "max_results", "category"), ("query",), {"category": None}, open_world=True,
    ),
)  # fmt: skip
