"""Does the wall hold? Every attack is judged from outside, by a process that owns the secrets, listeners and files.

`make test` runs a seeded third in two configurations with short time limits, `make prove` all of them in all configurations.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
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


def third() -> list[dict[str, Any]]:
    chosen = random.Random(SEED).sample(attacks(), len(attacks()) // 3)
    return [{**attack, "timeout_s": min(attack["timeout_s"], SHORT_S)} for attack in chosen]


def judged(adapter: str, chosen: list[dict[str, Any]], home: Path, *command: str) -> list[str]:
    """Run the harness in processes of its own; what succeeded, and why the judge says so."""
    home.mkdir(mode=0o700, exist_ok=True)
    listed, report = home / "attacks.jsonl", home / "report.json"
    listed.write_text("".join(json.dumps(attack) + "\n" for attack in chosen), encoding="utf-8")
    subprocess.run(
        [
            *(command or (sys.executable,)),
            *(str(HERE / "harness.py"), f"adapters:{adapter}", "--skip-benign"),
            *("--attacks", str(listed), "--json", str(report)),
        ],
        env={**os.environ, "PYTHONPATH": str(HERE), "EVOLVE_HOME": str(home)},
        cwd=home,
        check=True,
        capture_output=True,
    )
    results = json.loads(report.read_text(encoding="utf-8"))["attacks"]
    assert len(results) == len(chosen)
    return [
        f"{case['id']}: {case['result']} ({case['status']}) {case['why']}"
        for case in results
        if case["result"] != "blocked"
    ]


@pytest.mark.parametrize("adapter", ["gate_on", "gate_off"])
def test_no_attack_of_a_seeded_third_reaches_anything(adapter: str, tmp_path: Path) -> None:
    assert judged(adapter, third(), tmp_path) == []


@pytest.mark.prove
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("adapter", ["gate_on", "gate_off", "no_namespaces", "seccomp_only"])
def test_no_attack_reaches_anything(adapter: str, tmp_path: Path) -> None:
    assert judged(adapter, attacks(), tmp_path) == []


def test_the_judge_sees_an_attack_that_succeeds(tmp_path: Path) -> None:
    """Without the wall the same attacks do reach files, processes and sockets: the judge is not blind."""
    wanted = {"write_open", "proc_posix_spawn", "net_tcp", "read_fileio", "own_getppid"}
    chosen = [attack for attack in attacks() if attack["id"] in wanted]

    reached = judged("no_wall", chosen, tmp_path)

    assert {line.partition(":")[0] for line in reached} == wanted
