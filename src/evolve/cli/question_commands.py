"""`evolve ask`, `reproduce`, `chat`, `parse`, `history`: what they are called and what they take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evolve.cli.options import AsJson, OnlySymbol, Question, Simulate, Timeout


def ask(
    question: Question,
    as_json: AsJson = False,
    simulate: Simulate = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Ask no language model; use what one said before to the same words.")
    ] = False,
    timeout: Timeout = None,
) -> None:
    """Answer a question in plain English, with evidence."""
    from evolve.cli import app
    from evolve.contracts.quant_gpt import ProcessQuery

    app._ask(ProcessQuery, {"query": question, "simulate": simulate, "replay": replay}, as_json, timeout)


def reproduce(
    answer: Annotated[str, typer.Argument(help="An answer's id, or the FILE.")],
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Answer an earlier question again and compare every figure: by the answer's ID, or a FILE made with `ask --json`."""
    import json

    from evolve.cli import app
    from evolve.contracts.quant_gpt import ProcessQuery
    from evolve.errors import InvalidRequest

    fields: dict[str, Any] = {"query": "", "reproduce": answer}
    path = Path(answer)
    try:
        if path.is_file():
            document = json.loads(path.read_text(encoding="utf-8"))
            fields = {"query": "", "document": document.get("answer") or document}
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
        raise InvalidRequest(f"{path} is not an answer: make one with `evolve ask … --json > {path}`") from None
    except OSError as error:
        raise InvalidRequest(f"cannot read {answer[:80]}: {error.strerror}") from None
    app._ask(ProcessQuery, fields, as_json, timeout)


def chat(
    resume: Annotated[bool, typer.Option("--continue", help="Go on with the last conversation.")] = False,
    session: Annotated[
        str | None, typer.Option("--session", metavar="NAME", help="A conversation by name, new or old.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask one question after the other; follow-ups lean on the ones before, "forget it" ends that."""
    from evolve.chat import converse

    raise typer.Exit(converse(session=session, resume=resume, as_json=as_json))


def parse(
    question: Annotated[str | None, typer.Argument(help="In plain English.")] = None,
    as_json: AsJson = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Read {id, query, context[]} lines from standard input.")
    ] = False,
    score: Annotated[
        Path | None, typer.Option("--score", metavar="FILE", help="Score against labelled queries.")
    ] = None,
) -> None:
    """What a question is understood as; runs nothing."""
    from evolve.cli.parse import run

    run(question, as_json=as_json, jsonl=jsonl, score=score)


def history(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    symbol: OnlySymbol = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what the services asked of each other to answer it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What was asked and decided, newest first."""
    from evolve.cli.history import run

    run(limit, symbol, everything=everything, as_json=as_json)
