"""Does deploy/compose.yaml run? Its containers, started by plain podman commands on a machine without Docker, a registry or a network for containers.

    .venv/bin/python scripts/containers.py bases DIR        base images made from Debian's packages (mmdebstrap), and DIR/images.env that pins them
    .venv/bin/python scripts/containers.py up DIR           all of compose.yaml, with keys made in DIR/secrets
    .venv/bin/python scripts/containers.py down DIR

Between `bases` and `up`: `cp DIR/images.env deploy && ENGINE=podman deploy/image.sh build`. What differs from `docker compose up`:

- The bases are made from Debian's packages (Python 3.11, redis-server 7.0 in the place of Valkey, PostgreSQL 15), not the official images.
- All containers share one network of their own, which has nothing but its loopback: names of containers mean 127.0.0.1, nothing gets out, and
  nothing gets in but by `podman exec`. So the networks of compose.yaml are not tried.
- Podman 4 knows no `subpath` of a volume: the same directory is bound instead. Health checks are asked by hand, where no systemd runs them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = ROOT / "deploy" / "compose.yaml"
POD = "evolve"
STARTS_S = 180.0  # the first start of a service compiles kernels, on cores that all containers share
STORES = {"valkey": "localhost/debian-redis:7", "postgres": "localhost/debian-postgres:15"}
BASE = "localhost/python:3.11-slim-bookworm"
NOT_OURS = ("doc", "man", "locale", "info")
HEALTHY = {"service_healthy": True, "service_completed_successfully": False}

# What the official image's entry point does, as far as compose.yaml asks it.
POSTGRES_START = """#!/bin/sh
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  initdb --encoding=UTF8 --locale=C.UTF-8 --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust --auth-host=scram-sha-256 >/dev/null
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  pg_ctl -w -o "-c listen_addresses=''" start >/dev/null
  createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
  pg_ctl -w stop >/dev/null
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
fi
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Base:
    """An image of Debian's packages. shell: run in its root, as a hook of mmdebstrap."""

    tag: str
    packages: str
    shell: str = ""
    changes: tuple[str, ...] = ()


STORE_USER = "groupadd --gid 999 store && useradd --uid 999 --gid 999 --no-create-home store"
BASES = (
    # As the official slim image: `python` and `pip` on PATH, free to install into.
    Base(BASE, "ca-certificates,netbase,tzdata,python3.11,python3.11-venv,python3-pip,python-is-python3", "rm /usr/lib/python3.11/EXTERNALLY-MANAGED", ('CMD ["python3"]',)),
    Base(STORES["valkey"], "redis-server", f"{STORE_USER} && ln -s redis-server /usr/bin/valkey-server && ln -s redis-cli /usr/bin/valkey-cli && install -d -o 999 -g 999 /data", ('VOLUME ["/data"]',)),
    Base(
        STORES["postgres"],
        "postgresql-15",
        f"{STORE_USER} && install -d -o 999 -g 999 /var/lib/postgresql/data && install -d -m 3777 -o 999 -g 999 /var/run/postgresql",
        ("ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin", 'ENTRYPOINT ["/usr/local/bin/start"]', 'VOLUME ["/var/lib/postgresql/data"]'),
    ),
)  # fmt: skip


def podman(*words: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Ends the script with what podman said on standard error, where it fails and `check` is on."""
    done = subprocess.run(["podman", *words], capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        sys.exit(f"`podman {' '.join(words)[:300]}` failed:\n{done.stderr[-2000:]}")
    return done


def make_bases(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    start = place / "start"
    start.write_text(POSTGRES_START)
    start.chmod(0o755)
    sources = next(path for path in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")) if path.is_file())  # fmt: skip
    for base in BASES:
        archive = place / "root.tar"
        hooks = [f"--customize-hook=chroot \"$1\" sh -c '{base.shell}'"] if base.shell else []
        if "start" in str(base.changes):
            hooks.append(f"--customize-hook=copy-in {start} /usr/local/bin")
        emptied = '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*'
        excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in NOT_OURS]
        with sources.open() as listed:
            subprocess.run(
                ["mmdebstrap", "--variant=minbase", f"--include={base.packages}", *excluded, *hooks, emptied, "bookworm", str(archive), "-"],
                stdin=listed, check=True,
            )  # fmt: skip
        podman("import", *(word for change in base.changes for word in ("--change", change)), str(archive), base.tag)
        archive.unlink()
    pins = {"BASE_IMAGE": BASE, "VALKEY_IMAGE": STORES["valkey"], "POSTGRES_IMAGE": STORES["postgres"]}
    lines = [f"{name}={tag}@{inspect('image', tag, '{{.Digest}}')}\n" for name, tag in pins.items()]
    (place / "images.env").write_text("".join(lines))


def inspect(kind: str, name: str, template: str) -> str:
    return podman(kind, "inspect", name, "--format", template).stdout.strip()


def filled(text: str) -> str:
    """compose.yaml with `${NAME:-default}` as its default: nothing is taken from this environment but the stores' images."""
    for name, tag in (("VALKEY_IMAGE", STORES["valkey"]), ("POSTGRES_IMAGE", STORES["postgres"])):
        text = re.sub(r"\$\{" + name + r":\?[^}]*\}", tag, text)
    return re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)\}", lambda found: found[1] or "", text)


def services() -> dict[str, Any]:
    """Those of compose.yaml without a profile, each after those it depends on."""
    declared = {name: one for name, one in yaml.safe_load(filled(COMPOSE.read_text()))["services"].items() if "profiles" not in one}  # fmt: skip
    ordered: dict[str, Any] = {}
    while len(ordered) < len(declared):
        free = [name for name, one in declared.items() if name not in ordered and set(one.get("depends_on", {})) <= set(ordered)]  # fmt: skip
        ordered.update({name: declared[name] for name in free})
    return ordered


def container(name: str) -> str:
    return f"{POD}-{name}"


def mounts(declared: list[Any], place: Path) -> Iterator[str]:
    """`--volume` of each: named volumes, files beside compose.yaml (the secrets: in `place`), and parts of a volume as directories."""
    for one in declared:
        if isinstance(one, dict):
            whole = Path(inspect("volume", f"{POD}_{one['source']}", "{{.Mountpoint}}"))
            yield f"{whole / one['volume']['subpath']}:{one['target']}:{'ro' if one['read_only'] else 'rw'}"
        elif one.startswith("./"):
            yield str(place / one[2:])
        else:
            yield f"{POD}_{one}"


def options(name: str, one: dict[str, Any], place: Path) -> list[str]:
    """What compose.yaml says of one container, in podman's words."""
    words = [
        "--restart",
        one.get("restart", "no"),
        "--hostname",
        name.replace("_", "-"),
        "--pids-limit",
        str(one.get("pids_limit", 512)),
    ]
    words += [word for made in mounts(one.get("volumes", []), place) for word in ("--volume", made)]
    words += [word for each in one.get("environment", {}).items() for word in ("--env", "=".join(map(str, each)))]
    for option, key in (("--cap-drop", "cap_drop"), ("--cap-add", "cap_add"), ("--tmpfs", "tmpfs")):
        words += [word for each in one.get(key, []) for word in (option, each)]
    # Docker's way of writing it, and podman's.
    words += [word for each in one.get("security_opt", []) for word in ("--security-opt", each.replace(":true", ""))]
    for option, key in (("--user", "user"), ("--memory", "mem_limit"), ("--shm-size", "shm_size")):
        words += [option, str(one[key])] if key in one else []
    if one.get("read_only"):
        words += ["--read-only", "--read-only-tmpfs=false"]
    if one.get("init"):
        words.append("--init")
    if "stop_grace_period" in one:
        words += ["--stop-timeout", one["stop_grace_period"].removesuffix("s")]
    if "healthcheck" in one:
        words += ["--health-cmd", one["healthcheck"]["test"][1], "--health-timeout", one["healthcheck"]["timeout"]]
    return words


def start(name: str, one: dict[str, Any], place: Path, replica: str = "") -> str:
    """Start a container; one that is to end is waited for. Its name."""
    called = container(name) + replica
    network = ["--network", "none"] if one.get("network_mode") == "none" else ["--pod", POD]
    words = [
        *network,
        "--name",
        called,
        "--volume",
        f"{place / 'hosts'}:/etc/hosts:ro",
        *options(name + replica, one, place),
    ]
    podman("run", "--detach", *words, one["image"], *one.get("command", []))
    return called


def healthy(name: str) -> bool:
    return podman("healthcheck", "run", name, check=False, timeout=60).returncode == 0


def wait_healthy(name: str) -> None:
    deadline = time.monotonic() + STARTS_S
    while not healthy(name):
        if time.monotonic() > deadline:
            sys.exit(f"{name} is not healthy after {STARTS_S:.0f} s:\n{podman('logs', '--tail', '30', name).stderr}")
        time.sleep(0.5)


def up(place: Path, scaled: dict[str, int]) -> None:
    """Everything that compose.yaml starts. Ends with the reason when something does not get healthy."""
    evolve = str(Path(sys.executable).with_name("evolve"))
    if not (place / "secrets").exists():
        made = ["--host", "valkey", "--host", "postgres", "--keys-at", "/run/keys"]
        subprocess.run([evolve, "security", "init", str(place / "secrets"), *made], check=True, stdout=subprocess.DEVNULL)  # fmt: skip
    # A file of our own: what `--add-host` writes is gone when podman restarts a container of a pod.
    (place / "hosts").write_text("".join(f"127.0.0.1 {name}\n" for name in ("localhost", *services())))
    podman("pod", "create", "--name", POD, "--network", "none", "--share", "net", "--no-hosts")
    for volume in yaml.safe_load(filled(COMPOSE.read_text()))["volumes"]:
        podman("volume", "create", f"{POD}_{volume}")
    waited: set[str] = set()
    for name, one in services().items():
        for before, how in one.get("depends_on", {}).items():
            if HEALTHY[how["condition"]] and before not in waited:
                wait_healthy(container(before))
                waited.add(before)
        called = [start(name, one, place, "" if not each else f"-{each + 1}") for each in range(scaled.get(name, 1))]
        if one.get("network_mode") == "none" and podman("wait", called[0]).stdout.strip() != "0":
            sys.exit(f"{name} failed:\n{podman('logs', called[0]).stderr}")
    for name in running():
        wait_healthy(name)
        print(f"{name} is healthy", flush=True)


def running() -> list[str]:
    """The containers of the pod, its own holder of the network apart."""
    listed = json.loads(podman("ps", "--filter", f"pod={POD}", "--format", "json").stdout or "[]")
    return sorted(one["Names"][0] for one in listed if not one.get("IsInfra"))


def down() -> None:
    podman("pod", "rm", "--force", "--time", "30", POD, check=False)
    podman("rm", "--force", container("keys"), check=False)
    listed = podman("volume", "ls", "--quiet", "--filter", f"name={POD}_").stdout.split()
    podman("volume", "rm", "--force", *listed) if listed else None


def main() -> int:
    parser = argparse.ArgumentParser(description="Run deploy/compose.yaml by podman, without a registry or a network.")
    parser.add_argument("what", choices=["bases", "up", "down"])
    parser.add_argument("place", type=Path, help="a directory for what is made: pins, keys")
    parser.add_argument(
        "--scale", action="append", default=[], metavar="SERVICE=N", help="replicas, as compose's --scale"
    )
    asked = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("containers.py: users and directories of volumes are set here; run it as root")
    if asked.what == "bases":
        make_bases(asked.place.resolve())
    elif asked.what == "up":
        up(
            asked.place.resolve(),
            {name: int(number) for name, _, number in (one.partition("=") for one in asked.scale)},
        )
    else:
        down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
