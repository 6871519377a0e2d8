"""Is this machine fit for it: versions, directories, disk, clock, the wall around programs, torch, the pages?"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from evolve.manager.doctor.finding import Finding, fail, ok, warning
from evolve.settings import Settings
from evolve.version import VERSION, library_versions

PACKAGE = "evolve-trading"
OLDEST_PYTHON = (3, 11)
LITTLE_DISK, TOO_LITTLE_DISK = (
    2 << 30,
    200 << 20,
)  # a set-up takes 2 GB; below 200 MB a day of logs and a model may not fit
WRITTEN = 1_767_225_600.0  # 2026-01-01: no clock that goes right shows less
STRONG_WALLS = ("namespaces+landlock+seccomp", "landlock+seccomp")


def versions(_settings: Settings) -> list[Finding]:
    """Python, Evolve, and the packages that it cannot do without."""
    python = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return [
            fail("versions", f"this is Python {python}; Evolve needs 3.11 or newer", "make PYTHON=python3.13 setup")
        ]
    missing = _missing_packages()
    if missing:
        return [fail("versions", f"packages are missing: {', '.join(missing)}", "`make setup` in the checkout, or `pip install evolve-trading`")]  # fmt: skip
    return [ok("versions", f"Evolve {VERSION}, Python {python}, {', '.join(library_versions())}")]


def _missing_packages() -> list[str]:
    """What the package declares for this machine and is not installed; extras aside, and markers of other systems."""
    try:
        declared = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return [PACKAGE]
    missing = []
    for line in declared:
        words, _, marker = line.partition(";")
        if "extra ==" in marker or (marker and not _is_here(marker)):
            continue
        found = re.match(r"[A-Za-z0-9._-]+", words.strip())
        if found and not _is_installed(found[0]):
            missing.append(found[0])
    return missing


def _is_here(marker: str) -> bool:
    """Whether a marker of ours holds: they are about sys_platform alone, joined by `or`."""
    tests = re.findall(r"sys_platform\s*(==|!=)\s*['\"](\w+)['\"]", marker)
    return any((sys.platform == name) is (sign == "==") for sign, name in tests)


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def home(settings: Settings) -> list[Finding]:
    """Can the home and the logs be written, and by nobody else?"""
    found = []
    for what, place in (("home", settings.home), ("logs", settings.logs)):
        there = _nearest(place)
        if not os.access(there, os.W_OK | os.X_OK) or not there.is_dir():
            variable = "EVOLVE_HOME" if what == "home" else "EVOLVE_LOG_DIR"
            found.append(fail("home", f"{place} cannot be written", f"set {variable} to a directory that you can write, or mend its owner: ls -ld {there}"))  # fmt: skip
    if settings.home.is_dir() and settings.home.stat().st_mode & 0o022:
        found.append(warning("home", f"others may write to {settings.home}: they could run programs as you", f"chmod go-w {settings.home}"))  # fmt: skip
    return found or [ok("home", f"{settings.home}, logs in {settings.logs}")]


def disk(settings: Settings) -> list[Finding]:
    free = shutil.disk_usage(_nearest(settings.home)).free
    said = f"{free / (1 << 30):.1f} GiB free where {settings.home} lies"
    mend = "free some, or set EVOLVE_HOME to another disk; `answers` in the home may be deleted at any time"
    if free < TOO_LITTLE_DISK:
        return [fail("disk", said, mend)]
    return [warning("disk", said, mend) if free < LITTLE_DISK else ok("disk", said)]


def _nearest(place: Path) -> Path:
    """The place, or the lowest directory above it that exists."""
    return next(each for each in (place.absolute(), *place.absolute().parents) if each.exists())


def clock(_settings: Settings) -> list[Finding]:
    """Does the clock go, and are there time zones? (How far it is from the server's: the check of the server.)"""
    if time.time() < WRITTEN:
        return [fail("clock", f"the clock shows {time.strftime('%Y-%m-%d')}, before this program was written", "set the clock: timedatectl set-ntp true")]  # fmt: skip
    try:
        ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError:
        return [
            fail("clock", "there are no time zones on this machine", "pip install tzdata, or apt-get install tzdata")
        ]
    return [ok("clock", f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}")]


def sandbox(_settings: Settings) -> list[Finding]:
    """What the wall around users' programs is made of, by its own self-test."""
    from evolve.sandbox.executor import SafeExecutor

    # A home of its own: a test is no run of the user's.
    with (
        tempfile.TemporaryDirectory(prefix="evolve-") as place,
        SafeExecutor(10, 256, home=Path(place), spare=1) as executor,
    ):
        level = executor.isolation_level
    if level in STRONG_WALLS:
        return [ok("sandbox", f"programs run behind {level}")]
    mend = "see docs/sandbox.md for what each level holds; Linux 5.13 or newer gives Landlock"
    if level == "refused":
        return [
            fail("sandbox", "no wall can be built here, so programs of users and language models are refused", mend)
        ]
    return [warning("sandbox", f"programs run behind {level} only", mend)]


def torch(_settings: Settings) -> list[Finding]:
    if importlib.util.find_spec("torch") is None:
        return [
            warning("torch", "torch is not installed: lstm, tcn and transformer cannot be built", "evolve setup torch")
        ]
    return [ok("torch", f"torch {importlib.metadata.version('torch')}")]


def web(_settings: Settings) -> list[Finding]:
    """Are the scripts and styles of the web pages built? Nothing is said where this Evolve has no pages."""
    found = importlib.util.find_spec("evolve.web")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    if not places or not (Path(places[0]) / "pages").is_dir():
        return []
    if not (Path(places[0]) / "static" / "manifest.json").is_file():
        return [warning("web", "the scripts and styles of the web pages are not built", "make web")]
    return [ok("web", "the web pages are built")]
