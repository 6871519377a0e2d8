"""Who asked for what, what was decided, and on which data and code? One row per request, written before the reply is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from sqlalchemy import RowMapping, insert, select
from sqlalchemy.sql import Select

from evolve.errors import InvalidRequest
from evolve.memory.canonical import canonical_json
from evolve.memory.database import Database, insert_new
from evolve.memory.redaction import redact
from evolve.memory.tables import decision_symbols, decisions

MAX_JSON_BYTES = (
    64 << 10
)  # of inputs and of outcome each: a whole answer fits, a plotted series or a paper's text does not
KEPT_CHARACTERS = 2_000  # of what is too large, so that a reader still sees what it was

Status = Literal["success", "error"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One request as a service decided it.

    inputs, outcome: JSON; asked_by: the client or service that sent it; parent: the request that asked for this one; symbols: what it
    was about; data_hash: fingerprint of the bars; times: Unix seconds.
    """

    service: str
    request_id: str
    request_type: str
    inputs: Mapping[str, object]
    outcome: Mapping[str, object]
    status: Status
    code_version: str
    started_at: float
    finished_at: float
    asked_by: str = ""
    error_code: str | None = None
    data_hash: str | None = None
    seed: int | None = None
    parent: str | None = None
    symbols: tuple[str, ...] = field(default=())


class DecisionLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    def take_over(self) -> None:
        """Note the fence of the request in hand: from here on an earlier run of it can write nothing. Raises LeaseLost."""
        with self._database.write():
            pass

    def record(self, decision: Decision) -> bool:
        """Write a decision once; False when this service has recorded this request before (the first record stays).

        Secrets are redacted; inputs or outcome beyond 64 KiB are replaced by their size, hash and first characters.
        """
        row = {
            "service": decision.service,
            "request_id": decision.request_id,
            "request_type": decision.request_type,
            "asked_by": decision.asked_by,
            "inputs": _stored(decision.inputs),
            "outcome": _stored(decision.outcome),
            "status": decision.status,
            "error_code": decision.error_code,
            "data_hash": decision.data_hash,
            "code_version": decision.code_version,
            "seed": decision.seed,
            "parent": decision.parent,
            "started_at": decision.started_at,
            "finished_at": decision.finished_at,
        }
        with self._database.write() as connection:
            id = insert_new(connection, decisions, row)
            if id is None:
                return False
            if decision.symbols:
                about = [{"decision_id": id, "symbol": symbol} for symbol in dict.fromkeys(decision.symbols)]
                connection.execute(insert(decision_symbols), about)
            return True

    def history(
        self,
        limit: int = 20,
        *,
        service: str | None = None,
        symbol: str | None = None,
        since: float | None = None,
        request_type: str | None = None,
        asked_by_users: bool = False,
        session: str | None = None,
        naming: str | None = None,
        finding: Mapping[str, str] | None = None,
    ) -> tuple[Decision, ...]:
        """The latest decisions, newest first; since: finished at or after, Unix seconds; asked_by_users: none of those that one
        service asked of another; session: of one conversation, whose name is in the inputs; naming: whose inputs hold this text as a
        value, such as a model's id; finding: whose outcomes have these fields."""
        query = select(decisions).order_by(decisions.c.id.desc()).limit(limit)
        if service is not None:
            query = query.where(decisions.c.service == service)
        if request_type is not None:
            query = query.where(decisions.c.request_type == request_type)
        if asked_by_users:
            query = query.where(decisions.c.parent.is_(None))
        if session is not None:
            # As it stands in the canonical text of the inputs, so that no other database's JSON functions are needed.
            query = query.where(
                decisions.c.inputs.contains(canonical_json({"session": session})[1:-1], autoescape=True)
            )
        if naming is not None:
            query = query.where(decisions.c.inputs.contains(canonical_json(naming), autoescape=True))
        for name, value in (finding or {}).items():
            found = canonical_json({name: value})[1:-1]
            query = query.where(decisions.c.outcome.contains(found, autoescape=True))
        if since is not None:
            query = query.where(decisions.c.finished_at >= since)
        if symbol is not None:
            query = query.where(
                decisions.c.id.in_(select(decision_symbols.c.decision_id).where(decision_symbols.c.symbol == symbol))
            )
        return self._load(query)

    def after(
        self, position: int, *, service: str, request_type: str, limit: int = 1000
    ) -> tuple[tuple[int, Decision], ...]:
        """Decisions of one kind that came after a position, with their own, the oldest first."""
        query = (
            select(decisions)
            .where((decisions.c.id > position) & (decisions.c.service == service))
            .where(decisions.c.request_type == request_type)
            .order_by(decisions.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple((row["id"], _decision(row, ())) for row in rows)

    def get(self, request_id: str, *, service: str | None = None) -> Decision:
        """The decision on a request: of `service`, else of the first that decided it. Raises InvalidRequest when there is none."""
        query = select(decisions).where(decisions.c.request_id == request_id).order_by(decisions.c.id).limit(1)
        if service is not None:
            query = query.where(decisions.c.service == service)
        found = self._load(query)
        if not found:
            raise InvalidRequest(
                f"no decision on request {request_id!r} is recorded{f' by {service}' if service else ''}; `evolve history` lists the latest"
            )
        return found[0]

    def _load(self, query: Select[tuple[object, ...]]) -> tuple[Decision, ...]:
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
            about: dict[int, list[str]] = {}
            ids = [row["id"] for row in rows]
            for id, symbol in connection.execute(
                select(decision_symbols)
                .where(decision_symbols.c.decision_id.in_(ids))
                .order_by(decision_symbols.c.symbol)
            ):
                about.setdefault(id, []).append(symbol)
        return tuple(_decision(row, tuple(about.get(row["id"], ()))) for row in rows)


def _stored(value: Mapping[str, object]) -> str:
    whole = canonical_json(value)
    size = len(whole.encode())
    text = canonical_json(redact(json.loads(whole) if size <= MAX_JSON_BYTES else _beginning(json.loads(whole))))
    if size <= MAX_JSON_BYTES:
        return text
    sha256 = hashlib.sha256(whole.encode()).hexdigest()
    return canonical_json({"truncated": True, "bytes": size, "sha256": sha256, "begins": text[:KEPT_CHARACTERS]})


def _beginning(value: object) -> object:
    """As much of a large value as can matter to its first characters: redacting megabytes to throw them away costs seconds."""
    if isinstance(value, dict):
        return {key: _beginning(inner) for key, inner in list(value.items())[:KEPT_CHARACTERS]}
    if isinstance(value, list):
        return [_beginning(inner) for inner in value[:KEPT_CHARACTERS]]
    # Twice what is kept: a secret must not escape its pattern by being cut in two.
    return value[: 2 * KEPT_CHARACTERS] if isinstance(value, str) else value


def _decision(row: RowMapping, symbols: tuple[str, ...]) -> Decision:
    return Decision(
        service=row["service"],
        request_id=row["request_id"],
        request_type=row["request_type"],
        inputs=json.loads(row["inputs"]),
        outcome=json.loads(row["outcome"]),
        status=cast(Status, row["status"]),
        code_version=row["code_version"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        asked_by=row["asked_by"],
        error_code=row["error_code"],
        data_hash=row["data_hash"],
        seed=row["seed"],
        parent=row["parent"],
        symbols=symbols,
    )
