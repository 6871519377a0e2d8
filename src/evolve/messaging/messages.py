"""What can one service ask another? One class per request, one per reply; every surface derives from them.

The wire type is the class name in snake_case: `BuildModel` is sent as `build_model`, `ModelBuilt` answers as `model_built`.
The service is the module the class stands in: `evolve.contracts.model_builder` → `model_builder`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from evolve.errors import InvalidRequest, UnknownType, nearest, violation
from evolve.showing import together

Slot = Literal["inline", "light", "heavy"]
Effect = Literal["read", "run", "admin"]

MAX_FIELDS = 20  # that an error lists: enough to mend a form, too few to answer megabytes with megabytes
ENVELOPE_FIELDS = frozenset({"type", "service", "data", "status", "timestamp", "request_id"})


_BUILDING = threading.RLock()


class Declared(BaseModel):
    """A message whose schema is built when it is first read or written: a command needs two of a hundred. Services build theirs at once."""

    model_config: ClassVar[ConfigDict] = ConfigDict(defer_build=True)

    @classmethod
    def model_rebuild(
        cls,
        *,
        force: bool = False,
        raise_errors: bool = True,
        _parent_namespace_depth: int = 2,
        _types_namespace: Mapping[str, Any] | None = None,
    ) -> bool | None:
        # One thread at a time: pydantic takes an unfinished schema away before it makes the new one, while another thread may use it.
        with _BUILDING:
            return super().model_rebuild(
                force=force,
                raise_errors=raise_errors,
                _parent_namespace_depth=_parent_namespace_depth + 1,
                _types_namespace=_types_namespace,
            )


class Reply(Declared):
    """What a service answers. Its fields become the response's `data` and may not hide an envelope's field."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="ignore", ser_json_inf_nan="null", protected_namespaces=()
    )
    wire_type: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__()  # the class keywords are read below, once pydantic knows the fields

    @classmethod
    def __pydantic_init_subclass__(cls, *, wire: str | None = None, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        hidden = ENVELOPE_FIELDS & set(cls.model_fields)
        if hidden:
            raise TypeError(
                f"{cls.__name__}: {', '.join(sorted(hidden))} would hide a field of the envelope; rename it"
            )
        cls.wire_type = wire or snake_case(cls.__name__)

    def _repr_html_(self) -> str | None:
        """In a notebook a reply shows what it holds."""
        held = [getattr(self, name) for name in type(self).model_fields]
        return together(each for value in held for each in (value if isinstance(value, tuple) else (value,)))


ReplyT = TypeVar("ReplyT", bound=Reply, covariant=True)


class Request(Declared, Generic[ReplyT]):
    """What a service can be asked, as `class BuildModel(Request[ModelBuilt])`.

    Class keywords: `client`, the client method's name if it is not the wire type; `positional`, the fields that method
    takes by position (default: the required ones); `slot`, where the handler runs: `inline` in the service's event loop
    (microseconds only), `light` in a thread, `heavy` in a process that can be killed; `records`, whether the decision log
    keeps it; `waits`, whether its client waits longer than the usual response timeout (seconds); `retries`, how often it is
    put off and run again when its handler raises Unavailable; `effect`, what it does to the system: `read` changes nothing that
    anybody decided, `run` starts work or adds to what is stored, `admin` decides about what others rely on (which model is in
    charge, what is deleted). Unsaid, what computes or is recorded runs, and the rest reads.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), validate_default=True
    )
    wire_type: ClassVar[str] = ""
    service: ClassVar[str] = ""
    reply_type: ClassVar[type[Reply]] = Reply
    client_method: ClassVar[str] = ""
    positional: ClassVar[tuple[str, ...]] = ()
    slot: ClassVar[Slot] = "light"
    records: ClassVar[bool] = False
    waits: ClassVar[float | None] = None
    retries: ClassVar[int] = 0
    effect: ClassVar[Effect] = "read"
    numbers: ClassVar[frozenset[str]] = frozenset()  # the fields that are
    truths: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__()  # the class keywords are read below, once pydantic knows the fields

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        *,
        wire: str | None = None,
        service: str | None = None,
        client: str | None = None,
        positional: tuple[str, ...] | None = None,
        slot: Slot = "light",
        records: bool = False,
        waits: float | None = None,
        retries: int = 0,
        effect: Effect | None = None,
        **kwargs: Any,
    ) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if cls.__pydantic_generic_metadata__["origin"] is not None:
            return  # `Request[ModelBuilt]` itself: a parametrised base, not a message
        cls.reply_type = _reply_type(cls)
        cls.wire_type = wire or snake_case(cls.__name__)
        cls.service = service or cls.__module__.rpartition(".")[2]
        cls.client_method = client or cls.wire_type
        required = tuple(name for name, field in cls.model_fields.items() if field.is_required())
        cls.positional = positional if positional is not None else required
        cls.slot, cls.records, cls.waits, cls.retries = slot, records, waits, retries
        cls.effect = effect or ("run" if slot == "heavy" or records else "read")
        kinds = {
            name: {field.annotation, *get_args(field.annotation)} & {bool, int, float}
            for name, field in cls.model_fields.items()
        }
        cls.truths = frozenset(name for name, kind in kinds.items() if kind == {bool})
        cls.numbers = frozenset(name for name, kind in kinds.items() if kind and bool not in kind)
        unknown = set(cls.positional) - set(cls.model_fields)
        if unknown:
            raise TypeError(f"{cls.__name__}: positional names unknown fields {sorted(unknown)}")


def _reply_type(cls: type[BaseModel]) -> type[Reply]:
    for base in cls.__mro__[1:]:
        arguments = getattr(base, "__pydantic_generic_metadata__", {}).get("args", ())
        if arguments:
            return arguments[0]  # type: ignore[no-any-return]
    raise TypeError(f"{cls.__name__} must name its reply: class {cls.__name__}(Request[…])")


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def parse_request(service: str, wire_type: str, data: object, known: Iterable[type[Request[Any]]]) -> Request[Any]:
    """The typed request. Raises UnknownType (with the nearest types) or InvalidRequest (naming field and reason)."""
    by_type = {cls.wire_type: cls for cls in known}
    cls = by_type.get(wire_type)
    if cls is None:
        close = nearest(wire_type, by_type) or sorted(by_type)
        raise UnknownType(f"{service} has no request {wire_type!r}; nearest: {', '.join(close)}", known=sorted(by_type))
    return validated(cls, data)


RequestT = TypeVar("RequestT", bound=Request[Any])


def validated(cls: type[RequestT], data: object) -> RequestT:
    """An instance of `cls` from plain data. Raises InvalidRequest naming the first wrong field and what it may be."""
    if not isinstance(data, dict):
        raise InvalidRequest(f"data of {cls.wire_type} must be an object, not {type(data).__name__}")
    # Python counts false as 0: one in the place of the other is a mistake, and no schema allows it.
    for name, value in data.items():
        if isinstance(value, bool) and name in cls.numbers:
            raise InvalidRequest(f"{cls.wire_type}: {name} must be a number, not {value}", fields=[name])
        if type(value) in (int, float) and name in cls.truths:
            raise InvalidRequest(f"{cls.wire_type}: {name} must be true or false, not {value}", fields=[name])
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        raise InvalidRequest(
            _explain(cls, error), fields=[_short(".".join(map(str, e["loc"]))) for e in error.errors()[:MAX_FIELDS]]
        ) from None


def _explain(cls: type[Request[Any]], error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"])) or "data"
    if first["type"] == "missing":
        return f"{cls.wire_type} needs {field!r}"
    if first["type"] == "extra_forbidden":
        fields = ", ".join(nearest(_short(field), cls.model_fields) or cls.model_fields) or "it takes none"
        return f"{cls.wire_type} has no field {_short(field)!r}; nearest: {fields}"
    value = _short(repr(first["input"]))
    return f"{cls.wire_type}: {_short(field)} {violation(first['type'], first.get('ctx', {}), first['msg'], value)}"


def _short(text: str) -> str:
    # A name of megabytes would take seconds to compare with the known ones, in the loop that answers everybody.
    return text if len(text) <= 80 else text[:77] + "…"
