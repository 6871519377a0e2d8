"""Would Kubernetes, KEDA and compose take our files? Validated by schemas that are not ours, and held to what the services need."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft7Validator

from acceptance.seed_blocks import block
from architecture.project_files import ROOT
from evolve.cli import main
from evolve.messaging import acl
from evolve.messaging.bus import LANES
from evolve.messaging.redis_keys import requests
from evolve.services import SERVICES

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("one-node", "production")
VERSION = "1.32"
WORKLOADS = ("Deployment", "StatefulSet")


@cache
def overlay(name: str) -> tuple[dict[str, Any], ...]:
    """The objects that an overlay is made of, before its patches: read from the files, since Debian's kubectl is too old for them."""
    return tuple(_listed(KUBERNETES / "overlays" / name))


def _listed(folder: Path) -> Iterator[dict[str, Any]]:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for name in [*kustomization["resources"], *kustomization.get("components", [])]:
        path = (folder / name).resolve()
        if path.is_dir():
            yield from _listed(path)
        else:
            yield from yaml.safe_load_all(path.read_text())


def objects(name: str, *kinds: str) -> list[dict[str, Any]]:
    return [each for each in overlay(name) if each["kind"] in kinds]


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    return dict(workload["spec"]["template"]["spec"])


@pytest.mark.prove
@pytest.mark.parametrize("name", OVERLAYS)
def test_kubectl_puts_an_overlay_together(name: str) -> None:
    """What `kubectl apply --kustomize` would send: patches applied, everything in the namespace, images by tag or digest."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl (1.27 or newer) is not installed")
    built = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / "overlays" / name)], capture_output=True, text=True, timeout=60
    )
    assert built.returncode == 0, built.stderr
    found = list(yaml.safe_load_all(built.stdout))
    for each in found:
        if not each["apiVersion"].startswith("keda.sh/"):
            kubernetes_validate.validate(each, VERSION, strict=True)
    assert {each["metadata"].get("namespace") for each in found if each["kind"] != "Namespace"} == {"evolve"}
    least = {
        each["metadata"]["name"]: each["spec"]["minReplicaCount"] for each in found if each["kind"] == "ScaledObject"
    }
    if name == "production":
        assert {service for service, replicas in least.items() if replicas == 2} == {
            "quant-gpt", "prompt-router", "performance-critic", "safe-executor"
        }  # fmt: skip
    assert len(found) == len(overlay(name))


@pytest.mark.prove
def test_every_secret_that_a_manifest_names_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("kubectl") is None or shutil.which("openssl") is None:
        pytest.skip("kubectl or openssl is not installed")
    monkeypatch.setenv("EVOLVE_HOME", str(tmp_path / "home"))
    assert main(["security", "init", str(tmp_path / "made"), "--host", "valkey", "--host", "postgres"]) == 0
    printed = subprocess.run(
        ["sh", str(KUBERNETES / "secrets.sh"), str(tmp_path / "made")], capture_output=True, text=True, check=True
    ).stdout

    secrets = {each["metadata"]["name"]: each for each in yaml.safe_load_all(printed) if each}
    for secret in secrets.values():
        kubernetes_validate.validate(secret, VERSION, strict=True)
    named = {
        source["secret"].get("name") or source["secret"]["secretName"]
        for workload in objects("production", *WORKLOADS)
        for volume in pod_of(workload)["volumes"]
        for source in (volume.get("projected", {}).get("sources") or [volume])
        if "secret" in source
    }
    assert named <= set(secrets)
    assert base64.b64decode(secrets["evolve-scaler"]["data"]["password"]) == (
        (tmp_path / "made" / "passwords" / "scaler").read_bytes()
    )


@pytest.mark.parametrize("name", OVERLAYS)
def test_kubernetes_takes_every_object_strictly(name: str) -> None:
    for each in overlay(name):
        if not each["apiVersion"].startswith("keda.sh/"):
            kubernetes_validate.validate(each, VERSION, strict=True)


def test_the_validation_sees_a_spelling_mistake() -> None:
    wrong = {**objects("one-node", "Deployment")[0], "specs": {}}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_the_specifications_deployment_validates_as_it_stands() -> None:
    for each in yaml.safe_load_all(block("kind: Deployment").text):
        kubernetes_validate.validate(each, VERSION, strict=True)


def test_keda_takes_its_objects_and_scales_every_service_on_every_lane() -> None:
    schema = Draft7Validator(json.loads((KUBERNETES / "keda" / "keda.schema.json").read_text()))
    found = objects("production", "ScaledObject", "TriggerAuthentication")

    for each in found:
        schema.validate(each)
    streams = {
        trigger["metadata"]["stream"]
        for each in found
        if each["kind"] == "ScaledObject"
        for trigger in each["spec"]["triggers"]
    }
    assert streams == {requests(service, lane) for service in SERVICES for lane in LANES}
    targets = {each["spec"]["scaleTargetRef"]["name"] for each in found if each["kind"] == "ScaledObject"}
    assert targets <= {each["metadata"]["name"] for each in objects("production", "Deployment")}


def test_the_manifests_are_those_that_the_script_writes() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "kubernetes.py"), "--check"], capture_output=True, text=True
    )

    assert checked.returncode == 0, checked.stderr


def test_each_service_runs_unprivileged_on_a_root_it_cannot_write() -> None:
    """As the namespace demands (Pod Security: restricted), said of each container by itself."""
    for workload in objects("production", *WORKLOADS):
        pod = pod_of(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost")
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["readOnlyRootFilesystem"] is True
            assert rights["capabilities"]["drop"] == ["ALL"]
            assert {"cpu", "memory"} <= set(container["resources"]["limits"])


def test_each_service_is_probed_by_evolve_ping_and_knows_its_user() -> None:
    deployments = {each["metadata"]["name"]: each for each in objects("production", "Deployment")}

    for service in SERVICES:
        [container] = pod_of(deployments[service.replace("_", "-")])["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["exec"]["command"] == ["evolve", "ping", service, "--here"]
        assert {"name": "REDIS_USERNAME", "value": service} in container["env"]


def test_no_secret_stands_in_a_manifest() -> None:
    assert objects("production", "Secret") == []
    named = {
        variable["name"]
        for workload in objects("production", *WORKLOADS)
        for container in pod_of(workload)["containers"]
        for variable in container.get("env", [])
        if "PASSWORD" in variable["name"] or "KEY" in variable["name"] or "TOKEN" in variable["name"]
    }
    assert named == {"POSTGRES_PASSWORD_FILE"}


def test_what_runs_strangers_programs_reaches_no_network_of_others() -> None:
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in objects("production", "Deployment")
    }
    policies = {each["metadata"]["name"]: each["spec"] for each in objects("production", "NetworkPolicy")}

    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert labels["safe-executor"]["evolve.internet"] == "false"
    assert policies["internet"]["podSelector"]["matchLabels"] == {"evolve.internet": "true"}


# --- compose ---


@cache
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def test_compose_takes_the_file() -> None:
    schema = get_builtin_schema("vendor.compose-spec")

    errors = [error.message for error in Draft7Validator(schema).iter_errors(compose())]

    assert errors == []


def test_compose_runs_every_service_as_its_own_user_of_the_server() -> None:
    services = compose()["services"]

    for name in [*SERVICES, "web"]:
        assert services[name]["environment"]["REDIS_USERNAME"] in acl.users(list(SERVICES))
        assert services[name]["environment"]["REDIS_TLS"] == "true"
        assert services[name]["build"]["args"]["SERVICE"] == name
        [own] = [each["volume"]["subpath"] for each in services[name]["volumes"] if isinstance(each, dict)]
        assert own == services[name]["environment"]["REDIS_USERNAME"]
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    assert services["safe_executor"]["networks"] == ["inside"]
    assert compose()["networks"]["inside"]["internal"] is True


def test_no_image_of_compose_is_taken_by_tag_alone() -> None:
    """A digest cannot be invented here: each comes from `deploy/image.sh pin`, and compose stops without it."""
    for service in compose()["services"].values():
        if "build" in service:
            assert service["build"]["args"]["BASE"].startswith("${BASE_IMAGE:?")
        else:
            assert ":?" in service["image"]
