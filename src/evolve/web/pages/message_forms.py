"""How does a person fill in a message? A form from its declaration, and the message's data from what a browser sends back.

A field of a form is what the JSON schema of a field allows: a choice, a tick, a number, words, a list with an entry a line, or JSON. So a
message that somebody adds to a service has its form without another line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from evolve.errors import InvalidRequest
from evolve.messaging.messages import Request as Message
from evolve.web.openapi import example_of

Kind = Literal["choice", "tick", "number", "words", "text", "code", "list", "json"]
LONG: Final = 1_000  # characters: what may be longer gets an area of several lines
LINES: Final[Mapping[Kind, int]] = {"list": 3, "json": 4, "text": 6, "code": 12}
# Names that a person picks from what there is: the field's name → the list of the page.
SUGGESTED: Final = {
    "symbol": "symbols", "second_symbol": "symbols", "model_id": "models", "old_model_id": "models", "new_model_id": "models",
    "parent": "models", "model_type": "families", "data_source": "sources", "plot_type": "plots", "period": "periods",
    "new_data_period": "periods", "session": "", "expected": "models",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One field. value: as the form shows it; nullable: emptied means null, else the default; example: for its placeholder;
    lowest, highest: of a number; suggested: the page's list of what there is, or empty."""

    name: str
    kind: Kind
    required: bool
    nullable: bool
    value: str
    choices: tuple[str, ...] = ()
    example: str = ""
    lowest: float | None = None
    highest: float | None = None
    whole: bool = False
    longest: int | None = None
    suggested: str = ""

    @property
    def lines(self) -> int:
        return LINES.get(self.kind, 1)


def fields_of(cls: type[Message[Any]], given: Mapping[str, str]) -> list[Field]:
    """The form of a message, its fields filled in with `given` where it has them, else with their defaults."""
    schema = cls.model_json_schema(mode="validation")
    required = set(schema.get("required", ()))
    return [
        _field(name, _resolved(part, schema), name in required, part, given)
        for name, part in schema.get("properties", {}).items()
    ]


def data_of(cls: type[Message[Any]], form: Mapping[str, str]) -> dict[str, Any]:
    """The message's data as the form says it; what was left empty is left out, or null where it may be. Raises InvalidRequest."""
    found: dict[str, Any] = {}
    for field in fields_of(cls, {}):
        # A browser sends line breaks of a text area as CR LF.
        text = form.get(field.name, "").replace("\r\n", "\n")
        if field.kind == "tick":
            found[field.name] = text == "1"
        elif text.strip():
            found[field.name] = _value(field, text)
        elif field.nullable and field.value:
            found[field.name] = None  # somebody emptied what stood there
    return found


def example_form(cls: type[Message[Any]]) -> dict[str, str]:
    """The fields that must be given, as its declaration's examples have them; empty where it has none."""
    return {name: text_of(value) for name, value in (example_of(cls) or {}).items()}


def _field(
    name: str, schema: Mapping[str, Any], required: bool, declared: Mapping[str, Any], given: Mapping[str, str]
) -> Field:
    kind = _kind(name, schema)
    default = declared.get("default")
    examples = declared.get("examples") or schema.get("examples") or [""]
    return Field(
        name=name, kind=kind, required=required, nullable=bool(schema.get("nullable")),
        value=given[name] if name in given else _default(default), choices=tuple(map(str, schema.get("enum", ()))),
        example=text_of(examples[0]), lowest=schema.get("minimum"), highest=schema.get("maximum"),
        whole=schema.get("type") == "integer", longest=schema.get("maxLength"), suggested=SUGGESTED.get(name, ""),
    )  # fmt: skip


def _resolved(part: Mapping[str, Any], whole: Mapping[str, Any]) -> dict[str, Any]:
    """A field's schema without references; `nullable` where it may also be null."""
    if "$ref" in part:
        return dict(whole["$defs"][part["$ref"].rpartition("/")[2]])
    options = part.get("anyOf", ())
    others = [option for option in options if option.get("type") != "null"]
    if not options:
        return dict(part)
    if len(others) == 1:
        return {**_resolved(others[0], whole), "nullable": len(options) > 1}
    return {"nullable": len(others) < len(options)}


def _kind(name: str, schema: Mapping[str, Any]) -> Kind:
    if "enum" in schema:
        return "choice"
    found = schema.get("type")
    if found == "boolean":
        return "tick"
    if found in ("integer", "number"):
        return "number"
    if found == "array" and schema.get("items", {}).get("type") == "string":
        return "list"
    if found != "string":
        return "json"
    if name.endswith("_code"):
        return "code"
    return "text" if schema.get("maxLength", 0) > LONG and not name.endswith(("_path", "_url")) else "words"


def _default(default: object) -> str:
    return "" if default == [] else text_of(default)


def text_of(value: object) -> str:
    """A value as a field of a form shows it."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return "1" if value else ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False)


def _value(field: Field, text: str) -> Any:
    if field.kind == "number":
        try:
            return int(text) if field.whole else float(text)
        except ValueError:
            raise InvalidRequest(
                f"{field.name} is a {'whole ' if field.whole else ''}number, not {text[:40]!r}"
            ) from None
    if field.kind == "list":
        return [line.strip() for line in text.replace(",", "\n").splitlines() if line.strip()]
    if field.kind == "json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(f"{field.name} is JSON: {error}") from None
    return text if field.kind in ("text", "code") else text.strip()
