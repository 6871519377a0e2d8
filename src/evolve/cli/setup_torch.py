"""`evolve setup torch`: the optional neural networks, for this interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

from evolve.errors import Unavailable
from evolve.installation import SetupFailed, install_torch


def run(*, cpu: bool) -> None:
    try:
        version = install_torch(Path(sys.executable), choice="cpu" if cpu else "auto")
    except SetupFailed as error:
        raise Unavailable(str(error)) from None
    print(f"torch {version} is installed; neural models work now")
