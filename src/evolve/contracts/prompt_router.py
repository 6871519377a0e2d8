"""What can the prompt router be asked? Which service a sentence is for, with which request. It runs nothing."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from evolve.cards import DetectedIntent, ParsedArguments, RoutedPrompt, Routing
from evolve.messaging.messages import Reply, Request

MAX_PROMPT = 4_000


class PromptRouted(Reply):
    result: Routing


class RoutePrompt(
    Request[PromptRouted], records=True, positional=("user_prompt", "context", "available_agents"), effect="read"
):
    """The service a sentence is for and the request to send.

    context: {"history": [earlier sentences, oldest first], "symbols": [symbols the user has bars of],
    "replay": true where no language model is to be asked}.
    """

    user_prompt: str = Field(max_length=MAX_PROMPT, examples=["Give me the best model for NVDA over 90 days"])
    context: dict[str, Any] | None = Field(default_factory=dict)
    available_agents: tuple[str, ...] | None = ()


class IntentDetected(Reply):
    result: DetectedIntent


class DetectIntent(Request[IntentDetected], positional=("user_prompt", "use_openai")):
    """What a sentence wants. use_openai permits a language model to be asked, never requires it."""

    user_prompt: str = Field(max_length=MAX_PROMPT, examples=["Give me the best model for NVDA over 90 days"])
    use_openai: bool = True


class ArgumentsParsed(Reply):
    result: ParsedArguments


class ParseArguments(Request[ArgumentsParsed], positional=("user_prompt", "intent", "use_openai")):
    """Symbol, timeframe, period, model and side in a sentence; what it does not name is null."""

    user_prompt: str = Field(max_length=MAX_PROMPT, examples=["Give me the best model for NVDA over 90 days"])
    intent: str = Field(examples=["model_recommendation"])
    use_openai: bool = True


class RoutingHistory(Reply):
    history: tuple[RoutedPrompt, ...]
    intent: str | None
    count: int


class GetRoutingHistory(Request[RoutingHistory], positional=("intent", "limit")):
    """Sentences routed before, newest first."""

    intent: str | None = None
    limit: int = Field(default=10, ge=1, le=1000)
