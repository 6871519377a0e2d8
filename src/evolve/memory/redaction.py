"""What must never reach the disk? Keys, tokens and passwords, wherever a request carries them."""

from __future__ import annotations

import re
from collections.abc import Mapping

REDACTED = "[redacted]"

_SECRET_WORDS = {
    "key", "keys", "apikey", "apikeys", "token", "tokens", "password", "passwords", "passwd", "passphrase", "pwd",
    "secret", "secrets", "credential", "credentials", "authorization", "cookie", "bearer",
}  # fmt: skip
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Each pattern begins with fixed letters and overlaps itself nowhere, so that a long text costs linear time.
# What a secret looks like where no key name tells: userinfo of a URL, well-known prefixes of issued keys, bearer headers.
_SECRETS_IN_TEXT = (
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), REDACTED),
    (re.compile(r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_\-]{16,}"), REDACTED),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|xox[abprs]-|hf_|glpat-|AKIA)[A-Za-z0-9_\-]{12,}"), REDACTED),
    (re.compile(r"(?i)\bbearer\s+[A-Za-z0-9._~+/\-]{12,}=*"), f"Bearer {REDACTED}"),
    (
        re.compile(
            r"""(?i)((?:api[_-]?key|token|password|passwd|secret)['"]?\s{0,9}[=:]\s{0,9})("[^"]+"|'[^']+'|[^\s'",;]{4,})"""
        ),
        rf"\1{REDACTED}",
    ),
)


def redact(value: object) -> object:
    """The value with secrets replaced by `[redacted]`: under keys that name one (`api_key`, `accessToken`) and inside texts.

    A number under a plural (`max_tokens`) is a count and stays; so do None and booleans.
    """
    if isinstance(value, Mapping):
        return {key: REDACTED if _is_secret(str(key), inner) else redact(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact(inner) for inner in value]
    if isinstance(value, str):
        for pattern, replacement in _SECRETS_IN_TEXT:
            value = pattern.sub(replacement, value)
    return value


def _is_secret(key: str, value: object) -> bool:
    words = {word.lower() for word in _WORD.findall(key)} & _SECRET_WORDS
    if not words or value is None or isinstance(value, bool):
        return False
    return not (isinstance(value, int | float) and all(word.endswith("s") for word in words))
