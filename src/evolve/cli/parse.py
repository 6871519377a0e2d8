"""`evolve parse`: what a question is understood as, one at a time, by the line, or scored against labels."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from evolve.errors import InvalidRequest
from evolve.language.parse import Frame
from evolve.language.parse import parse as understand


def run(question: str | None, *, as_json: bool, jsonl: bool, score: Path | None) -> None:
    if score is not None:
        _score(score)
    elif jsonl:
        for line in sys.stdin:
            if line.strip():
                print(json.dumps(_predicted(_query(line)), ensure_ascii=False), flush=True)
    elif question is None:
        raise InvalidRequest('parse needs a question, --jsonl or --score FILE: evolve parse "Should I buy AAPL now?"')
    else:
        _show(understand(question), as_json)


def _show(frame: Frame, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        print(json.dumps(asdict(frame), indent=2, ensure_ascii=False, default=str))
        return
    print(f"{frame.intent} (confidence {frame.confidence:.2f})")
    for name, slot in frame.slots.items():
        print(f"  {name}: {slot.value} ({slot.origin}: {slot.text!r})")
    if frame.rule:
        print(f"  trading rule: {frame.rule}")
    for said in filter(None, (frame.question, frame.unusable)):
        print(f"  question: {said}")


def _query(line: str) -> dict[str, Any]:
    try:
        query = json.loads(line)
        if not isinstance(query["query"], str):
            raise TypeError
    except (json.JSONDecodeError, KeyError, TypeError):
        raise InvalidRequest(
            f'each line must be {{"id": …, "query": "…", "context": […]}}, not {line.strip()[:80]!r}'
        ) from None
    return dict(query)


def _predicted(query: dict[str, Any]) -> dict[str, Any]:
    frame = understand(query["query"], query.get("context") or ())
    return {
        "id": query.get("id"),
        "intent": frame.intent,
        "symbols": list(frame.symbols),
        "timeframe": frame.timeframe,
        "period_days": frame.period_days,
        "model": frame.model,
        "side": frame.side,
    }


def _score(path: Path) -> None:
    from evolve.language.scoring import score_file

    try:
        metrics, mistakes = score_file(path)
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from None
    print(json.dumps(metrics, indent=1))
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
