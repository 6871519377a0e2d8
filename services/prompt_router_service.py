"""The prompt router service's class."""

from evolve.services.prompt_router import PromptRouterService as PromptRouterService
