"""Which code is this? The version that answers, ids and logs name.

In a checkout, an answer also depends on the exact source and its word lists, so `code_version` adds a digest of them.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VERSION = "0.1.0"
LIBRARIES = ("numpy", "scipy", "torch", "xgboost", "xgboost-cpu")  # what fits models
SOURCES = ("*.py", "*.tsv")  # code, and the lists that decide what a question is understood as


@cache
def code_version() -> str:
    """`0.1.0+3f9c2a7b`: the version and a digest of the package's own source and data files; equal code, equal text."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(path for kind in SOURCES for path in root.rglob(kind)):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return f"{VERSION}+{digest.hexdigest()[:8]}"


@cache
def library_versions() -> tuple[str, ...]:
    """`("numpy 2.4.6", "torch 2.13.0")`: the libraries that fit models, those of them that are installed."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return tuple(found)
