"""What does a process remember from one request to the next? Each such thing has a bound, by count or bytes, and stands here with it.

A replica runs for months: what grows by a word with each request fills its memory. A new cache or collection is either bounded by its
declaration (`lru_cache(maxsize=…)`, `deque(maxlen=…)`), or enters a table below with what bounds it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from architecture.project_files import modules, tree

# Functions with arguments whose results are kept without a limit.
BY_ARGUMENT = {
    "evolve.memory.canonical._adapter": "the classes of our own that are stored; a program has so many",
    "evolve.research.templates._program": "the bundled programs, by name",
}

# Collections of a module, which live as long as the process.
OF_MODULES = {
    "evolve.messaging.tracing._tracers": "the names a process has in traces: its service, or the client",
    "evolve.security_events._counted": "kinds of events, emptied with each heartbeat",
    "evolve.web.pages.jobs._result_pages": "kinds of replies with a page of their own",
    "evolve.security_events._said": "MAX_KNOWN, then emptied",
    "evolve.security_events._files": "one per home that the process logs for",
    "evolve.sandbox.zygote._KEPT": "what a zygote imports before its first child",
    "evolve.sandbox.child._streams": "two",
    "evolve.research.programs.moving_average_cross._average": "a program of its own process, one run long: two averages",
    "evolve.research.programs.macd_cross._state": "a program of its own process, one run long",
    "evolve.web.pages.jobs._titles": "MAX_TITLES, the oldest go",
    "evolve.web.pages.series._series": "KEPT, the oldest go",
    "evolve.web.pages.answers._kept": "KEPT, the oldest go",
    "evolve.web.pages.services._looked": "one per application, one in a process",
    "evolve.messaging.redis_calls._SHAS": "the scripts of redis_scripts",
    "evolve.messaging.redis_calls._SOURCES": "as _SHAS",
}

# Collections of objects that live as long as a process does: fronts, supervisor, web server, sandbox host, client.
LONG_LIVED = ("evolve.client", "evolve.manager", "evolve.mcp", "evolve.messaging", "evolve.sandbox", "evolve.services", "evolve.web", "evolve.agents.plot_sources")  # fmt: skip
OF_OBJECTS = {
    "evolve.agents.plot_sources._kept": "KEPT, the oldest go",
    "evolve.manager.autoscaler._held": "services",
    "evolve.manager.autoscaler._looking": "services",
    "evolve.manager.autoscaler._memories": "services",
    "evolve.manager.supervisor._tasks": "running tasks; each leaves when it ends",
    "evolve.mcp.calls._stages": "one call long",
    "evolve.messaging.asker._read_to": "services asked",
    "evolve.messaging.asker._readers": "services asked",
    "evolve.messaging.asker._seen_alive": "services asked",
    "evolve.messaging.asker._waiting": "requests that are waited for",
    "evolve.messaging.asker._watches": "services asked",
    "evolve.messaging.figures._before": "as _counts",
    "evolve.messaging.figures._counts": "declared figures by types, codes and buckets; a type that is not the service's counts as `other`",
    "evolve.messaging.figures._latest": "as _counts",
    "evolve.messaging.figures._on_the_bus": "as _counts",
    "evolve.messaging.job_link._asks": "what one job asks; each leaves when it is answered",
    "evolve.messaging.job_link._reports": "what one job reports; each leaves when it is sent",
    "evolve.messaging.jobs._all": "job processes: slots and the idle ones",
    "evolve.messaging.jobs._idle": "job processes without work, retired after a while",
    "evolve.messaging.jobs._waiters": "requests in hand: places of both lanes",
    "evolve.messaging.redis_bus._lines": "services, by lane",
    "evolve.messaging.redis_bus._reading": "services, by lane",
    "evolve.messaging.redis_bus._steps": "kinds of steps by services",
    "evolve.messaging.redis_calls._steps": "what is asked in one moment; sent in the next",
    "evolve.messaging.redis_calls._trips": "what is asked in one moment; sent in the next",
    "evolve.messaging.threads._threads": "as many threads as it was made with",
    "evolve.messaging.worker._background": "running tasks; each leaves when it ends",
    "evolve.messaging.worker._running": "places of both lanes",
    "evolve.sandbox.pool._notices": "NOTICES_KEPT, the oldest go",
    "evolve.sandbox.pool._waiting": "PREPARED children of each size and allowance",
    "evolve.sandbox.pool._zygotes": "sizes",
    "evolve.web.access._sessions": "MAX_SESSIONS, the oldest go",
    "evolve.web.feed._listeners": "parts of the web server that hear the feed, each once",
    "evolve.web.feed._ring": "MAX_EVENTS and MAX_RING_BYTES, the oldest go",
    "evolve.web.jobs._jobs": "MAX_JOBS, the oldest that are done go",
    "evolve.web.jobs._tasks": "running tasks; each leaves when it ends",
    "evolve.web.metrics._answers": "routes by method and status",
    "evolve.web.metrics._durations": "routes by method",
    "evolve.web.pace._full_at": "MAX_KNOWN askers, the oldest go",
    "evolve.web.streams._open": "MAX_STREAMS open streams",
    "evolve.web.tokens._known": "what stands in the file of tokens",
    "evolve.web.metrics._events": "kinds of events",
}

COLLECTIONS = {"dict", "list", "set", "deque", "defaultdict", "OrderedDict", "Counter", "WeakValueDictionary"}

MADE = (
    rf"\s*(\{{\s*\}}|\[\s*\]|(\w+\.)*({'|'.join(sorted(COLLECTIONS))})(\[.*\])?\()"  # what makes an empty one, as text
)


def unbounded_functions(module: ast.Module) -> Iterator[str]:
    """Functions with arguments that keep every result."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            takes = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            if any(takes) and any(keeps_all(each) for each in node.decorator_list):
                yield node.name


def keeps_all(decorator: ast.expr) -> bool:
    call = decorator if isinstance(decorator, ast.Call) else None
    named = call.func if call else decorator
    name = named.attr if isinstance(named, ast.Attribute) else named.id if isinstance(named, ast.Name) else ""
    if name == "cache":
        return True
    sizes = [each.value for each in call.keywords if each.arg == "maxsize"] + call.args if call else []
    # `@lru_cache` alone keeps 128.
    return name == "lru_cache" and any(isinstance(each, ast.Constant) and each.value is None for each in sizes)


def is_growing(value: ast.expr | None) -> bool:
    """An empty collection, that something is put into later."""
    if isinstance(value, ast.Dict | ast.List):
        return not (value.keys if isinstance(value, ast.Dict) else value.elts)
    if not isinstance(value, ast.Call):
        return False
    name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
    bounded = any(each.arg == "maxlen" for each in value.keywords)
    return name in COLLECTIONS and not bounded and (name == "defaultdict" or not value.args)


def assigned(nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    for node in nodes:
        if isinstance(node, ast.Assign):
            yield from ((target, node.value) for target in node.targets)
        elif isinstance(node, ast.AnnAssign):
            yield node.target, node.value


def of_module(module: ast.Module) -> list[str]:
    return [at.id for at, value in assigned(module.body) if isinstance(at, ast.Name) and is_growing(value)]


def of_objects(module: ast.Module) -> set[str]:
    """Attributes that a constructor leaves empty."""
    made = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    return {
        at.attr
        for init in made
        for at, value in assigned(ast.walk(init))
        if isinstance(at, ast.Attribute) and at.attr.startswith("_") and is_growing(value)
    }


def with_words(pattern: str, within: tuple[str, ...] = ("evolve",)) -> Iterator[tuple[str, ast.Module]]:
    """Modules in whose text the pattern stands: parsing all of them takes seconds."""
    wanted = re.compile(pattern, re.MULTILINE)
    for name, path in modules().items():
        if name.startswith(within) and wanted.search(path.read_text(encoding="utf-8")):
            yield name, tree(path)


def test_no_function_keeps_every_result_it_ever_had():
    found = {f"{name}.{each}" for name, module in with_words(r"@.*cache") for each in unbounded_functions(module)}

    assert found == set(BY_ARGUMENT), "give it a maxsize, or say here what bounds its arguments"


def test_every_collection_of_a_module_has_a_bound():
    found = {f"{name}.{each}" for name, module in with_words(rf"^\w[^=\n]*={MADE}") for each in of_module(module)}

    assert found == set(OF_MODULES), "bound it, and say here by what"


def test_every_collection_of_a_long_lived_object_has_a_bound():
    found = {
        f"{name}.{attribute}"
        for name, module in with_words(rf"self\._[^=\n]*={MADE}", LONG_LIVED)
        if name != "evolve.messaging.memory_bus"  # for tests, and ends with them
        for attribute in of_objects(module)
    }

    assert found == set(OF_OBJECTS), "bound it, and say here by what"


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("@cache\ndef f(x): ...", True),
        ("@functools.cache\ndef f(*, x): ...", True),
        ("@lru_cache(maxsize=None)\ndef f(x): ...", True),
        ("@lru_cache(None)\ndef f(x): ...", True),
        ("@cache\ndef f(): ...", False),
        ("@lru_cache\ndef f(x): ...", False),
        ("@lru_cache(maxsize=4)\ndef f(x): ...", False),
    ],
)
def test_an_unbounded_cache_is_seen(source, seen):
    assert bool(list(unbounded_functions(ast.parse(source)))) is seen


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("a = {}", True),
        ("a: dict[str, int] = {}", True),
        ("a = collections.OrderedDict()", True),
        ("a = defaultdict(list)", True),
        ("a = deque(maxlen=3)", False),
        ("a = {'one': 1}", False),
        ("a = dict(pairs)", False),
    ],
)
def test_a_collection_that_grows_is_seen(source, seen):
    assert bool(of_module(ast.parse(source))) is seen
