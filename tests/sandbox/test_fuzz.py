"""Does anything a stranger can write make the service raise? The result parser, the channel and the gate, fed by machines."""

from __future__ import annotations

import ast
import importlib.util
import json
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolve.sandbox import channel, policy
from evolve.sandbox.conversation import Conversation
from evolve.sandbox.pool import Notice
from evolve.sandbox.result import MAX_DEPTH, ExecutionResult, NotData, Notes, NotStrict, Status, encode, read_value

HERE = Path(__file__).parent
pytestmark = pytest.mark.filterwarnings("ignore::SyntaxWarning")  # of the programs that are read, `1 is 1`
FEW, MANY = 200, 4_000
usual = settings(max_examples=FEW, deadline=None, suppress_health_check=list(HealthCheck))
long = settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=40,
)
ALMOST_JSON = st.one_of(
    st.binary(max_size=2000),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.tuples(JSON, st.binary(max_size=8), st.integers(0, 400)).map(
        lambda parts: _spliced(json.dumps(parts[0]).encode(), parts[1], parts[2])
    ),
    st.text(alphabet='[]{}",:\\0123456789.eE+-tfnul \u20ac\ud800', max_size=400).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    ),
)


def _spliced(text: bytes, piece: bytes, at: int) -> bytes:
    at = at % (len(text) + 1)
    return text[:at] + piece + text[at:]


# --- the result parser ---


def parses_or_says_why_not(payload: bytes) -> None:
    try:
        value = read_value(payload)
    except NotStrict:
        return
    # What was let in is JSON that can be passed on.
    orjson.dumps(value)


@usual
@given(ALMOST_JSON)
def test_bytes_of_a_stranger_are_a_value_or_a_reason(payload: bytes) -> None:
    parses_or_says_why_not(payload)


@pytest.mark.prove
@long
@given(ALMOST_JSON)
def test_many_bytes_of_a_stranger_are_a_value_or_a_reason(payload: bytes) -> None:
    parses_or_says_why_not(payload)


@usual
@given(st.integers(1, 3 * MAX_DEPTH), st.sampled_from([b"[]", b'{"":}']))
def test_depth_is_bounded_however_it_is_made(depth: int, pair: bytes) -> None:
    opening, closing = (b"[", b"]") if pair == b"[]" else (b'{"a":', b"}")
    payload = opening * depth + b"1" + closing * depth

    if depth > MAX_DEPTH + 2:
        with pytest.raises(NotStrict, match="deeper"):
            read_value(payload)
    elif depth <= MAX_DEPTH:
        read_value(payload)


# --- the encoder ---

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers() | st.dates()
    | st.datetimes() | st.timedeltas() | st.decimals() | st.fractions() | st.from_type(type),
    lambda children: st.lists(children) | st.tuples(children, children) | st.dictionaries(st.text() | st.integers(), children),
    max_leaves=20,
)  # fmt: skip


@usual
@given(VALUES)
def test_what_a_program_returns_is_strict_json_or_named_as_no_data(value: Any) -> None:
    try:
        encoded = encode(value, Notes())
    except NotData:
        return
    json.loads(encoded, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    read_value(encoded)


# --- the channel ---


@dataclass
class Stranger:
    """In place of a child: says what it was given to say, and hangs up."""

    connection: socket.socket
    killed: bool = field(default=False)

    def kill(self) -> None:
        if not self.killed:
            self.killed = True
            self.connection.close()

    def ended(self) -> Notice:
        return Notice(0, 0)

    def peak_mib(self) -> float:
        return 0.0

    def added_mib(self, peak_kib: int) -> float:
        return 0.0


KINDS = st.sampled_from([b"K", b"G", b"V", b"O", b"E", b"R", b"X", b"J", b"N", b"?", b"\0"])
PAYLOADS = st.one_of(
    ALMOST_JSON,
    JSON.map(lambda value: orjson_or_empty({"value": value, "notes": []})),
    JSON.map(lambda value: orjson_or_empty({"kind": value, "error": "x", "notes": []})),
    st.sampled_from(
        [b'{"kind":"memory","error":"x","notes":[]}', b'{"value":1,"notes":["a"]}', b'{"value":1,"notes":[1]}']
    ),
)


def orjson_or_empty(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits, half a surrogate
        return b""


FRAMES = st.lists(st.tuples(KINDS, PAYLOADS, st.none() | st.integers(0, 2**32 - 1)), max_size=12)


def ends_in_a_result(frames: list[tuple[bytes, bytes, int | None]]) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    said = b"".join(
        channel.HEADER.pack(kind, len(payload) if length is None else length) + payload
        for kind, payload, length in frames
    )
    events: list[str] = []
    talk = Conversation(
        Stranger(ours), time.monotonic() + 5, max_output_bytes=4096, events=events, memory_mb=64, timeout_s=5  # type: ignore[arg-type]
    )  # fmt: skip
    theirs.send(said[:100_000]) if said else None
    theirs.close()

    result = talk.started() or talk.outcome()
    talk.close()

    assert isinstance(result, ExecutionResult)
    assert result.status in get_args(Status)
    assert len(result.output) <= 4096
    assert len(result.error or "") < 10_000
    orjson.dumps(result.to_dict())
    if result.return_value is not None:
        assert result.status == "success"


@usual
@given(FRAMES)
def test_whatever_comes_over_the_channel_the_run_ends_with_a_status(
    frames: list[tuple[bytes, bytes, int | None]],
) -> None:
    ends_in_a_result([(channel.STARTED, b"", None), *frames])
    ends_in_a_result(frames)


@pytest.mark.prove
@pytest.mark.timeout(900)
@long
@given(FRAMES)
def test_whatever_comes_over_the_channel_many_times(frames: list[tuple[bytes, bytes, int | None]]) -> None:
    ends_in_a_result([(channel.STARTED, b"", None), *frames])


# --- the gate ---

LINES = sorted(
    {
        line.strip()
        for name in ("attacks", "own_attacks", "benign", "own_benign")
        for program in (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        for line in json.loads(program)["code"].splitlines()
        if line.strip() and len(line) < 200
    }
)
PROGRAMS = st.one_of(
    st.text(max_size=400),
    st.lists(st.sampled_from(LINES), max_size=12).map("\n".join),
    st.lists(st.sampled_from(LINES), max_size=12).map(lambda lines: "def main(d):\n" + textwrap.indent("\n".join(lines), "    ")),
    st.tuples(st.sampled_from(LINES), st.text(max_size=6), st.integers(0, 200)).map(
        lambda parts: parts[0][: parts[2]] + parts[1] + parts[0][parts[2] :]
    ),
)  # fmt: skip


def passes_or_is_refused(source: str) -> None:
    tree = policy.parse(source, "<program>")
    refusal = policy.check(tree) if isinstance(tree, ast.Module) else tree
    if refusal is not None:
        assert refusal.message
        assert 0 <= refusal.line <= source.count("\n") + source.count("\r") + source.count("\f") + 2


@usual
@given(PROGRAMS)
def test_any_text_is_a_program_or_refused_with_line_and_rule(source: str) -> None:
    passes_or_is_refused(source)


@pytest.mark.prove
@pytest.mark.timeout(900)
@long
@given(PROGRAMS)
def test_many_texts_are_programs_or_refused(source: str) -> None:
    passes_or_is_refused(source)


# --- guided by coverage ---

BY_ATHERIS = """
import sys, atheris
with atheris.instrument_imports(include=["evolve.sandbox"]):
    from evolve.sandbox import policy
    from evolve.sandbox.result import NotStrict, read_value
import ast

def once(data):
    try:
        read_value(data[1:])
    except NotStrict:
        pass
    tree = policy.parse(atheris.FuzzedDataProvider(data).ConsumeUnicode(2000), "<program>")
    if isinstance(tree, ast.Module):
        policy.check(tree)

atheris.Setup(["fuzz", "-max_total_time=60", "-timeout=5", "-rss_limit_mb=2048"], once)
atheris.Fuzz()
"""


@pytest.mark.prove
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="needs the package atheris: pip install atheris"
)
def test_a_minute_of_fuzzing_guided_by_coverage_finds_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BY_ATHERIS], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-3000:]
