"""What can the prompt router be asked? Which service a sentence is for, with which request. It runs nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from evolve.cards import SlotCard
from evolve.messaging.messages import Reply, Request

MAX_PROMPT = 4_000


@dataclass(frozen=True, slots=True)
class ReadyRequest:
    """A request that can be sent as it stands."""

    service: str
    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Routing:
    """intent: one of the eleven; target_agent: a service's name, or null; parser: what understood the sentence."""

    intent: str
    confidence: float
    target_agent: str | None
    request: ReadyRequest | None
    arguments: dict[str, Any]
    slots: dict[str, SlotCard]
    reasons: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    question: str | None = None
    parser: str = "grammar"


@dataclass(frozen=True, slots=True)
class DetectedIntent:
    intent: str
    confidence: float
    reasons: tuple[str, ...] = ()
    parser: str = "grammar"


@dataclass(frozen=True, slots=True)
class ParsedArguments:
    arguments: dict[str, Any]
    slots: dict[str, SlotCard]
    parser: str = "grammar"


@dataclass(frozen=True, slots=True)
class RoutedPrompt:
    at: str
    user_prompt: str
    intent: str
    target_agent: str | None
    confidence: float = 0.0
    arguments: dict[str, Any] = field(default_factory=dict)


class PromptRouted(Reply):
    result: Routing


class RoutePrompt(Request[PromptRouted], records=True, positional=("user_prompt", "context", "available_agents")):
    """The service a sentence is for and the request to send. context: {"history": [earlier sentences, oldest first]}."""

    user_prompt: str = Field(max_length=MAX_PROMPT)
    context: dict[str, Any] | None = Field(default_factory=dict)
    available_agents: tuple[str, ...] | None = ()


class IntentDetected(Reply):
    result: DetectedIntent


class DetectIntent(Request[IntentDetected], positional=("user_prompt", "use_openai")):
    """What a sentence wants. use_openai permits a language model to be asked, never requires it."""

    user_prompt: str = Field(max_length=MAX_PROMPT)
    use_openai: bool = True


class ArgumentsParsed(Reply):
    result: ParsedArguments


class ParseArguments(Request[ArgumentsParsed], positional=("user_prompt", "intent", "use_openai")):
    """Symbol, timeframe, period, model and side in a sentence; what it does not name is null."""

    user_prompt: str = Field(max_length=MAX_PROMPT)
    intent: str
    use_openai: bool = True


class RoutingHistory(Reply):
    history: tuple[RoutedPrompt, ...]
    intent: str | None
    count: int


class GetRoutingHistory(Request[RoutingHistory], positional=("intent", "limit")):
    """Sentences routed before, newest first."""

    intent: str | None = None
    limit: int = Field(10, ge=1, le=1000)
