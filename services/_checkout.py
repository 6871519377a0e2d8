"""How a script of this directory finds the package: the interpreter that has it, or the checkout's own environment."""

import importlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HINT = "Evolve is not installed for this Python; run `make setup` in {root}, or `{python} -m pip install -r {root}/requirements.txt`"


def run(module, *leading):
    """Run `module.main()` on the command line's words and exit; one sentence, no traceback, where Evolve is not installed."""
    ensure_evolve()
    sys.exit(importlib.import_module(module).main([*leading, *sys.argv[1:]]))


def ensure_evolve():
    try:
        importlib.import_module("evolve.errors")
    except ImportError:
        own = ROOT / ".venv" / "bin" / "python"
        if own.exists() and Path(sys.prefix) != ROOT / ".venv":
            os.execv(own, [str(own), *sys.argv])
        sys.exit(HINT.format(root=ROOT, python=sys.executable))
