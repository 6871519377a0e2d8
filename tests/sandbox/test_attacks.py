"""Does the wall hold? Every attack is judged from outside, by a process that owns the secrets, listeners and files.

`make test` runs a seeded sample in two configurations with short time limits; `make prove` all of them in all configurations, and
writes the table of docs/sandbox.md.
"""

from __future__ import annotations

import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "sandbox.md"
NOBODY = 65_534
PACKAGES = [path for path in sys.path if path.endswith("site-packages") or Path(path, "evolve").is_dir()]
SEED = 20_261_122
SHORT_S = (
    0.8  # most attacks are over in milliseconds; the others wait for the deadline, and this one is enough for that
)


def attacks() -> list[dict[str, Any]]:
    lines = [
        line
        for name in ("attacks", "own_attacks")
        for line in (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return [json.loads(line) for line in lines]


def sample(one_in: int) -> list[dict[str, Any]]:
    chosen = random.Random(SEED).sample(attacks(), len(attacks()) // one_in)
    return [{**attack, "timeout_s": min(attack["timeout_s"], SHORT_S)} for attack in chosen]


def python_for(ordinary_user: bool) -> str:
    """An interpreter that this user can run: root's own may stand where nobody else can look."""
    if not ordinary_user:
        return sys.executable
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            subprocess.run([python, "-c", ""], check=True, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/")
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    pytest.skip(f"needs a {version} that an ordinary user can run: install it, or make this checkout's readable")


@dataclass(frozen=True)
class Judged:
    """What the judge found in one configuration. reached: one line per attack that was not blocked, with its reason."""

    reached: list[str]
    attacks: int
    honest: int
    honest_ran: int


def judged(adapter: str, chosen: list[dict[str, Any]], *, ordinary_user: bool = False, honest: bool = False) -> Judged:
    """Run the harness in processes of its own, in a home of its own."""
    home = Path(tempfile.mkdtemp(prefix="ev-"))
    try:
        listed, report = home / "attacks.jsonl", home / "report.json"
        listed.write_text("".join(json.dumps(attack) + "\n" for attack in chosen), encoding="utf-8")
        command = [python_for(ordinary_user), str(HERE / "harness.py"), f"adapters:{adapter}"]
        command += ["--attacks", str(listed), "--json", str(report), *([] if honest else ["--skip-benign"])]
        if ordinary_user:
            os.chown(home, NOBODY, NOBODY)
        subprocess.run(
            command,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(HERE), *PACKAGES]),
                "EVOLVE_HOME": str(home / "home"),
                "HOME": str(home),
            },
            cwd=home,
            check=True,
            capture_output=True,
            **({"user": NOBODY, "group": NOBODY, "extra_groups": []} if ordinary_user else {}),  # type: ignore[call-overload]
        )
        found = json.loads(report.read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert len(found["attacks"]) == len(chosen)
    reached = [
        f"{case['id']}: {case['result']} ({case['status']}) {case['why']}"
        for case in found["attacks"]
        if case["result"] != "blocked"
    ]
    ran = sum(program["ok"] for program in found["benign"])
    return Judged(reached, len(chosen), len(found["benign"]), ran)


@pytest.mark.parametrize(("adapter", "one_in"), [("gate_off", 12), ("gate_on", 24)])
def test_no_attack_of_a_seeded_sample_reaches_anything(adapter: str, one_in: int) -> None:
    """More of those that meet the kernel's wall alone: the gate in front of it reads the program, and stops most at once."""
    assert judged(adapter, sample(one_in)).reached == []


TABLE_HEAD = [
    "| configuration | run by | attacks that succeeded | honest programs that ran | on |",
    "|---|---|---|---|---|",
]
CONFIGURATIONS = {
    "gate_on": "gate on; namespaces, Landlock, seccomp",
    "gate_off": "gate off; namespaces, Landlock, seccomp",
    "gate_on_no_namespaces": "gate on; Landlock, seccomp",
    "no_namespaces": "gate off; Landlock, seccomp",
    "seccomp_only": "gate off; seccomp alone",
}


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("adapter", CONFIGURATIONS)
@pytest.mark.parametrize("who", ["root", "ordinary user"])
def test_no_attack_reaches_anything(adapter: str, who: str) -> None:
    if who == "root" and os.geteuid() != 0:
        pytest.skip("run as root to see the wall as root builds it")

    found = judged(adapter, attacks(), ordinary_user=os.geteuid() == 0 and who != "root", honest=True)

    write_row(CONFIGURATIONS[adapter], who, found)
    assert found.reached == []
    assert found.honest_ran == found.honest == 21


def write_row(configuration: str, who: str, found: Judged) -> None:
    """Put this configuration's row into the table of docs/sandbox.md, in place of the one of an earlier run."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    at = f"{time.strftime('%Y-%m-%d', time.gmtime())}, {commit.stdout.strip() or 'unknown'}, Linux {platform.release().partition('-')[0]} {platform.machine()}"
    key = f"| {configuration} | {who} |"
    row = f"{key} {len(found.reached)} of {found.attacks} | {found.honest_ran} of {found.honest} | {at} |"
    before, _, rest = DOCS.read_text(encoding="utf-8").partition("<!-- attacks -->\n")
    table, _, after = rest.partition("<!-- /attacks -->")
    rows = [line for line in table.splitlines()[2:] if not line.startswith(key)]
    lines = [*TABLE_HEAD, *sorted([*rows, row], key=lambda line: (line.split(" | ")[1], line))]
    DOCS.write_text(f"{before}<!-- attacks -->\n" + "\n".join(lines) + f"\n<!-- /attacks -->{after}", encoding="utf-8")


def test_the_judge_sees_an_attack_that_succeeds() -> None:
    """Without the wall the same attacks do reach files, processes and sockets: the judge is not blind."""
    wanted = {"write_open", "net_tcp", "own_getppid"}
    chosen = [attack for attack in attacks() if attack["id"] in wanted]

    reached = judged("no_wall", chosen).reached

    assert {line.partition(":")[0] for line in reached} == wanted
