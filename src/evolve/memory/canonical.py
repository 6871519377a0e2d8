"""When are two values the same? When their canonical text is: sorted keys, no spaces, exact floats, no NaN.

Whatever is hashed (recipes, answers) or stored as JSON goes through here, so that equal values have equal hashes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from evolve.cards import Recipe
from evolve.errors import InvalidRequest, Unavailable

Value = TypeVar("Value")


def canonical_json(value: object) -> str:
    """The one JSON text of a value: plain types, dataclasses, pydantic models.

    Raises InvalidRequest for NaN, infinities and types that JSON cannot hold (numpy scalars): unknown is None, said by who knows why.
    """
    try:
        plain = to_jsonable_python(value)
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidRequest(f"{type(value).__name__} cannot be stored as JSON: {error}") from None


def sha256_of(value: object) -> str:
    """sha256 (hex) of the canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def recipe_hash(recipe: Recipe) -> str:
    """sha256 (hex) over everything that determines a model."""
    return sha256_of(recipe)


def from_json(kind: type[Value], text: str) -> Value:
    """A stored value back as `kind`. Raises Unavailable when it was stored in a shape that this version cannot read."""
    try:
        value: Value = _adapter(cast(Hashable, kind)).validate_json(text)
        return value
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Unavailable(
            f"a stored {kind.__name__} cannot be read by this version of Evolve ({where}: {first['msg']}); build or ask again to store a new one"
        ) from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
