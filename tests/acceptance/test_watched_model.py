"""Does the run that docs/updating.md shows go from drift to rollback, each step for its reason?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.prove
def test_a_watched_model_goes_through_drift_retraining_shadow_promotion_and_rollback():
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "watched_model.py")], capture_output=True, text=True, check=True
    )

    said = done.stdout
    story = [
        "it turns around", "retrained", "drift: ", "challenged", "promoted", "not worse than the champion",
        "replace_model success=False", "replace_model success=True, forced=True", "rolled_back", "in charge",
    ]  # fmt: skip
    places = [said.index(words) for words in story]
    assert places == sorted(places)
    assert done.stderr == ""
