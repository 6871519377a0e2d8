"""Is there a language model to ask, and within which limits? Only what the user's settings name; none is the default."""

from __future__ import annotations

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import InvalidRequest
from evolve.language.model.allowance import Limits
from evolve.language.model.consultant import MAX_TOKENS, Consultant
from evolve.language.model.openai_endpoint import OpenAiEndpoint
from evolve.settings import Settings

MODEL_AT_OPENAI = "gpt-4o-mini"  # keeps to JSON schemas and is among the cheapest; EVOLVE_LLM_MODEL names another


def is_configured(settings: Settings) -> bool:
    return bool(settings.openai_api_key or settings.openai_base_url)


def consultant_for(
    settings: Settings,
    *,
    clock: Clock = SYSTEM_CLOCK,
    replay: bool = False,
    seconds: float | None = None,
    max_tokens: int = MAX_TOKENS,
) -> Consultant:
    """The consultant of one question. seconds: a tighter limit than the user's; max_tokens: of a reply.

    Raises InvalidRequest for settings that cannot be meant, MissingExtra without the SDK.
    """
    if settings.openai_base_url and not settings.llm_model:
        raise InvalidRequest(
            f"EVOLVE_LLM_MODEL must name the model to ask at OPENAI_BASE_URL ({settings.openai_base_url.split('@')[-1]})"
        )
    has_price = settings.llm_usd_per_million_in > 0 or settings.llm_usd_per_million_out > 0
    if (settings.llm_usd_per_question > 0 or settings.llm_usd_per_day > 0) and not has_price:
        raise InvalidRequest(
            "a limit in USD needs what the model costs: set EVOLVE_LLM_USD_PER_MILLION_IN and EVOLVE_LLM_USD_PER_MILLION_OUT"
        )
    limits = Limits(
        seconds_per_question=min(seconds or settings.llm_seconds_per_question, settings.llm_seconds_per_question),
        tokens_per_question=settings.llm_tokens_per_question,
        tokens_per_day=settings.llm_tokens_per_day,
        usd_per_question=settings.llm_usd_per_question,
        usd_per_day=settings.llm_usd_per_day,
        usd_per_million_in=settings.llm_usd_per_million_in,
        usd_per_million_out=settings.llm_usd_per_million_out,
    )
    key = settings.openai_api_key
    endpoint = OpenAiEndpoint(key, settings.openai_base_url, settings.llm_model or MODEL_AT_OPENAI)
    return Consultant(
        endpoint, limits, settings.home / "llm", clock=clock, replay=replay, secret=key, max_tokens=max_tokens
    )
