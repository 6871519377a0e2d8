"""Who may import whom? The contracts of .importlinter, and that light parts stay light when they are really imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from architecture.project_files import ROOT, modules

HEAVY = ("numpy", "pandas", "numba", "torch", "sqlalchemy", "scipy", "matplotlib", "pyarrow", "xgboost", "sklearn")

# Started often, or in many processes, or before the first answer: a front of a service, the client, a command's help.
LIGHT = ("cli", "client", "contracts", "manager", "messaging", "services", "web", "mcp")

# Loaded by the one command that needs them, when it is run; `evolve --help` must not load them.
WORKING_COMMANDS = ("evolve.cli.data", "evolve.cli.history")

# Imports them one by one in one process and stops at the first after which something heavy is loaded.
PROBE = """
import importlib, sys
heavy = set(sys.argv[1].split(","))
for name in sys.argv[2:]:
    importlib.import_module(name)
    loaded = sorted(heavy & set(sys.modules))
    if loaded:
        sys.exit(f"importing {name} loads {', '.join(loaded)}")
"""


def light_modules(part: str) -> list[str]:
    """The modules of one light part, entry points left out: importing those runs them."""
    return [
        name
        for name in modules()
        if (name == f"evolve.{part}" or name.startswith(f"evolve.{part}."))
        and not name.endswith("__main__")
        and name not in WORKING_COMMANDS
    ]


def test_the_contracts_of_import_linter_are_kept():
    checked = subprocess.run([sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"], cwd=ROOT, capture_output=True, text=True)  # fmt: skip

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_public_package_loads_nothing_heavy():
    assert loads_heavy(["evolve"]) == ""


def test_light_parts_load_nothing_heavy():
    assert loads_heavy([name for part in LIGHT for name in light_modules(part)]) == ""


@pytest.mark.parametrize("part", LIGHT)
def test_each_light_part_has_modules(part):
    """Guards the guard: without it, a renamed folder would leave nothing to test."""
    assert light_modules(part)


def test_the_probe_sees_a_heavy_import():
    assert loads_heavy(["json", "numpy"]) == "importing numpy loads numpy"


def loads_heavy(names: list[str]) -> str:
    """Which import loads what; "" when none loads anything heavy."""
    probed = subprocess.run(
        [sys.executable, "-c", PROBE, ",".join(HEAVY), *names], cwd=ROOT, capture_output=True, text=True
    )
    return "" if probed.returncode == 0 else probed.stderr.strip()
