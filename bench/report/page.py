"""Where do measured figures go? Into their own section of `docs/performance.md`, between two markers.

The text around the markers is written by hand; what stands between them is replaced by whoever measures.
"""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def write_section(page: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`. SystemExit when the page lacks the markers."""
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended):
        raise SystemExit(f"{page} needs the lines {opening} and {closing}: the figures go between them")
    page.write_text(f"{before}{opening}\n{text.strip()}\n{closing}{after}", encoding="utf-8")


def provenance() -> str:
    """One line: date, commit, machine and Python of a measurement."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}, {processor()}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def commit() -> str:
    """The short commit id, and "with changes" when the checkout differs from it."""
    try:
        short = _git("rev-parse", "--short", "HEAD")
        return f"{short} with changes" if _git("status", "--porcelain", "--", "src", "bench") else short
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def load() -> str:
    """The load averages: what others did with the machine meanwhile."""
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()
