"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="The whole reply as JSON.")]
# For what prints JSON anyway: a script need not know which commands do.
AlwaysJson = Annotated[bool, typer.Option("--json", help="It prints JSON in any case.")]
Simulate = Annotated[bool, typer.Option("--simulate", help="Use SIMULATED bars.")]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0.001, metavar="SECONDS", help="How long to wait for the reply.")
]
SymbolOption = Annotated[str | None, typer.Option("--symbol", help="Default: the model's own.")]
TimeframeOption = Annotated[
    str | None, typer.Option("--timeframe", help="1m 5m 15m 30m 1h 4h 1d 1w; default: the finest with real bars.")
]
