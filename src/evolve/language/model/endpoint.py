"""How is a language model asked? A small port: messages and a shape in, text and token counts out.

What can go wrong is one of our own errors, so that nobody above knows which SDK or server stands behind it:
Forbidden (the key is refused), RateLimited, InvalidRequest (this way of asking is refused), TimedOut, Unavailable, Malformed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Role = Literal["system", "user", "assistant"]
Rung = Literal["json_schema", "tool", "json_object", "prompt"]
# From the strictest to what every server can do; an endpoint is asked in the first way that it obeys.
LADDER: tuple[Rung, ...] = ("json_schema", "tool", "json_object", "prompt")


@dataclass(frozen=True, slots=True)
class Message:
    """image: a PNG that belongs to the text; only models that see take one."""

    role: Role
    text: str
    image: bytes | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """What a reply must look like. body: a JSON schema, written by pydantic."""

    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Completion:
    """A reply. Tokens are None where the server counts none; cached: those of the prompt it had seen before."""

    text: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None


class Endpoint(Protocol):
    """One model on one server. name: for people, without any secret; identity: differs when server, model or key do."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def identity(self) -> str: ...
    def greet(self, *, seconds: float) -> None:
        """Returns if the server answers and takes the key; raises Forbidden or Unavailable."""

    def complete(
        self, messages: Sequence[Message], schema: Schema, *, rung: Rung, max_tokens: int, seconds: float
    ) -> Completion: ...
