"""Does the specification's Dockerfile build, its base apart, and its command run? Step by step in a directory, since no daemon is at hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.seed_blocks import block
from architecture.project_files import ROOT, tracked_files
from homes import environment_of, fresh_home, until


def steps() -> list[tuple[str, str]]:
    """(instruction, arguments) of each line."""
    lines = block("FROM python:").text.splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def test_the_specifications_dockerfile_holds_only_steps_that_are_tried() -> None:
    assert [word for word, _ in steps()] == ["FROM", "COPY", "WORKDIR", "RUN", "CMD"]


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_the_specifications_dockerfile_builds_and_its_command_serves(tmp_path: Path) -> None:
    instructions = dict(steps())
    assert (
        instructions["FROM"] == "python:3.9"
    )  # the only line that is changed: Evolve needs 3.11, here it is this interpreter's
    assert instructions["COPY"] == ". /app"
    app, environment = tmp_path / "app", tmp_path / "python"
    for path in tracked_files():
        target = app / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    with fresh_home() as home:
        image = environment_of(home)
        image.pop("PYTHONPATH", None)
        image.pop("VIRTUAL_ENV", None)
        image["PATH"] = f"{environment / 'bin'}:{os.environ['PATH']}"
        built = subprocess.run(
            ["sh", "-c", instructions["RUN"]], cwd=app, env=image, capture_output=True, text=True, timeout=800, check=False
        )  # fmt: skip
        assert built.returncode == 0, built.stderr[-2000:]

        command = json.loads(instructions["CMD"])
        serving = subprocess.Popen(command, cwd=app, env=image, stderr=subprocess.DEVNULL)
        try:
            probe = ["evolve", "ping", "model_builder", "--here"]
            until(
                lambda: subprocess.run(probe, env=image, capture_output=True, check=False).returncode == 0,
                what="the service of the container", within_s=60,
            )  # fmt: skip
        finally:
            serving.terminate()
            code = serving.wait(30)
        assert code == 0
