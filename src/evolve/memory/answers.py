"""What exactly was answered, and from what? Each answer by an id that its question, data, recipes, seed and code determine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, select

from evolve.cards import Recipe
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import InvalidRequest
from evolve.memory.canonical import canonical_json, recipe_hash, sha256_of
from evolve.memory.database import Database, insert_new
from evolve.memory.tables import answers

ID_DIGITS = 12  # short enough to type, 48 bits: two of a million answers share an id once in 560 homes
LISTED = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored answer. document: the whole of it as JSON; trial_position: where the trial ledger stood; answered_at: Unix seconds."""

    answer_id: str
    question: str
    document: Mapping[str, Any]
    trial_position: int
    request_id: str
    answered_at: float


def answer_id_of(
    question: str, *, data_fingerprints: Sequence[str], recipes: Sequence[Recipe], seed: int, code_version: str
) -> str:
    """The id: 12 hex digits of a sha256. Order of data sets and recipes, and white space around or within the question, do not count."""
    hashes = sorted(recipe_hash(recipe) for recipe in recipes)
    return sha256_of([" ".join(question.split()), sorted(data_fingerprints), hashes, seed, code_version])[:ID_DIGITS]


class Answers:
    def __init__(self, database: Database, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._clock = clock

    def save(
        self, answer_id: str, *, question: str, document: Mapping[str, object], trial_position: int, request_id: str
    ) -> Answer:
        """Store an answer and return the stored one: the first of this id, whose trial position reproduces its figures."""
        row = {
            "answer_id": answer_id,
            "request_id": request_id,
            "question": question,
            "document": canonical_json(document),
            "trial_position": trial_position,
            "answered_at": self._clock.now(),
        }
        with self._database.write() as connection:
            insert_new(connection, answers, row)
            return _answer(connection.execute(select(answers).where(answers.c.answer_id == answer_id)).mappings().one())

    def get(self, answer_id: str) -> Answer:
        """Raises InvalidRequest listing the latest ids."""
        with self._database.read() as connection:
            row = connection.execute(select(answers).where(answers.c.answer_id == answer_id)).mappings().first()
        if row is None:
            latest = [answer.answer_id for answer in self.latest(LISTED)]
            known = (
                f"the latest are {', '.join(latest)}" if latest else 'there are none yet: `evolve ask "…"` makes one'
            )
            raise InvalidRequest(f"there is no answer {answer_id!r}; {known}", answer_id=answer_id, latest=latest)
        return _answer(row)

    def latest(self, limit: int = 20) -> tuple[Answer, ...]:
        """Newest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(answers).order_by(answers.c.id.desc()).limit(limit)).mappings().all()
        return tuple(_answer(row) for row in rows)


def _answer(row: RowMapping) -> Answer:
    return Answer(
        answer_id=row["answer_id"],
        question=row["question"],
        document=json.loads(row["document"]),
        trial_position=row["trial_position"],
        request_id=row["request_id"],
        answered_at=row["answered_at"],
    )
