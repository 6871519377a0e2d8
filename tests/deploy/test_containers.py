"""Does compose.yaml run, as it is written? All its containers by podman: healthy, shut in, answering each other and the HTTP API."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from architecture.project_files import ROOT
from evolve.services import SERVICES

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]

IMAGES = ("localhost/evolve/model-builder", "localhost/evolve/web", "localhost/debian-redis:7", "localhost/debian-postgres:15")  # fmt: skip
CONTAINERS = {*SERVICES, "model_builder-2", "web", "valkey", "postgres"}
ASK = """
import sys, urllib.error, urllib.request
def status(**headers):
    try:
        return urllib.request.urlopen(urllib.request.Request("http://web:8765/api/v1/services", headers=headers)).status
    except urllib.error.HTTPError as refused:
        return refused.code
print(status(), status(Authorization="Bearer " + sys.argv[1]))
"""


def podman(*words: str, check: bool = True) -> str:
    done = subprocess.run(["podman", *words], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


def script(*words: str) -> None:
    subprocess.run([sys.executable, str(ROOT / "scripts" / "containers.py"), *words], check=True, timeout=600)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Name of each container, without `evolve-`, and what podman says of it."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed (Debian: podman, catatonit)")
    missing = [name for name in IMAGES if subprocess.run(["podman", "image", "exists", name], check=False).returncode]
    if missing:
        pytest.skip(f"{', '.join(missing)} not built: scripts/containers.py says how")
    place = str(tmp_path_factory.mktemp("containers"))
    try:
        script("up", place, "--scale", "model_builder=2")
        names = [f"evolve-{name}" for name in sorted(CONTAINERS)]
        yield {one["Name"].removeprefix("evolve-"): one for one in json.loads(podman("inspect", *names))}
    finally:
        script("down", place)


def test_every_container_is_healthy_and_may_do_nothing(deployed: dict[str, Any]) -> None:
    assert set(deployed) == CONTAINERS
    for name, one in deployed.items():
        assert one["State"]["Health"]["Status"] == "healthy", name
        assert one["HostConfig"]["ReadonlyRootfs"], name
        assert not one["EffectiveCaps"], name
        assert one["HostConfig"]["SecurityOpt"] == ["no-new-privileges"], name
        assert one["Config"]["User"] == ("999:999" if name in ("valkey", "postgres") else "10001:10001"), name


def test_a_question_is_answered_through_them_and_nobody_is_refused(deployed: dict[str, Any]) -> None:
    assert "evolve reproduce" in podman("exec", "evolve-web", "evolve", "ask", "Give me the best model for AAPL over 90 days", "--timeout", "280")  # fmt: skip
    events = podman("exec", "evolve-web", "sh", "-c", "cat /data/logs/security.log 2>/dev/null || true")
    assert "acl_refused" not in events


def test_the_http_api_wants_a_token_made_in_the_web_container(deployed: dict[str, Any]) -> None:
    made = json.loads(podman("exec", "evolve-web", "evolve", "token", "create", "me", "--json"))

    assert podman("exec", "evolve-web", "python", "-c", ASK, made["token"]) == "401 200"


def test_the_sandbox_stands_inside_of_a_container(deployed: dict[str, Any]) -> None:
    attacked = json.loads(podman("exec", "evolve-safe_executor", "evolve", "sandbox", "attack-suite", "--json"))

    assert attacked["isolation_level"] in ("landlock+seccomp", "namespaces+landlock+seccomp")
    assert all(one["stopped"] for one in attacked["attacks"])


def test_secrets_are_handed_to_their_owner_only(deployed: dict[str, Any]) -> None:
    seen = podman("exec", "evolve-updater", "ls", "/run/evolve").split()

    assert seen == ["ca.crt", "client.crt", "client.key", "database_url", "password"]
