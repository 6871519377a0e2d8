"""What does a person at a terminal talk to? A prompt with history, completion, progress and cancel; a conversation can be resumed."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from evolve.errors import EvolveError
from evolve.quant_gpt import EXAMPLES, QuantGPT

PROMPT = "💬 Query: "
LEAVE = ("quit", "exit", "q")
FORGET = "forget it"
KEPT_LINES = 1_000


def converse(*, session: str | None = None, resume: bool = False, as_json: bool = False) -> int:
    """Read questions until `quit`, `exit`, `q` or the end of input; questions of one conversation inherit from each other.

    as_json: each answer as a line of JSON. session: the conversation's name; resume: the last one of this home. What was said survives restarts of prompt and services.
    """
    from evolve.cli.show import show_query_result, watch

    try:
        gpt = QuantGPT()
        place = gpt.settings.home / "chat"
        name = _named(session, resume, place)
    except EvolveError as error:
        print(f"{error.message} · {error.help}", file=sys.stderr)
        return 1
    print(f'Conversation {name}: "{FORGET}" starts over, Ctrl-C cancels, {LEAVE[0]} leaves.', file=sys.stderr)
    with gpt, _line_editing(place):
        while True:
            try:
                query = input(PROMPT).strip()
            except (EOFError, KeyboardInterrupt):
                print()
                break
            if query.lower() in LEAVE:
                break
            if not query:
                continue
            try:
                with watch() as on_progress:
                    result = gpt.process_query(query, session=name, on_progress=on_progress)
                if as_json:
                    print(json.dumps(result, ensure_ascii=False), flush=True)
                else:
                    show_query_result(result)
            except KeyboardInterrupt:
                # The client has withdrawn the request by now: the job behind it is gone too.
                print("cancelled; ask something else", file=sys.stderr)
    print(f"`evolve chat --session {name}` goes on with this conversation", file=sys.stderr)
    return 0


def _named(session: str | None, resume: bool, place: Path) -> str:
    """The conversation's name, noted as the last one; without a place to note it, it can still be resumed by name."""
    last = place / "last"
    name = session or (_text(last) if resume else "") or uuid.uuid4().hex[:8]
    with contextlib.suppress(OSError):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        last.write_text(name, encoding="utf-8")
    return name


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


@contextlib.contextmanager
def _line_editing(place: Path) -> Iterator[None]:
    """Arrow keys, the lines of earlier runs, and Tab; a Python without readline reads plain lines."""
    try:
        import readline
    except ImportError:
        yield
        return
    lines = place / "lines"
    with contextlib.suppress(OSError):
        if lines.exists():
            readline.read_history_file(lines)
    readline.set_history_length(KEPT_LINES)
    _complete_with(readline, completer())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(lines)
            os.chmod(lines, 0o600)


def _complete_with(readline: ModuleType, complete: Callable[[str, int], str | None]) -> None:
    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n,;:?!()")
    # macOS ships libedit under the same name, with another language.
    is_libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")


def completer() -> Callable[[str, int], str | None]:
    """Completes the word under the cursor to a symbol, a model family, a timeframe or a command; at an empty line, to an example."""
    from evolve.language.gazetteer import gazetteer
    from evolve.market.types import SPECIFIED_PERIODS, SPECIFIED_TIMEFRAMES

    words = sorted(
        {
            *gazetteer().instruments,
            *SPECIFIED_TIMEFRAMES,
            *SPECIFIED_PERIODS,
            "ridge",
            "xgboost",
            "lstm",
            FORGET,
            *LEAVE,
        }
    )

    def complete(typed: str, state: int) -> str | None:
        found = list(EXAMPLES) if not typed else [word for word in words if word.lower().startswith(typed.lower())]
        return found[state] if state < len(found) else None

    return complete
