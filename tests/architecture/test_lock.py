"""Does requirements.lock still belong to pyproject.toml? `make lock` makes it anew."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from architecture.project_files import ROOT

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DECLARED = [Requirement(line) for line in [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]]


@pytest.mark.parametrize("declared", DECLARED, ids=lambda declared: str(declared.name))
def test_each_requirement_is_locked_at_a_version_it_allows(declared):
    locked = [Requirement(line) for line in LOCK.splitlines() if line]
    versions = [
        next(iter(one.specifier)).version
        for one in locked
        if canonicalize_name(one.name) == canonicalize_name(declared.name)
    ]

    assert versions, "not in the lock: run `make lock`"
    assert all(declared.specifier.contains(version) for version in versions)


def test_the_lock_pins_exactly_and_names_no_place():
    lines = [line for line in LOCK.splitlines() if line]

    assert all(re.fullmatch(r"[a-z0-9.-]+==[^ ;]+( ; .+)?", line) for line in lines)


def test_torch_is_not_locked_but_pinned_in_its_extra():
    """Its builds differ by machine: `evolve.installation` chooses one."""
    assert not re.search(r"^(torch|nvidia|cuda)\b", LOCK, re.MULTILINE)
    assert [requirement.split("==")[0] for requirement in PROJECT["project"]["optional-dependencies"]["torch"]] == [
        "torch"
    ]
