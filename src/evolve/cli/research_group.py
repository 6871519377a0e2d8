"""`evolve research …`: what it is called and what it takes."""

from __future__ import annotations

from typing import Annotated

import typer

from evolve.cli.options import AsJson, Reference, Simulate, SymbolOption, Timeout

research_app = typer.Typer(help="Papers and code: find, read, try.", no_args_is_help=True, rich_markup_mode=None)


@research_app.command("search")
def research_search(
    query: Annotated[str, typer.Argument(help="A few words.")],
    where: Annotated[str, typer.Option("--in", help="github or arxiv.")] = "arxiv",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 10,
    language: Annotated[str, typer.Option("--language", help="Of repositories; empty for any.")] = "python",
    category: Annotated[str, typer.Option("--category", help="Of papers; empty for any.")] = "q-fin.TR",
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Find papers or repositories; without a network, from the local library."""
    from evolve.cli.research import search

    search(query, where, limit, language=language, category=category, as_json=as_json, timeout=timeout)


@research_app.command("paper")
def research_paper(
    reference: Reference,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """What a paper or repository claims, in its own sentences."""
    from evolve.cli.research import paper

    paper(reference, as_json=as_json, timeout=timeout)


@research_app.command("replicate")
def research_replicate(
    reference: Reference,
    describe: Annotated[str, typer.Option("--describe", help="The strategy in words, where the text is vague.")] = "",
    symbol: SymbolOption = None,
    timeframe: Annotated[str, typer.Option("--timeframe", help="1m 5m 15m 30m 1h 4h 1d 1w.")] = "1d",
    second: Annotated[
        str | None,
        typer.Option("--second", metavar="SYMBOL", help="For a strategy of a pair: long --symbol, short this one."),
    ] = None,
    writer: Annotated[
        str,
        typer.Option("--writer", help="template, model (a language model), or auto: a model where one is configured."),
    ] = "auto",
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Write its strategy as code, test that with costs, and compare with what is claimed."""
    from evolve.cli.research import replicate

    replicate(
        reference, describe, symbol, timeframe, second=second, writer=writer, simulate=simulate, as_json=as_json, timeout=timeout
    )  # fmt: skip


@research_app.command("log")
def research_log(
    tag: Annotated[list[str] | None, typer.Option("--tag", help="May be repeated: entries carry all of them.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 20,
    note: Annotated[
        tuple[str, str] | None, typer.Option("--note", metavar="ENTRY TEXT", help="Add a note to an entry first.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What was searched, read and tried, with tags, notes and links."""
    from evolve.cli.research import log

    log(tag or [], limit, note, as_json=as_json)
