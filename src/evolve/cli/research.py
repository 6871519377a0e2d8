"""`evolve research …`: papers and repositories found, read and tried, as a terminal shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape

from evolve.cli.app import _send as send
from evolve.cli.sandbox import program, visible
from evolve.cli.show import console, print_json
from evolve.contracts.research import (
    MAX_TEXT,
    AddResearchNote,
    GenerateCode,
    GetResearchLog,
    SearchArxiv,
    SearchGithub,
    SummarizePaper,
)
from evolve.errors import InvalidRequest, TooLarge
from evolve.evidence import render, render_interval
from evolve.findings import CodeSuggestion, Paper, PaperSummary, Replication, Repository


def search(
    query: str, where: str, limit: int, *, language: str, category: str, as_json: bool, timeout: float | None
) -> None:
    """Raises InvalidRequest for another place than GitHub and arXiv."""
    if where == "github":
        reply = send(SearchGithub, {"query": query, "max_results": limit, "language": language}, timeout)
    elif where == "arxiv":
        reply = send(SearchArxiv, {"query": query, "max_results": limit, "category": category}, timeout)
    else:
        raise InvalidRequest(f"--in takes github or arxiv, not {where[:40]!r}")
    if as_json:
        print_json(reply)
        return
    output = console()
    output.print(f"{reply.count} from {reply.source}, as of {reply.as_of}")
    if reply.note:
        output.print(_plain(reply.note), style="yellow")
    for number, found in enumerate(reply.results, start=1):
        output.print(f"{number:>3}. {_plain(_titled(found))}", style="bold")
        output.print(f"     {_plain(found.url)} · {_plain(_dated(found))}")
        output.print(f"     {found.tag} · {found.score:.2f}: {_plain('; '.join(found.reasons))}", style="dim")
    _say_next(reply.count, where, offline=reply.source == "library")


def _say_next(count: int, where: str, *, offline: bool) -> None:
    """What to type next."""
    output = console()
    if count:
        output.print(
            "Read one: evolve research paper ID; try it: evolve research replicate ID --symbol MSFT", style="dim"
        )
    elif offline:
        output.print("Without a network a paper can be a file: evolve research paper FILE", style="dim")
    elif where == "arxiv":
        output.print(
            "Fewer words or --category '' may find more",
            style="dim",
        )
    else:
        output.print("Fewer words or --language '' may find more", style="dim")


def paper(reference: str, *, as_json: bool, timeout: float | None) -> None:
    reply = send(SummarizePaper, _paper_fields(reference), timeout)
    print_json(reply) if as_json else _show_summary(reply.summary)


def replicate(
    reference: str,
    describe: str,
    symbol: str | None,
    timeframe: str,
    *,
    second: str | None,
    writer: str,
    simulate: bool,
    as_json: bool,
    timeout: float | None,
) -> None:
    """A file is its own description; anything else is looked up by the service."""
    text = _text_of(reference)
    fields: dict[str, Any] = {
        "description": f"{describe}\n\n{text}".strip() if text else describe or "The strategy of the paper.",
        "paper_reference": None if text else reference,
        "implementation_type": "strategy",
        "symbol": symbol,
        "timeframe": timeframe,
        "simulate": simulate,
        "second_symbol": second,
        "writer": writer,
    }
    reply = send(GenerateCode, fields, timeout)
    print_json(reply) if as_json else _show_suggestion(reply.code_suggestion)


def log(tags: list[str], limit: int, note: tuple[str, str] | None, *, as_json: bool) -> None:
    if note is not None:
        send(AddResearchNote, {"entry_id": note[0], "note": note[1]}, None)
    reply = send(GetResearchLog, {"tags": tags, "limit": limit}, None)
    if as_json:
        print_json(reply)
        return
    output = console()
    if not reply.log:
        output.print("the research log is empty" if not tags else "no entry carries all of these tags")
    for entry in reply.log:
        output.print(f"{entry.entry_id}  {entry.at}  {entry.kind:<6}  {_plain(entry.title)}", style="bold")
        output.print(
            f"    tags {_plain(', '.join(entry.tags)) or 'none'}; links {_plain(', '.join(entry.links[:5])) or 'none'}"
        )
        for each in entry.notes:
            output.print(f"    note: {_plain(each)}")


def _paper_fields(reference: str) -> dict[str, Any]:
    text = _text_of(reference)
    if text:
        return {"paper_abstract": text, "paper_title": Path(reference).stem}
    if " " not in reference.strip() and ("/" in reference or "." in reference):
        return {"paper_url": reference}
    return {"paper_title": reference}


def _text_of(reference: str) -> str:
    """The text of a file; empty where the reference is none. Raises InvalidRequest, TooLarge."""
    path = Path(reference)
    try:
        if not path.is_file():
            return ""
    except OSError:  # longer than a path may be
        return ""
    text = program(path)
    if len(text) > MAX_TEXT:
        raise TooLarge(
            f"{path} has {len(text):,} characters; at most {MAX_TEXT:,} are read: give its abstract and method"
        )
    return text


def _titled(found: Repository | Paper) -> str:
    if isinstance(found, Repository):
        return f"{found.full_name} ({found.stars:,} stars, {found.language or 'no language'}, licence {found.licence})"
    withdrawn = "WITHDRAWN: " if found.withdrawn else ""
    by = f"{', '.join(found.authors[:2])}{' and others' if len(found.authors) > 2 else ''}"
    return f"{withdrawn}{found.title} ({by}, arXiv {found.arxiv_id}v{found.version})"


def _dated(found: Repository | Paper) -> str:
    """Dates, categories and licence; a licence that was never asked for is not said to be missing."""
    if isinstance(found, Repository):
        return f"last push {found.pushed_at[:10] or 'unknown'}"
    changed = f", changed {found.updated[:10]}" if found.version > 1 else ""
    licence = f"licence {found.licence}" if found.licence else "licence: shown when the paper is read"
    return f"submitted {found.published[:10] or 'unknown'}{changed} · {' '.join(found.categories)} · {licence}"


def _show_summary(summary: PaperSummary) -> None:
    output = console()
    output.print(_plain(summary.title), style="bold")
    output.print(
        f"{_plain(summary.source)} · read: {summary.read} · {summary.as_of} · {summary.tag} · licence {_plain(summary.licence)}"
    )
    if summary.versions or summary.categories:
        output.print(
            f"versions {_plain(', '.join(summary.versions)) or 'unknown'} · {_plain(' '.join(summary.categories))}"
        )
    for note in summary.notes:
        output.print(f"• {_plain(note)}", style="yellow")
    if summary.overview:
        output.print(f"\nIn the words of {_plain(summary.by)}, resting on sentences of the text", style="bold")
    for statement in summary.overview:
        output.print(f"  {_plain(statement.text)}")
        for source in statement.sources:
            output.print(f"      “{_plain(source)}”", style="dim")
    for heading, quotes in (
        ("Claims", summary.claims),
        ("Data", summary.data),
        ("Method", summary.method),
        ("Caveats", summary.caveats),
    ):
        if quotes:
            output.print(f"\n{heading}, in its own words", style="bold")
        for quote in quotes:
            output.print(f"  “{_plain(quote.sentence)}”")
    if summary.claimed:
        output.print("\nFigures it states; nothing of this was tested here", style="bold")
    for figure in summary.claimed:
        output.print(f"  {figure.name} {render(figure)}: {_plain(figure.note)}")
        output.print(f"      {_plain(figure.computed)}", style="dim")


def _show_suggestion(suggestion: CodeSuggestion) -> None:
    output = console()
    output.print(suggestion.code, markup=False, soft_wrap=True)
    output.print(f"written by {_plain(suggestion.by) or 'a template of the library'}")
    for note in suggestion.notes:
        output.print(f"• {_plain(note)}", style="yellow")
    output.print("; ".join(_plain(reason) for reason in suggestion.reasons), style="bold")
    for setting in suggestion.settings:
        said = f" (“{_plain(setting.said)}”)" if setting.said else ""
        output.print(f"  {setting.name} = {setting.value}, {setting.origin}{said}")
    for repair in suggestion.repairs:
        output.print(f"  repaired: {_plain(repair)}", style="yellow")
    for check in suggestion.checks:
        word = "not tried" if check.passed is None else "passed" if check.passed else "FAILED"
        output.print(f"  {check.name} {word}: {_plain(check.detail)}", style="" if check.passed else "red")
    if suggestion.replication is None:
        output.print(
            "\nFailing: it did not get through its checks, so nothing is said about the claim", style="bold red"
        )
    else:
        _show_replication(suggestion.replication)


def _show_replication(found: Replication) -> None:
    output = console()
    if found.data.startswith("SIMULATED"):
        output.print(
            "SIMULATED DATA: invented prices; nothing below is a view on the market", style="bold white on red"
        )
    output.print(f"\n{found.status}: {_plain(found.headline)}", style="bold")
    output.print(f"  {found.symbol} {found.timeframe}: {_plain(found.data)}; costs {found.costs}")
    for figure in found.claimed:
        output.print(f"  claimed     {figure.name:<20} {render(figure)} ({_plain(figure.note)})")
    for figure in found.reproduced:
        interval = render_interval(figure)
        output.print(
            f"  reproduced  {figure.name:<20} {render(figure)}{f' ({interval})' if interval else ''}  of {figure.of}"
        )
    output.print(f"  verdict     {_plain(found.verdict)}")
    for caveat in found.caveats:
        output.print(f"• {_plain(caveat)}", style="dim")


def _plain(text: str) -> str:
    """Text of others without anything that a terminal would obey."""
    return escape(visible(text))
