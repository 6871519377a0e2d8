"""The prompt router: which service a sentence is for, and the request to send there."""

from __future__ import annotations

from evolve.contracts.prompt_router import (
    ArgumentsParsed,
    DetectIntent,
    GetRoutingHistory,
    IntentDetected,
    ParseArguments,
    PromptRouted,
    RoutePrompt,
    RoutingHistory,
)
from evolve.errors import InvalidRequest
from evolve.messaging.service import Job, handles
from evolve.services.base import BaseService


class PromptRouterService(BaseService):
    name = "prompt_router"
    preload = ()

    def setup(self) -> None:
        from evolve.agents.prompt_router import PromptRouterAgent

        self.agent = PromptRouterAgent.from_settings(self.settings)

    @handles
    def route_prompt(self, request: RoutePrompt, job: Job) -> PromptRouted:
        routing = self.agent.route(
            request.user_prompt,
            history=_texts(request, "history"),
            available=request.available_agents or (),
            symbols=_texts(request, "symbols"),
            replay=bool((request.context or {}).get("replay")),
        )
        return PromptRouted(result=routing)

    @handles
    def detect_intent(self, request: DetectIntent, job: Job) -> IntentDetected:
        return IntentDetected(result=self.agent.detect(request.user_prompt, permitted=request.use_openai))

    @handles
    def parse_arguments(self, request: ParseArguments, job: Job) -> ArgumentsParsed:
        found = self.agent.arguments(request.user_prompt, request.intent, permitted=request.use_openai)
        return ArgumentsParsed(result=found)

    @handles
    def get_routing_history(self, request: GetRoutingHistory, job: Job) -> RoutingHistory:
        history = self.agent.history(request.intent, request.limit)
        return RoutingHistory(history=history, intent=request.intent, count=len(history))


def _texts(request: RoutePrompt, name: str) -> list[str]:
    """A list of texts in the context. Raises InvalidRequest when it is something else."""
    found = (request.context or {}).get(name) or []
    if not isinstance(found, list):
        raise InvalidRequest(f'context.{name} must be a list of texts, oldest first: {{"{name}": ["…"]}}')
    return [str(text) for text in found]
