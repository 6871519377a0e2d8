"""The code's version: changes with anything in the package that an answer depends on, and with nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import evolve.version
from evolve.version import VERSION, code_version


def test_the_version_and_a_digest_of_the_source() -> None:
    version, _, digest = code_version().partition("+")

    assert version == VERSION
    assert len(digest) == 8
    assert int(digest, 16) >= 0


def test_the_version_is_the_one_of_the_package() -> None:
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text()

    assert f'\nversion = "{VERSION}"\n' in project


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of three files with a copy of `version.py` in it."""
    package = tmp_path / "small"
    (package / "language" / "data").mkdir(parents=True)
    shutil.copy(evolve.version.__file__, package / "version.py")
    (package / "__init__.py").write_text("")
    (package / "language" / "data" / "words.tsv").write_text("up\tUP\n")
    return package


def version_of(package: Path) -> str:
    program = "from small.version import code_version; print(code_version())"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=package.parent, capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


def test_equal_code_has_an_equal_version_and_compiled_files_do_not_count(package: Path) -> None:
    before = version_of(package)
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "kernel.nbi").write_bytes(b"compiled")

    assert version_of(package) == before


@pytest.mark.parametrize("changed", ["__init__.py", "language/data/words.tsv"])
def test_a_change_of_code_or_of_its_word_lists_is_another_version(package: Path, changed: str) -> None:
    """What a sentence is understood as depends on the lists: an answer's id must change with them."""
    before = version_of(package)

    (package / changed).write_text("down = 1\n")

    assert version_of(package) != before
