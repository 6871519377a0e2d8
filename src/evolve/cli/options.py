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

# Arguments that several commands take.
ModelId = Annotated[str, typer.Argument(help="A model's id; `evolve models` lists them.")]
ModelType = Annotated[str, typer.Argument(help="ridge xgboost lstm tcn transformer ensemble ets naive drift.")]
SymbolArgument = Annotated[str, typer.Argument(help="Such as AAPL or BTCUSDT; `evolve data list` shows them.")]
ServiceName = Annotated[str, typer.Argument(help="Such as model_builder; `evolve status` lists them.")]
RequestId = Annotated[str, typer.Argument(help="As its error, the logs or `evolve bus monitor` name it.")]
DeadEntry = Annotated[str, typer.Argument(help="As `evolve bus dead list` shows it.")]
Reference = Annotated[str, typer.Argument(help="An address, an arXiv id, owner/repository, a title or a file.")]
Question = Annotated[str, typer.Argument(help='In plain English: "Give me the best model for AAPL over 90 days".')]
RuleName = Annotated[str, typer.Argument(help="As `evolve alerts list` shows it.")]

# Options that several commands take.
Period = Annotated[str, typer.Option("--period", help="The stretch to show and score: 90d, 12w, 6m, 1y.")]
Daily = Annotated[str, typer.Option("--timeframe", help="1m 5m 15m 30m 1h 4h 1d 1w.")]
Reason = Annotated[str, typer.Option("--reason", help="It is put on record.")]
OnlySymbol = Annotated[str | None, typer.Option("--symbol", help="Only of this one.")]
OnlyTimeframe = Annotated[str | None, typer.Option("--timeframe", help="Only at this one.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same one gives the same model, bit for bit.")]
Theme = Annotated[str, typer.Option("--theme", help="light or dark.")]
