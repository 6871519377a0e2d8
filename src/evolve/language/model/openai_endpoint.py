"""How is an OpenAI-compatible server asked? By the official SDK (extra `llm`), with a deadline that nothing outlasts.

No text that a server sends with an error is passed on: it may quote the key.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from evolve.errors import Forbidden, InvalidRequest, Malformed, MissingExtra, RateLimited, TimedOut, Unavailable
from evolve.language.model.endpoint import Completion, Message, Rung, Schema

if TYPE_CHECKING:
    from openai import OpenAI

T = TypeVar("T")
OPENAI_URL = "https://api.openai.com/v1"
LARGEST_REPLY = 1 << 20  # bytes; a commentary has a few thousand
# They log addresses, prompts and, at DEBUG, headers: nothing of that belongs into a log file of ours.
CHATTY = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")


class _Call(BaseModel):
    arguments: str | None = None


class _ToolCall(BaseModel):
    function: _Call | None = None


class _Said(BaseModel):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Said | None = None


class _Details(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Reply(BaseModel):
    """What we read of a completion; servers differ in all the rest."""

    choices: list[_Choice]
    usage: _Usage | None = None


class OpenAiEndpoint:
    """One model of one server. Raises MissingExtra where the SDK is not installed."""

    def __init__(self, key: str | None, base_url: str | None, model: str) -> None:
        try:
            import openai
        except ImportError:
            raise MissingExtra(
                "a language model needs the package openai: install evolve-trading[llm], or unset OPENAI_API_KEY and OPENAI_BASE_URL"
            ) from None
        for chatty in CHATTY:
            logging.getLogger(chatty).setLevel(logging.WARNING)
        self._sdk = openai
        self._url = base_url or OPENAI_URL
        self._at_openai = base_url is None or urlsplit(self._url).hostname == urlsplit(OPENAI_URL).hostname
        self._model = model
        # Local servers take none, but the SDK insists on one. Retries are counted and paid for above, not in the SDK.
        self._client: OpenAI = openai.OpenAI(api_key=key or "none", base_url=self._url, max_retries=0)
        self._identity = hashlib.sha256("\n".join((self._url, model, key or "")).encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        return f"{self._model} at {urlsplit(self._url).hostname}"

    @property
    def model(self) -> str:
        return self._model

    @property
    def identity(self) -> str:
        return self._identity

    def greet(self, *, seconds: float) -> None:
        try:
            self._within(seconds, lambda: self._client.with_options(timeout=seconds).models.with_raw_response.list())
        except (InvalidRequest, RateLimited, Malformed):
            return  # it answers, which is all that was asked: some servers list no models
        except TimedOut:
            raise Unavailable(f"{self.name} did not answer within {seconds:g} s") from None

    def complete(
        self, messages: Sequence[Message], schema: Schema, *, rung: Rung, max_tokens: int, seconds: float
    ) -> Completion:
        # Reasoning models of OpenAI refuse the old name, other servers may not know the new one.
        limit = {"max_completion_tokens" if self._at_openai else "max_tokens": max_tokens}
        options: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": message.role, "content": _content(message)} for message in messages],
            **limit,
            **_as_rung(rung, schema),
        }
        client = self._client.with_options(timeout=seconds)
        return self._within(
            seconds, lambda: _completion(client.chat.completions.with_raw_response.create(**options).content)
        )

    def _within(self, seconds: float, call: Callable[[], T]) -> T:
        """The call's result. A timeout of the SDK counts from byte to byte and not while a name is looked up; this one does not."""
        done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                done.put((call(), None))
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
                done.put((None, error))

        threading.Thread(target=run, name="language-model", daemon=True).start()
        try:
            found, error = done.get(timeout=seconds)
        except queue.Empty:
            raise TimedOut(f"{self.name} took longer than {seconds:.0f} s") from None
        if error is not None:
            raise self._explained(error) from None
        return found  # type: ignore[return-value]  # a call without an error has a result

    def _explained(self, error: BaseException) -> BaseException:
        """One of our errors for one of the SDK's; what is none of them is a bug and stays as it is."""
        sdk = self._sdk
        if isinstance(error, sdk.AuthenticationError):
            return Forbidden(f"{self.name} does not take this key (401): check OPENAI_API_KEY")
        if isinstance(error, sdk.PermissionDeniedError):
            return Forbidden(f"{self.name} forbids this (403): check what the key may do")
        if isinstance(error, sdk.RateLimitError):
            return RateLimited(f"{self.name} asks to wait (429)", after=_seconds(error.response.headers))
        if isinstance(error, sdk.APITimeoutError):
            return TimedOut(f"{self.name} took too long")
        if isinstance(error, sdk.APIConnectionError):
            return Unavailable(f"{self.name} cannot be reached: check OPENAI_BASE_URL and the network")
        if isinstance(error, sdk.APIStatusError):
            status = error.response.status_code
            if status >= 500 or status == 408:
                return Unavailable(f"{self.name} failed ({status})", after=_seconds(error.response.headers))
            return InvalidRequest(f"{self.name} refuses this request ({status}): check EVOLVE_LLM_MODEL", status=status)
        if isinstance(error, sdk.OpenAIError):
            return Malformed(f"{self.name} sent what is no completion")
        return error


def _content(message: Message) -> str | list[dict[str, Any]]:
    if message.image is None:
        return message.text
    address = f"data:image/png;base64,{base64.b64encode(message.image).decode()}"
    return [{"type": "text", "text": message.text}, {"type": "image_url", "image_url": {"url": address}}]


def _as_rung(rung: Rung, schema: Schema) -> dict[str, Any]:
    if rung == "json_schema":
        described = {"name": schema.name, "schema": dict(schema.body), "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": described}}
    if rung == "tool":
        function = {"name": schema.name, "parameters": dict(schema.body), "strict": True}
        return {"tools": [{"type": "function", "function": function}], "tool_choice": "required"}
    if rung == "json_object":
        return {"response_format": {"type": "json_object"}}
    return {}


def _completion(body: bytes) -> Completion:
    if len(body) > LARGEST_REPLY:
        raise Malformed(f"the language model sent {len(body)} bytes, more than {LARGEST_REPLY}")
    try:
        reply = _Reply.model_validate_json(body)
    except ValidationError:
        raise Malformed("the language model's server sent what is no completion") from None
    said = reply.choices[0].message if reply.choices else None
    called = (
        next((call.function.arguments for call in (said.tool_calls or ()) if call.function), None) if said else None
    )
    text = called or (said.content if said else None)
    if not text:
        raise Malformed(
            "the language model said nothing" if not said or not said.refusal else "the language model refused"
        )
    usage = reply.usage or _Usage()
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Completion(text, usage.prompt_tokens, usage.completion_tokens, cached)


def _seconds(headers: Any) -> float | None:
    """Retry-After in seconds; a date, or nonsense, is None."""
    given = str(headers.get("retry-after") or "")
    return float(given) if given.replace(".", "", 1).isascii() and given.replace(".", "", 1).isdecimal() else None
