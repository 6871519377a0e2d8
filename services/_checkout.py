"""How a script of this directory finds the package: the interpreter that has it, or the checkout's own environment."""

import importlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HINT = "Evolve is not installed for this Python; run `make setup` in {root}, or `{python} -m pip install -r {root}/requirements.txt`"


def run(module, *leading):
    """Run `module.main()` on the command line's words and exit."""
    own = ROOT / ".venv" / "bin" / "python"
    if not installed() and own.exists() and Path(sys.prefix) != ROOT / ".venv":
        os.execv(own, [str(own), *sys.argv])
    require_evolve()
    sys.exit(importlib.import_module(module).main([*leading, *sys.argv[1:]]))


def require_evolve():
    """End with one sentence, no traceback, where Evolve is not installed."""
    if not installed():
        sys.exit(HINT.format(root=ROOT, python=sys.executable))


def installed():
    try:
        importlib.import_module("evolve.settings")
    except ImportError:
        return False
    return True
