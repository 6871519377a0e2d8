"""Does systemd take our units? Verified by its own tool."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from architecture.project_files import ROOT


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with the place of this environment for that of an installation: systemd looks whether the program is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (package systemd)")
    for unit in (ROOT / "deploy" / "systemd").iterdir():
        text = unit.read_text().replace("/opt/evolve/.venv/bin/python", sys.executable)
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def verified(units: Path) -> str:
    """What systemd has to say about them; "" for nothing."""
    names = [str(units / "evolve@.service"), str(units / "evolve.target")]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True, timeout=60)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "evolve" in line]
    return "\n".join(said)


def test_systemd_takes_the_units(units: Path) -> None:
    assert verified(units) == ""


def test_systemd_would_say_what_is_wrong(units: Path) -> None:
    unit = units / "evolve@.service"
    unit.write_text(unit.read_text().replace("Restart=on-failure", "Restart=sometimes"))

    assert "sometimes" in verified(units)
