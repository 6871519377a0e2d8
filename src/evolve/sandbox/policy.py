"""Would this program be refused, and why? The gate: a good message before anything runs.

It reads the program's syntax tree, so a word in a string or a comment is never mistaken for code. It is not the wall: any
list of harmless names that holds numpy gives away `open` and `os` by a hundred paths. What gets past it meets the kernel
(see `limits`), and the tests run every attack with the gate off as well.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from itertools import islice
from typing import Literal

Rule = Literal["syntax", "size", "import", "builtin", "attribute", "name"]

MAX_SOURCE_BYTES = 1 << 20
MAX_NODES = 200_000

ALLOWED_MODULES = frozenset(
    """__future__ abc array base64 binascii bisect calendar cmath collections contextlib copy csv dataclasses datetime dateutil
    decimal difflib enum fractions functools graphlib hashlib heapq hmac html io itertools joblib json keyword locale logging
    math numbers numpy operator pandas pprint queue random re reprlib scipy secrets sklearn statistics string struct
    textwrap time timeit traceback types typing typing_extensions unicodedata uuid warnings weakref zlib zoneinfo""".split()
)
ENTRY_POINTS = ("main", "run_model", "execute")

_FILES = "the sandbox has no files: pass data in input_data and return what you compute"
_PROCESSES = "the sandbox has no processes, threads or operating system"
_NETWORK = "the sandbox has no network: pass data in input_data"
_NATIVE = "the sandbox runs Python only, no native code"
_DYNAMIC = "code that makes code cannot be checked: write it out"
# Why a module is not there, for those that programs really ask for.
REASONS = {
    **dict.fromkeys("os sys subprocess multiprocessing threading signal concurrent asyncio pty resource sched gc".split(), _PROCESSES),
    **dict.fromkeys("pathlib shutil tempfile glob fileinput sqlite3 mmap zipfile tarfile gzip bz2 lzma".split(), _FILES),
    **dict.fromkeys("socket ssl http urllib requests httpx aiohttp ftplib smtplib yfinance websocket".split(), _NETWORK),
    **dict.fromkeys("ctypes cffi numba cython mmap".split(), _NATIVE),
    **dict.fromkeys("importlib builtins inspect code codeop ast pickle marshal shelve dill runpy pkgutil imp".split(), _DYNAMIC),
    **dict.fromkeys("matplotlib plotly seaborn".split(), "the sandbox draws nothing: return the data and plot it outside"),
    **dict.fromkeys("torch tensorflow keras xgboost lightgbm statsmodels talib".split(), "not among the sandbox's libraries (numpy, pandas, scipy, scikit-learn)"),
}  # fmt: skip
FORBIDDEN_BUILTINS = {
    **dict.fromkeys(("eval", "exec", "compile", "__import__", "globals", "vars"), _DYNAMIC),
    "open": _FILES,
    "input": "nobody answers: pass values in input_data",
    "breakpoint": "there is no debugger in the sandbox",
    "help": "there is no pager in the sandbox",
    "exit": "return from main instead",
    "quit": "return from main instead",
}
INTERPRETER_NAMES = frozenset("__builtins__ __loader__ __spec__ __build_class__".split())
# The ways from a value to the interpreter's insides.
FORBIDDEN_ATTRIBUTES = frozenset(
    """__globals__ __builtins__ __subclasses__ __bases__ __base__ __mro__ __code__ __closure__ __loader__ __spec__
    __reduce__ __reduce_ex__ __getattribute__ __import__ __traceback__ tb_frame tb_next f_back f_globals f_locals f_builtins
    f_code gi_frame gi_code cr_frame cr_code ag_frame ag_code ctypeslib f2py""".split()
)


@dataclass(frozen=True)
class Refusal:
    """Why a program was not run: the rule, the line (1-based; 0 where none) and a sentence."""

    rule: Rule
    line: int
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.message} [rule: {self.rule}]"


def parse(source: str, filename: str) -> ast.Module | Refusal:
    """The syntax tree, or why there is none. Deep nesting can end the process: only a locked-down child may call it."""
    if len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE_BYTES:
        return Refusal("size", 0, f"the program is longer than {MAX_SOURCE_BYTES >> 10} KiB")
    try:
        return ast.parse(source, filename=filename)
    except SyntaxError as error:
        return Refusal("syntax", error.lineno or 0, f"not valid Python: {error.msg}")
    except UnicodeEncodeError:
        return Refusal("syntax", 0, "not valid Python: half a surrogate pair in the text")
    except ValueError as error:
        return Refusal("syntax", 0, f"not valid Python: {error}")
    except (RecursionError, MemoryError):
        return Refusal("size", 0, "the program is nested too deeply to be read")


def check(tree: ast.Module) -> Refusal | None:
    """The first thing in the program that the gate refuses, by line; None for a program it lets pass."""
    nodes = list(islice(ast.walk(tree), MAX_NODES + 1))
    if len(nodes) > MAX_NODES:
        return Refusal("size", 0, f"the program has more than {MAX_NODES:,} parts")
    own = _own_names(nodes)
    refusals: list[Refusal] = []
    for node in nodes:
        refusal = _refusal_of(node, own)
        if refusal is not None:
            refusals.append(refusal)
    return min(refusals, key=lambda refusal: refusal.line, default=None)


def _own_names(nodes: list[ast.AST]) -> set[str]:
    """Names the program gives to things of its own: `open, high, low, close = bar` is no file, `exit = price < stop` no end."""
    own: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            own.add(node.name)
    return own


def _refusal_of(node: ast.AST, own: set[str]) -> Refusal | None:
    if isinstance(node, ast.Import):
        for alias in node.names:
            if (refusal := _import(alias.name, node.lineno)) is not None:
                return refusal
    elif isinstance(node, ast.ImportFrom):
        if node.level:
            return Refusal("import", node.lineno, "a relative import has nothing to be relative to here")
        return _import(node.module or "", node.lineno) or _imported_names(node)
    elif isinstance(node, ast.Name):
        if node.id in FORBIDDEN_BUILTINS and node.id not in own:
            return Refusal("builtin", node.lineno, f"`{node.id}` is not allowed: {FORBIDDEN_BUILTINS[node.id]}")
        if node.id in INTERPRETER_NAMES:
            return Refusal("name", node.lineno, f"`{node.id}` belongs to the interpreter, not to the program")
    elif isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_ATTRIBUTES:
        return Refusal("attribute", node.lineno, f"`.{node.attr}` reaches into the interpreter")
    return None


def _import(module: str, line: int) -> Refusal | None:
    top = module.partition(".")[0]
    if top in ALLOWED_MODULES and not FORBIDDEN_ATTRIBUTES.intersection(module.split(".")):
        return None
    reason = REASONS.get(top, "not among the sandbox's modules")
    return Refusal("import", line, f"`import {module}` is not allowed: {reason}")


def _imported_names(node: ast.ImportFrom) -> Refusal | None:
    """`from random import _os`: a module's private names and other modules behind it."""
    if node.module == "__future__":
        return None
    for alias in node.names:
        if alias.name in FORBIDDEN_ATTRIBUTES or alias.name.startswith("_"):
            return Refusal(
                "import",
                node.lineno,
                f"`from {node.module} import {alias.name}` is not allowed: it is not part of that module's interface",
            )
    return None


def wanted_zygote(source: str) -> Literal["numpy", "frames", "learning"]:
    """Which libraries the program may want, by words alone: too much costs milliseconds, too little an import error."""
    if "sklearn" in source or "joblib" in source:
        return "learning"
    if any(word in source for word in ("pandas", "scipy", "zoneinfo", "dateutil")):
        return "frames"
    return "numpy"
