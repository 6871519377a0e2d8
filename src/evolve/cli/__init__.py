"""`evolve` in a shell. Importing this loads nothing heavy: `evolve --help` must be quick."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 for success, 1 for a typed error, 2 for wrong usage, 130 for Ctrl-C."""
    import click

    from evolve.cli.app import app
    from evolve.errors import EvolveError

    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        return code if isinstance(code, int) else 0
    except EvolveError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, click.exceptions.Abort):
        print("cancelled", file=sys.stderr)
        return 130
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        # `evolve … | head`: the reader has enough. Python would complain once more while flushing at exit.
        sys.stderr.close()
        return 0
