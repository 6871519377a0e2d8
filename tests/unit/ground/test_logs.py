"""Logging where nobody configured it: a script that uses Evolve as a library keeps its standard output to itself."""

from __future__ import annotations

import subprocess
import sys


def test_a_library_writes_warnings_to_stderr_and_nothing_to_standard_output() -> None:
    program = "from evolve.logs import logger; log = logger(part='x'); log.info('a run'); log.warning('an event')"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == ""
    assert "event='an event'" in done.stderr
    assert "part='x'" in done.stderr
    assert "a run" not in done.stderr
