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
        history = (request.context or {}).get("history") or []
        if not isinstance(history, list):
            raise InvalidRequest(
                'context.history must be a list of earlier sentences, oldest first: {"history": ["…"]}'
            )
        turns = [str(turn) for turn in history]
        routing = self.agent.route(request.user_prompt, history=turns, available=request.available_agents or ())
        return PromptRouted(result=routing)

    @handles
    def detect_intent(self, request: DetectIntent, job: Job) -> IntentDetected:
        return IntentDetected(result=self.agent.detect(request.user_prompt))

    @handles
    def parse_arguments(self, request: ParseArguments, job: Job) -> ArgumentsParsed:
        return ArgumentsParsed(result=self.agent.arguments(request.user_prompt, request.intent))

    @handles
    def get_routing_history(self, request: GetRoutingHistory, job: Job) -> RoutingHistory:
        history = self.agent.history(request.intent, request.limit)
        return RoutingHistory(history=history, intent=request.intent, count=len(history))
