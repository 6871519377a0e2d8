"""What the gate refuses, and what it must leave in peace."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.sandbox import policy


def refusal(source: str) -> policy.Refusal | None:
    tree = policy.parse(source, "<program>")
    return policy.check(tree) if isinstance(tree, ast.Module) else tree


@pytest.mark.parametrize(
    ("source", "rule", "line"),
    [
        ("x = 1\nimport os", "import", 2),
        ("import numpy, subprocess", "import", 1),
        ("from os import *", "import", 1),
        ("from random import _os", "import", 1),
        ("from . import x", "import", 1),
        ("import numpy.ctypeslib", "import", 1),
        ("def main(d):\n    return eval('1')", "builtin", 2),
        ("f = open", "builtin", 1),
        ("print(__builtins__)", "name", 1),
        ("().__class__.__base__.__subclasses__()", "attribute", 1),
        ("g.gi_frame.f_back", "attribute", 1),
        ("def (", "syntax", 1),
        ("x = '\\ud800'\nx = 1\x00", "syntax", 0),
    ],
)
def test_a_refusal_names_the_line_and_the_rule(source: str, rule: str, line: int) -> None:
    refused = refusal(source)

    assert refused is not None
    assert (refused.rule, refused.line) == (rule, line)
    assert f"[rule: {rule}]" in str(refused)


@pytest.mark.parametrize(
    "source",
    [
        "# import os; eval('x')",
        "x = 'import subprocess; __import__(\"os\")'",
        "def main(open, high, low, close): return open + close",
        "exit = True\nif exit: pass",
        "input = 3\nprint(input)",
        "class T:\n    def eval(self): return self.open",
        "from scipy import signal",
        "import pandas as pd\npd.eval('1 + 1')",
        "from __future__ import annotations",
        "x.__class__.__name__, x.__dict__, x.__doc__",
        "getattr(x, 'close'), setattr(x, 'a', 1), type(x)",
        "if __name__ == '__main__': print(1)",
    ],
)
def test_harmless_code_is_not_refused_for_a_word(source: str) -> None:
    assert refusal(source) is None


def test_the_message_says_what_to_do_instead() -> None:
    assert "pass data in input_data" in str(refusal("open('x')"))


def test_a_program_over_the_size_limit_is_refused() -> None:
    refused = refusal("#" + "x" * policy.MAX_SOURCE_BYTES)

    assert refused is not None
    assert refused.rule == "size"


@pytest.mark.parametrize(
    ("source", "size"),
    [("import numpy", "numpy"), ("import numpy, pandas", "frames"), ("from sklearn.svm import SVR", "learning")],
)
def test_the_libraries_a_program_names_choose_its_zygote(source: str, size: str) -> None:
    assert policy.wanted_zygote(source) == size


NAMES = st.sampled_from(
    ["x", "open", "eval", "os", "main", "d", "__builtins__", "__class__", "f_back", "numpy", "pd", "exec"]
)
EXPRESSIONS = st.recursive(
    NAMES | st.integers(0, 9).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, NAMES).map(lambda parts: f"({parts[0]}).{parts[1]}"),
        st.tuples(inner, inner).map(lambda parts: f"{parts[0]}({parts[1]})"),
        inner.map(lambda part: f"[{part} for x in d]"),
        inner.map(lambda part: f"(lambda d: {part})"),
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS)
def test_a_name_of_the_interpreter_never_passes_unless_the_program_defines_it(expression: str) -> None:
    tree = ast.parse(expression)
    loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    reached = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    dangerous = loaded & {"open", "eval", "exec", "__builtins__"} or reached & {"__builtins__", "f_back"}

    assert (policy.check(tree) is not None) == bool(dangerous)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_either_parsed_or_refused(source: str) -> None:
    tree = policy.parse(source, "<program>")

    assert isinstance(tree, ast.Module | policy.Refusal)
