"""Writes the measured parts of docs/updating.md: what the watch does in worlds of known truth, and one run from drift to rollback.

Run: `.venv/bin/python scripts/updating.py`; about four minutes of one core.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "updating.md"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "unit" / "agents")]

from test_watched_worlds import (  # noqa: E402 - the tests assert on the same functions
    WORLDS,
    bad_rolled_back,
    better_promoted,
    drift_found_after,
    equal_promoted,
    equal_rolled_back,
    false_alarms_per_1000,
    feature_alarms_per_1000,
)

FULL = 8 * WORLDS  # where worlds are quick, more of them: a share of 5 % of 50 is known to ±3 points


def worlds_table() -> str:
    rows = [("no drift", f"{WORLDS} × 1,000 bars", "false alarms per 1,000 bars", f"{false_alarms_per_1000(range(WORLDS)):.2f}", "≤ 0.5")]  # fmt: skip
    rows.append(("SIMULATED bars of 8 symbols, whose law never changes", "8 × 1,010 bars", "times any feature is said to have moved, per 1,000 bars", f"{feature_alarms_per_1000(range(8)):.2f}", "≤ 0.5"))  # fmt: skip
    for share in (0.05, 0.1, 0.2):
        for slowly in (0, 126):
            found = drift_found_after(range(WORLDS), share=share, slowly=slowly)
            how = f"over {slowly} bars" if slowly else "at once"
            rows.append((f"a signal of {share:.0%} reverses {how}", f"{WORLDS}", "bars until the alarm: median, 90 %", f"{np.median(found):.0f}, {np.quantile(found, 0.9):.0f}", "≤ 150"))  # fmt: skip
    rows += [
        ("an equal challenger, 8 symbols pooled", f"{FULL}", "promoted", f"{equal_promoted(range(FULL)):.1%}", "≤ 5 %"),
        ("one that explains 3 % more, 8 symbols pooled", f"{WORLDS}", "promoted", f"{better_promoted(range(WORLDS)):.0%}", "≥ 80 %"),
        ("the same", f"{FULL}", "promoted", f"{better_promoted(range(FULL)):.1%}", "≥ 80 %"),
    ]  # fmt: skip
    for noise in (0.3, 0.5, 1.0):
        share, after = bad_rolled_back(range(WORLDS), noise=noise)
        rows.append((f"a forced champion that loses {noise:.0%} of the variance", f"{WORLDS}", "rolled back; median bars", f"{share:.0%}; {after:.0f}", "≥ 90 % at 50 %" if noise == 0.5 else ""))  # fmt: skip
    rows.append(("a champion as good as its predecessor", f"{4 * WORLDS}", "rolled back", f"{equal_rolled_back(range(4 * WORLDS)):.1%}", "≤ 5 %"))  # fmt: skip
    head = "| world | worlds | figure | measured | wanted |\n|---|---|---|---|---|\n"
    return head + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def run() -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "watched_model.py")], capture_output=True, text=True, check=True
    )
    return f"```\n{done.stdout.rstrip()}\n```"


def main() -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    made = f"Made on {datetime.now(UTC):%Y-%m-%d} from commit {commit.stdout.strip()}."
    text = PAGE.read_text(encoding="utf-8")
    for name, content in (("run", run()), ("worlds", worlds_table())):
        block = f"<!-- {name} -->\n{made}\n\n{content}\n<!-- /{name} -->"
        text = re.sub(rf"<!-- {name} -->.*<!-- /{name} -->", lambda _, block=block: block, text, flags=re.DOTALL)
        print(content)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
