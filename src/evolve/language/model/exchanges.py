"""What was asked of a language model, and what did it say? One file per exchange, named by the sha256 of what was asked.

Cache, audit record and replay in one: the same question to the same model is not paid for twice, and `--replay` answers from here alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from evolve.clock import Clock, iso
from evolve.errors import Unavailable
from evolve.files import write_whole
from evolve.language.model.endpoint import Completion, Message, Schema


@dataclass(frozen=True, slots=True)
class Exchange:
    """accepted: whether what was said passed every check, so that it may be used again without asking."""

    key: str
    completion: Completion
    accepted: bool


class Exchanges:
    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory / "exchanges"
        self._clock = clock

    def find(self, key: str) -> Exchange | None:
        try:
            row = json.loads(self._path(key).read_text(encoding="utf-8"))
            return Exchange(key, Completion(**row["said"]), bool(row["accepted"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None  # not there, or damaged: asked again

    def keep(self, key: str, asked: Sequence[Message], model: str, completion: Completion, *, accepted: bool) -> None:
        """Raises Unavailable when it cannot be written: what leaves no record is not used."""
        row = {
            "model": model, "at": iso(self._clock.now()), "accepted": accepted,
            "asked": [_told(message) for message in asked], "said": asdict(completion),
        }  # fmt: skip
        path = self._path(key)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, json.dumps(row, ensure_ascii=True, indent=1).encode())
        except OSError as error:
            raise Unavailable(f"cannot write {path}: {error.strerror}") from None

    def _path(self, key: str) -> Path:
        return self._directory / key[:2] / f"{key}.json"


def _told(message: Message) -> dict[str, str]:
    """A message as it is recorded; of a picture only which one it was, so that a record stays small."""
    told = {"role": message.role, "text": message.text}
    return told if message.image is None else {**told, "image": hashlib.sha256(message.image).hexdigest()}


def key_of(model: str, messages: Sequence[Message], schema: Schema, sample: int) -> str:
    """sample: which of several replies to the same words; how the server was made to keep to the schema does not count."""
    content = [model, [_told(message) for message in messages], schema.name, dict(schema.body), sample]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
