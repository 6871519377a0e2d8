"""`evolve` in a shell. Importing this loads nothing heavy: `evolve --help` must be quick."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evolve.errors import EvolveError

CANCELLED = 130  # what a shell gives a program that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 for success, 1 for a typed error, 2 for wrong usage, 130 for Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ASCII terminal shows ? for an ellipsis rather than a traceback
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        # Before the command is there to cancel what it asked for, nothing has been asked.
        print("cancelled", file=sys.stderr)
        return CANCELLED


def _print_error(error: EvolveError) -> None:
    """What a script that asked for JSON reads on standard output, in the shape of an error reply."""
    import json

    data = {**error.details, "error": error.message, "code": error.code, "help": error.help}
    print(json.dumps({"type": "error", "status": "error", "data": data}, indent=2, default=str))


def _run(arguments: Sequence[str] | None) -> int:
    from evolve.cli.app import app
    from evolve.errors import EvolveError

    try:
        app(args=None if arguments is None else list(arguments))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except EvolveError as error:
        print(f"error: {error.message} · {error.help}", file=sys.stderr)
        if "--json" in (sys.argv[1:] if arguments is None else arguments):
            _print_error(error)
        service, asked = error.details.get("service"), error.details.get("asked_id")
        if service and asked and str(asked) not in error.message:
            print(f"  what you asked stays queued; its answer later: evolve reply {service} {asked}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # `evolve … | head`: the reader has enough. Python would complain once more while flushing at exit.
        sys.stderr.close()
    return 0
