"""`python -m evolve`: the same as the command `evolve`."""

import sys

from evolve.cli import main

if __name__ == "__main__":
    sys.exit(main())
