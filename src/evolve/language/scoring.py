"""How often is a query understood? The published metrics over labelled queries, as `evolve parse --score FILE` prints them.

A prediction is right per slot; `*_recall` counts only queries that name the slot, `*_invented` the share of queries that do not
name it for which something was filled in; `frame_exact` needs everything right. Slots of unsupported queries are not scored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evolve.errors import InvalidRequest
from evolve.language.frame import INTENTS, Frame, Intent
from evolve.language.parse import parse

_SLOTS = ("timeframe", "period_days", "model", "side")


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    """One query with the frame a person gave it. context: earlier turns, oldest first; tags only serve error analysis."""

    id: str
    query: str
    intent: Intent
    symbols: tuple[str, ...]
    timeframe: str | None
    period_days: int | None
    model: str | None
    side: str | None
    lang: str = "en"
    tags: tuple[str, ...] = ()
    context: tuple[str, ...] = ()


def read_labelled(path: Path) -> tuple[LabelledQuery, ...]:
    """The labelled queries of a JSON-lines file. Raises InvalidRequest naming the line that is not one."""
    queries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            queries.append(
                LabelledQuery(
                    id=row["id"],
                    query=row["query"],
                    intent=row["intent"],
                    symbols=tuple(row["symbols"]),
                    timeframe=row["timeframe"],
                    period_days=row["period_days"],
                    model=row["model"],
                    side=row["side"],
                    lang=row.get("lang", "en"),
                    tags=tuple(row.get("tags", ())),
                    context=tuple(row.get("context", ())),
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidRequest(
                f"{path.name}, line {number} is no labelled query ({error}); it needs id, query, intent, symbols, timeframe, "
                "period_days, model and side"
            ) from error
        if queries[-1].intent not in INTENTS:
            raise InvalidRequest(
                f"{path.name}, line {number}: intent {queries[-1].intent!r} is none of {', '.join(INTENTS)}"
            )
    return tuple(queries)


def score(frames: Sequence[Frame], gold: Sequence[LabelledQuery]) -> dict[str, float]:
    """The metrics of frames against their labels, pairwise; three decimals, `n` the number of queries."""
    right: Counter[str] = Counter()
    of: Counter[str] = Counter()
    hits = spurious = missed = exact = 0
    for frame, label in zip(frames, gold, strict=True):
        of["intent"] += 1
        right["intent"] += frame.intent == label.intent
        if label.intent == "unsupported":
            exact += frame.intent == "unsupported"
            continue
        found, wanted = set(frame.symbols), set(label.symbols)
        hits, spurious, missed = (
            hits + len(found & wanted),
            spurious + len(found - wanted),
            missed + len(wanted - found),
        )
        of["symbols_exact"] += 1
        right["symbols_exact"] += found == wanted
        whole = frame.intent == label.intent and found == wanted
        for slot in _SLOTS:
            got, want = getattr(frame, slot), getattr(label, slot)
            of[slot] += 1
            right[slot] += got == want
            whole = whole and got == want
            if want is not None:
                of[f"{slot}_recall"] += 1
                right[f"{slot}_recall"] += got == want
            else:
                of[f"{slot}_invented"] += 1
                right[f"{slot}_invented"] += got is not None
        exact += whole
    metrics = {name: round(right[name] / of[name], 3) for name in of}
    metrics["symbol_f1"] = round(2 * hits / (2 * hits + spurious + missed), 3) if hits else 0.0
    metrics["frame_exact"] = round(exact / len(gold), 3) if gold else 0.0
    metrics["n"] = len(gold)
    return metrics


def mistakes(frames: Iterable[Frame], gold: Iterable[LabelledQuery]) -> list[str]:
    """One line per query that was not understood whole: what was got and what was wanted."""
    lines = []
    for frame, label in zip(frames, gold, strict=True):
        wrong = [] if frame.intent == label.intent else [f"intent {frame.intent} for {label.intent}"]
        if label.intent != "unsupported":
            if set(frame.symbols) != set(label.symbols):
                wrong.append(f"symbols {list(frame.symbols)} for {list(label.symbols)}")
            wrong += [
                f"{slot} {getattr(frame, slot)} for {getattr(label, slot)}"
                for slot in _SLOTS
                if getattr(frame, slot) != getattr(label, slot)
            ]
        if wrong:
            lines.append(f"{label.id} {label.query!r}: {'; '.join(wrong)}")
    return lines


def score_file(path: Path, parser: Callable[[str, Sequence[str]], Frame] = parse) -> tuple[dict[str, float], list[str]]:
    """Metrics and mistakes of the parser over a file of labelled queries."""
    gold = read_labelled(path)
    frames = [parser(label.query, label.context) for label in gold]
    return score(frames, gold), mistakes(frames, gold)
