"""`evolve setup torch`: the optional neural networks, for this interpreter."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from evolve.cli.show import busy
from evolve.errors import Unavailable
from evolve.installation import SetupFailed, install_torch


def run(*, cpu: bool, as_json: bool) -> None:
    try:
        with busy("installing torch"):
            version = install_torch(Path(sys.executable), choice="cpu" if cpu else "auto")
    except SetupFailed as error:
        raise Unavailable(str(error)) from None
    print(json.dumps({"torch": version}) if as_json else f"torch {version} is installed; neural models work now")
