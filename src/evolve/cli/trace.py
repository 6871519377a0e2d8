"""`evolve trace ID`: the life of one request and of those it led to, from the logs."""

from __future__ import annotations

import json

import typer

from evolve import logs
from evolve.errors import InvalidRequest
from evolve.manager.trace import TracedRequest, traced
from evolve.settings import Settings


def show_trace(request_id: str, as_json: bool) -> None:
    """Print it. Raises InvalidRequest where no log names the id."""
    directory = Settings.load().logs
    found = traced(logs.read(directory), request_id) if directory.is_dir() else None
    if found is None:
        raise InvalidRequest(
            f"no log in {directory} names the request {request_id[:80]!r}; `evolve bus monitor` shows ids as requests pass, "
            "and EVOLVE_LOG_DIR says where logs are"
        )
    if as_json:
        typer.echo(json.dumps(found.plain(), indent=2))
        return
    typer.echo("\n".join(_lines(found, "", "")))


def _lines(request: TracedRequest, first: str, rest: str) -> list[str]:
    took = [
        f"{name} {seconds:.3f} s"
        for name, seconds in (("waited", request.waited_s), ("worked", request.worked_s))
        if seconds is not None
    ]
    tries = [f"attempt {request.attempts}"] if request.attempts > 1 else []
    head = f"{request.service}.{request.request_type or '?'}  {', '.join([request.state, *took, *tries])}  {request.request_id}"
    lines = [first + head]
    inner = rest + ("│  " if request.children else "   ")
    lines += [
        f"{inner}{step.at[:23].replace('T', ' ')}  {step.event}{': ' * bool(step.detail)}{step.detail}"
        for step in request.steps
    ]
    for number, child in enumerate(request.children):
        last = number == len(request.children) - 1
        lines += _lines(child, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))
    return lines
