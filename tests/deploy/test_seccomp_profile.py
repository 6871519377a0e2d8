"""Does the sandbox stand inside a container? Under our profile with namespaces, and without them as under a runtime's default."""

from __future__ import annotations

import ctypes.util
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from architecture.project_files import ROOT
from homes import environment_of
from sandbox.test_attacks import NOBODY, PACKAGES, python_for

PROFILE = ROOT / "deploy" / "kubernetes" / "seccomp" / "evolve-sandbox.json"

# What a runtime's default profile refuses of what the sandbox would like: making namespaces needs a capability there.
DEFAULT_REFUSES = ("unshare", "mount", "umount2", "pivot_root", "sethostname")

# As in a container: an ordinary user, no new privileges, the profile, and only then Evolve.
PROGRAM = """
import ctypes, json, os, sys
from pathlib import Path
from deploy.libseccomp import install
profile, denied = Path(sys.argv[1]), tuple(word for word in sys.argv[2].split(",") if word)
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
install(profile, denied=denied)
from evolve.sandbox.executor import SafeExecutor
with SafeExecutor(timeout_seconds=20, home=Path(sys.argv[3])) as executor:
    ran = executor.execute_model("import numpy as np\\ndef main(d): return float(np.mean(d['x']))", "mean", {"x": [1, 2, 6]})
    broke = executor.execute_model("def main(d):\\n    return open('/etc/passwd').read()", "thief", {})
    print(json.dumps([executor.isolation_level, ran.status, ran.return_value, broke.status]))
"""


@pytest.mark.prove
@pytest.mark.parametrize(
    ("denied", "level"), [((), "namespaces+landlock+seccomp"), (DEFAULT_REFUSES, "landlock+seccomp")]
)
def test_programs_run_behind_the_wall_under_a_containers_profile(
    tmp_path: Path, denied: tuple[str, ...], level: str
) -> None:
    if ctypes.util.find_library("seccomp") is None:
        pytest.skip("package libseccomp2 is not installed")
    root = os.geteuid() == 0  # a container's user is none
    place = Path(tempfile.mkdtemp(prefix="ev-"))
    try:
        if root:
            os.chown(place, NOBODY, NOBODY)
        done = subprocess.run(
            [python_for(root), "-c", PROGRAM, str(PROFILE), ",".join(denied), str(place / "home")],
            env=environment_of(place / "home", PYTHONPATH=os.pathsep.join([str(ROOT / "tests"), *PACKAGES])),
            capture_output=True,
            text=True,
            timeout=100,
            cwd="/",
            **({"user": NOBODY, "group": NOBODY, "extra_groups": []} if root else {}),  # type: ignore[call-overload]
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)

    assert done.returncode == 0, done.stderr
    found, status, value, thief = json.loads(done.stdout)
    assert (found, status, value) == (level, "success", 3.0)
    assert thief != "success"
