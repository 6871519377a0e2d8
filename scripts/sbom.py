"""What is Evolve made of, and may it be? A bill of materials (CycloneDX 1.6, JSON) and a report of licences.

    make sbom                                 dist/sbom.cdx.json and dist/licences.txt of this environment
    .venv/bin/python scripts/sbom.py DIR      the same into DIR

Holds what Evolve needs to run, with the optional parts that are installed; developers' tools are not shipped. Exit code 1 when a
package has a licence that is neither permissive nor named below with its reason, or none that can be read.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "evolve-trading"

# Words of licences that ask for no more than to be named; "or" leaves the choice to us, "and" asks for all of them.
PERMISSIVE = re.compile(
    r"(apache|mit|bsd|0bsd|isc|zlib|psf|python software foundation|cc0|unlicense|bsl-1\.0|boost|hpnd|mit-cmu|llvm-exception)",
    re.I,
)
# Weak copyleft of single files, which we use as they are and do not change.
UNCHANGED_FILES = re.compile(r"(mpl|mozilla public)", re.I)
MAY = {
    "certifi": "a list of certificates, unchanged",
    "orjson": "unchanged; its own part is Apache-2.0 or MIT",
    "tqdm": "unchanged",
}


@dataclass(frozen=True, slots=True)
class Package:
    """needs: names of what it requires that is installed too."""

    name: str
    version: str
    licence: str
    home: str
    needs: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """ "permissive", "as it is: …", or what is wrong."""
        parts = [part for part in re.split(r"\s+AND\s+|\s+OR\s+|;|\bWITH\b|[()]", self.licence) if part.strip()]
        if not parts:
            return "REFUSED: no licence that can be read"
        if all(PERMISSIVE.search(part) for part in parts):
            return "permissive"
        if self.name in MAY and all(PERMISSIVE.search(part) or UNCHANGED_FILES.search(part) for part in parts):
            return f"as it is: {MAY[self.name]}"
        return "REFUSED: not permissive, and no reason is given in scripts/sbom.py"


def packages(project: str = PROJECT) -> tuple[Package, ...]:
    """The project and everything it needs that is installed here, by name."""
    extras = tuple(metadata.metadata(project).get_all("Provides-Extra") or ())
    found: dict[str, Package] = {}
    wanted = [(project, extras)]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while wanted:
        name, chosen = wanted.pop()
        if (name, chosen) in seen:
            continue
        seen.add((name, chosen))
        try:
            held = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # an optional part that is not installed
        needs = list(_needs(held, chosen))
        found[name] = _package(
            name, held, sorted({need for need, _ in needs} | set(found[name].needs if name in found else ()))
        )
        wanted += needs
    return tuple(found[name] for name in sorted(found))


def _needs(held: metadata.Distribution, extras: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for line in held.requires or []:
        need = Requirement(line)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            yield canonicalize_name(need.name), tuple(sorted(need.extras))


def _package(name: str, held: metadata.Distribution, needs: list[str]) -> Package:
    about = held.metadata
    classified = [
        each.rpartition("::")[2].strip() for each in about.get_all("Classifier") or [] if each.startswith("License ::")
    ]
    said = (about.get("License") or "").strip().splitlines()
    licence = (
        about.get("License-Expression")
        or "; ".join(each for each in classified if each != "OSI Approved")
        or (said[0] if said else "")
    )
    pages = dict(line.split(", ", 1) for line in about.get_all("Project-URL") or [] if ", " in line)
    home = next(
        (page for label, page in pages.items() if label.lower() in ("homepage", "source", "repository", "source code")),
        about.get("Home-page") or "",
    )
    return Package(name, held.version, licence[:120], home, tuple(needs))


def bill(found: tuple[Package, ...]) -> str:
    """The bill of materials as JSON, checked against CycloneDX's own schema. Raises ValueError when it does not hold."""
    parts = {package.name: _component(package) for package in found}
    bom = Bom()
    root = parts[PROJECT]
    bom.metadata.component = root
    for name, part in parts.items():
        if name != PROJECT:
            bom.components.add(part)
    for package in found:
        bom.register_dependency(parts[package.name], [parts[need] for need in package.needs if need in parts])
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise ValueError(f"the bill of materials is no CycloneDX 1.6: {problem}")
    return text


def _component(package: Package) -> Component:
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.APPLICATION if package.name == PROJECT else ComponentType.LIBRARY,
        purl=PackageURL("pypi", name=package.name, version=package.version),
        bom_ref=f"{package.name}@{package.version}",
        licenses=[DisjunctiveLicense(name=package.licence)] if package.licence else [],
        external_references=[ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(package.home))]
        if package.home
        else [],
    )


def report(found: tuple[Package, ...]) -> str:
    lines = [f"{package.name:<28} {package.version:<14} {package.verdict:<14} {package.licence}" for package in found]
    refused = sum(package.verdict.startswith("REFUSED") for package in found)
    return "\n".join([*lines, f"{len(found)} packages, {refused} refused"]) + "\n"


def main(folder: Path) -> int:
    found = packages()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sbom.cdx.json").write_text(bill(found) + "\n")
    (folder / "licences.txt").write_text(report(found))
    refused = [package for package in found if package.verdict.startswith("REFUSED")]
    for package in refused:
        print(f"{package.name} {package.version}: {package.verdict} ({package.licence or 'none'})", file=sys.stderr)
    print(f"{folder / 'sbom.cdx.json'}, {folder / 'licences.txt'}: {len(found)} packages, {len(refused)} refused")
    return int(bool(refused))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("dist")))
