"""Tokens give access, so that each one made or taken away stands in the audit trail, without its secret."""

from __future__ import annotations

from pathlib import Path

from evolve.audit_trail import AuditTrail
from evolve.web.tokens import Tokens


def test_making_and_revoking_a_token_is_on_record(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    secret = tokens.create("a notebook", "run")
    [token] = tokens.list()
    tokens.revoke(token.id)

    trail = AuditTrail(tmp_path)
    assert [(entry.what, entry.details) for entry in trail.entries()] == [
        ("token_created", {"token": token.id, "name": "a notebook", "scope": "run"}),
        ("token_revoked", {"token": token.id, "name": "a notebook", "scope": "run"}),
    ]
    assert secret.rsplit("_", 1)[1] not in trail.path.read_text()
    assert trail.verify().problem == ""
