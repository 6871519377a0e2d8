"""Rules of the house that no linter knows: one place for the environment, no pickle, a question at the top of each module."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from architecture.project_files import PACKAGE, ROOT, imported_names, modules, tracked_files, tree

READS_ENVIRONMENT = {
    "evolve.settings": "the one place that reads what the user configured",
    "evolve.installation": "prepares pip's and uv's environment before pydantic is there",
    "evolve.compute.local": "sets one thread per worker in the process that it has just forked",
    "evolve.market.arrow": "asks pyarrow's allocator for no thread before pyarrow is loaded, as a process with threads cannot fork workers",
    "evolve.manager.manager": "hands its own environment on to the supervisor it starts",
    "evolve.web.bundle": "hands its own environment on to npm, which builds what pages load",
    "evolve.cli.sweep": "asks for one thread of arithmetic before numpy is loaded, as its workers must have been forked by one thread",
    "evolve.messaging.forkserver": "hands its own environment on to the process it starts",
}

UNPICKLES = {
    "evolve.compute.local": "results from workers that it forked itself, over pipes that nobody else can open",
    "evolve.compute.parcel": "work of our own on its way to and from the workers of a cluster that the operator named; Dask and Ray run code by design",
}

VAGUE = {"utils", "util", "helpers", "helper", "misc", "enhanced", "advanced"}


ENVIRONMENT = {"environ", "environb", "getenv", "putenv"}
UNSAFE = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def naming(words: set[str]) -> dict[str, Path]:
    """The modules in whose text one of these stands: only they need to be parsed."""
    return {name: path for name, path in modules().items() if any(word in path.read_text("utf-8") for word in words)}


def test_only_settings_and_what_starts_processes_touch_the_environment():
    found = {name for name, path in naming(ENVIRONMENT).items() if touches_environment(tree(path))}

    assert found <= set(READS_ENVIRONMENT), "take it as an argument, or from Settings"


def touches_environment(module: ast.Module) -> bool:
    through_os = any(isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT for node in ast.walk(module))
    return through_os or bool({f"os.{name}" for name in ENVIRONMENT} & imported_names(module))


@pytest.mark.parametrize("source", ["import os\nos.environ['A']", "from os import getenv\ngetenv('A')"])
def test_reading_the_environment_is_seen(source):
    assert touches_environment(ast.parse(source))


def test_nothing_is_unpickled_but_from_our_own_processes():
    """Loading a pickle runs code of whoever wrote it: files and messages are JSON, Parquet or safetensors."""
    found = {
        name
        for name, path in naming(UNSAFE).items()
        if UNSAFE & {imported.split(".")[0] for imported in imported_names(tree(path))}
    }

    assert found <= set(UNPICKLES)


@pytest.mark.parametrize("allowed", sorted(READS_ENVIRONMENT | UNPICKLES))
def test_every_exception_is_still_needed(allowed):
    path = modules().get(allowed)

    assert path is None or touches_environment(tree(path)) or {"pickle", "cloudpickle"} & imported_names(tree(path))


def test_every_module_opens_by_saying_what_it_answers():
    silent = [
        name
        for name, path in modules().items()
        if (text := path.read_text("utf-8").strip()) and not text.startswith('"""') and "._" not in name
    ]

    assert silent == []


def test_modules_are_named_in_the_words_of_the_field():
    assert [name for name in modules() if VAGUE & set(re.split(r"[._]", name))] == []


def test_the_installation_needs_nothing_that_it_installs():
    imported = {name.split(".")[0] for name in imported_names(tree(PACKAGE / "installation.py"))}

    assert imported <= sys.stdlib_module_names


def test_no_file_names_a_home_directory_or_a_package_registry():
    # Put together from parts, or this file would name them.
    hosts = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "download.py" + "torch.org", "deb.deb" + "ian.org", "ana" + "conda.org"]  # fmt: skip
    homes = [r"/ho" + r"me/[a-z]", r"/Us" + r"ers/[A-Za-z]", r"/ro" + r"ot/", r"/wo" + r"rk/(?:main|shared)"]
    forbidden = re.compile("|".join([*map(re.escape, hosts), *(r"(?<![\w.])" + home for home in homes)]).encode())
    beginnings = [*(host.encode() for host in hosts), *(f"/{home.split('/')[1]}/".encode() for home in homes)]

    found = [
        f"{path.relative_to(ROOT)}: {match.group().decode()}"
        for path in tracked_files()
        if any(
            beginning in (content := path.read_bytes()) for beginning in beginnings
        )  # a tenth of the expression's time
        for match in forbidden.finditer(content)
    ]

    assert found == []


def test_the_readme_fits_two_screens():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
