"""Which services are there? One line each: name → where its class stands. Importing this imports none of them."""

from __future__ import annotations

from evolve.errors import UnknownService, nearest

SERVICES: dict[str, str] = {
    "meta_tuner": "evolve.services.meta_tuner:MetaTunerService",
    "model_builder": "evolve.services.model_builder:ModelBuilderService",
    "multimodal": "evolve.services.multimodal:MultimodalService",
    "performance_critic": "evolve.services.performance_critic:PerformanceCriticService",
    "prompt_router": "evolve.services.prompt_router:PromptRouterService",
    "quant_gpt": "evolve.services.quant_gpt:QuantGPTService",
    "research": "evolve.services.research:ResearchService",
    "safe_executor": "evolve.services.safe_executor:SafeExecutorService",
    "updater": "evolve.services.updater:UpdaterService",
}


def service_path(name: str) -> str:
    """`package.module:Class` of a service. Raises UnknownService with the nearest names."""
    try:
        return SERVICES[name]
    except KeyError:
        close = nearest(name, SERVICES) or sorted(SERVICES)
        raise UnknownService(
            f"there is no service {name!r}; nearest: {', '.join(close)}", known=sorted(SERVICES)
        ) from None
