"""`evolve data …`: what it is called and what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolve.cli.options import AsJson, Simulate, SymbolArgument, TimeframeOption

data_app = typer.Typer(help="Bars: what there is, and your own.", no_args_is_help=True, rich_markup_mode=None)


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """Symbols at hand, and where their bars come from."""
    from evolve.cli.data import list_symbols

    list_symbols(as_json=as_json)


@data_app.command("show")
def data_show(
    symbol: SymbolArgument, timeframe: TimeframeOption = None, simulate: Simulate = False, as_json: AsJson = False
) -> None:
    """Range, source, notes and last bars of a symbol."""
    from evolve.cli.data import show

    show(symbol, timeframe, simulate=simulate, as_json=as_json)


@data_app.command("fetch")
def data_fetch(
    symbol: SymbolArgument,
    source: Annotated[
        str, typer.Option("--source", help="alpaca ccxt polygon stooq tiingo yfinance; it answers or fails.")
    ],
    timeframe: Annotated[str, typer.Option("--timeframe", help="1m 5m 15m 30m 1h 4h 1d 1w.")] = "1d",
    first: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="Default: far enough for evidence.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Inclusive. Default: today.")] = None,
    allow_gaps: Annotated[bool, typer.Option("--allow-gaps", help="Keep bars though sessions are missing.")] = False,
    replacing: Annotated[bool, typer.Option("--replace", help="Give up bars that are kept already.")] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Ask again though an answer is at hand.")] = False,
    as_json: AsJson = False,
) -> None:
    """Get bars from a data service and keep them."""
    from evolve.cli.data import fetch

    fetch(
        symbol,
        source,
        timeframe,
        first,
        last,
        allow_gaps=allow_gaps,
        replacing=replacing,
        anew=anew,
        as_json=as_json,
    )


@data_app.command("check")
def data_check(
    symbol: SymbolArgument,
    timeframe: TimeframeOption = None,
    simulate: Simulate = False,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw the chart to a picture too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Gaps, bad ticks and other trouble in a symbol's bars, with a chart; exit code 1 for bad data."""
    from evolve.cli.data import check

    raise typer.Exit(check(symbol, timeframe, simulate=simulate, png=png, as_json=as_json))


@data_app.command("remove")
def data_remove(symbol: SymbolArgument, timeframe: TimeframeOption = None, as_json: AsJson = False) -> None:
    """Forget imported or fetched bars; a symbol of the bundled sample shows that again."""
    from evolve.cli.data import remove

    remove(symbol, timeframe, as_json=as_json)


@data_app.command("import")
def data_import(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet.")],
    symbol: Annotated[str, typer.Option("--symbol", help="What to call it.")],
    timeframe: Annotated[str | None, typer.Option("--timeframe", help="Default: found from the stamps.")] = None,
    currency: Annotated[str, typer.Option(help="Of the prices.")] = "USD",
    as_json: AsJson = False,
) -> None:
    """Add your own bars from a CSV or Parquet file."""
    from evolve.cli.data import import_bars

    import_bars(file, symbol, timeframe, currency, as_json=as_json)
