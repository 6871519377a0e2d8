"""Which manifests run the services on Kubernetes? One Deployment, disruption budget and scaler for each service of the registry.

    .venv/bin/python scripts/kubernetes.py            writes deploy/kubernetes/base/services/, keda/scalers/ and keda-age/scalers.yaml
    .venv/bin/python scripts/kubernetes.py --check    exit code 1 when a file is not what would be written

Files rather than a chart: what is applied can be read, and `kubectl kustomize` is all that is needed. A new service needs a line in
`NEEDS` only when the usual resources do not fit it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from evolve.messaging.bus import LANES
from evolve.messaging.redis_keys import requests
from evolve.services import SERVICES

KUBERNETES = Path(__file__).resolve().parents[1] / "deploy" / "kubernetes"


@dataclass(frozen=True, slots=True)
class Need:
    """What one replica asks for. queued: requests waiting per replica before another is started; most: replicas at most."""

    cpu: str = "100m"
    cpu_limit: str = "2"
    memory: str = "512Mi"
    memory_limit: str = "2Gi"
    queued: int = 20
    most: int = 6
    internet: bool = True
    seconds_to_end: int = 30


# Training fills a core for minutes, so few may wait behind one; the executor's limit is two programs of 1 GiB, their zygotes and the rest.
_TRAINS = Need(cpu="1", cpu_limit="2", memory="1Gi", memory_limit="4Gi", queued=2, most=12)
NEEDS = {
    "model_builder": _TRAINS,
    "performance_critic": _TRAINS,
    "updater": _TRAINS,
    "meta_tuner": _TRAINS,
    "safe_executor": Need(cpu="500m", memory="1Gi", memory_limit="4Gi", queued=10, most=10, internet=False),
}

DEPLOYMENT = """\
# {service}: made by scripts/kubernetes.py
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: {name}
    app.kubernetes.io/part-of: evolve
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
      app.kubernetes.io/part-of: evolve
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {name}
        app.kubernetes.io/part-of: evolve
        evolve.internet: "{internet}"
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      # Requests that do not end meanwhile are given back to the queue, and run elsewhere.
      terminationGracePeriodSeconds: {seconds_to_end}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        fsGroupChangePolicy: OnRootMismatch
        seccompProfile:
          type: RuntimeDefault
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              app.kubernetes.io/name: {name}
      containers:
        - name: service
          image: evolve/{name}
          envFrom:
            - configMapRef:
                name: evolve
            - secretRef:
                name: evolve-optional
                optional: true
          env:
            - name: EVOLVE_SERVICE
              value: {service}
            - name: REDIS_USERNAME
              value: {service}
{extra}          startupProbe:
            exec:
              command: [evolve, ping, {service}, --here]
            periodSeconds: 5
            timeoutSeconds: 10
            failureThreshold: 24
          readinessProbe:
            exec:
              command: [evolve, ping, {service}, --here]
            periodSeconds: 30
            timeoutSeconds: 10
          # A probe starts an interpreter (about 0.5 s of CPU), so it is asked seldom; a replica that is stuck loses its lease in seconds anyway.
          livenessProbe:
            exec:
              command: [evolve, ping, {service}, --here]
            periodSeconds: 60
            timeoutSeconds: 10
            failureThreshold: 3
          resources:
            requests:
              cpu: {cpu}
              memory: {memory}
            limits:
              cpu: "{cpu_limit}"
              memory: {memory_limit}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          volumeMounts:
            - name: data
              mountPath: /data
            - name: scratch
              mountPath: /tmp
            - name: keys
              mountPath: /run/evolve
              readOnly: true
      volumes:
        - name: data
          persistentVolumeClaim:
            claimName: evolve-data
        - name: scratch
          emptyDir:
            sizeLimit: 1Gi
        - name: keys
          projected:
            defaultMode: 0440
            sources:
              - secret:
                  name: evolve-client-tls
              - secret:
                  name: evolve-{name}
              - secret:
                  name: evolve-database
                  items:
                    - key: url
                      path: database_url
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: {name}
    app.kubernetes.io/part-of: evolve
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
      app.kubernetes.io/part-of: evolve
"""

SLOTS = """\
            - name: EVOLVE_SAFE_EXECUTOR_SLOTS
              value: "2"
"""

SCALER = """\
# {service}: made by scripts/kubernetes.py
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: {name}
    app.kubernetes.io/part-of: evolve
spec:
  scaleTargetRef:
    name: {name}
  pollingInterval: 10
  # A replica that has nothing to do for five minutes goes; one that has is drained before it ends.
  cooldownPeriod: 300
  minReplicaCount: 1
  maxReplicaCount: {most}
  triggers:
"""

# What is done is taken out of a stream, so its length is what waits or runs. Named with a consumer group, KEDA would count only
# what replicas have taken already, and never see a queue.
TRIGGER = """\
    - type: redis-streams
      metadata:
        address: valkey:6379
        stream: "{stream}"
        streamLength: "{queued}"
        enableTLS: "true"
        databaseIndex: "0"
      authenticationRef:
        name: evolve-scaler
"""


AGES = """\
# Replicas by the age of what waits too. Needs Prometheus scraping Evolve (deploy/observability); put it after ../../keda in an overlay's
# components, and set your Prometheus' address. Made by scripts/kubernetes.py.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
"""

# Beside the lengths: how long the oldest request that no replica took has waited, as Prometheus has it from `/metrics`.
# A length alone lets one request wait for ever behind a few long ones.
AGE = """\
# {service}
- target:
    group: keda.sh
    kind: ScaledObject
    name: {name}
  patch: |
    - op: add
      path: /spec/triggers/-
      value:
        type: prometheus
        metadata:
          serverAddress: http://prometheus.monitoring.svc:9090
          query: max(evolve_queue_waiting_oldest_seconds{{service="{service}", lane="{lane}"}})
          # One more replica for each time so many seconds; below a second the answer is on its way.
          threshold: "{seconds}"
          activationThreshold: "1"
          # Nothing is known of the age while nobody is scraped: the lengths decide alone.
          ignoreNullValues: "true"
"""


def manifests() -> dict[Path, str]:
    """Path below deploy/kubernetes → content."""
    found: dict[Path, str] = {}
    for service in SERVICES:
        need = NEEDS.get(service, Need())
        name = service.replace("_", "-")
        found[Path("base/services") / f"{name}.yaml"] = DEPLOYMENT.format(
            service=service, name=name, internet=str(need.internet).lower(), cpu=need.cpu, cpu_limit=need.cpu_limit,
            memory=need.memory, memory_limit=need.memory_limit, seconds_to_end=need.seconds_to_end,
            extra=SLOTS if service == "safe_executor" else "",
        )  # fmt: skip
        triggers = [
            TRIGGER.format(stream=requests(service, lane), queued=need.queued if lane == "heavy" else 50)
            for lane in LANES
        ]
        found[Path("keda/scalers") / f"{name}.yaml"] = SCALER.format(
            service=service, name=name, most=need.most
        ) + "".join(triggers)
    ages = "".join(
        AGE.format(service=service, name=service.replace("_", "-"), lane=lane, seconds=seconds)
        for service in SERVICES
        for lane, seconds in (("light", 5), ("heavy", 120 if NEEDS.get(service) is _TRAINS else 30))
    )
    found[Path("keda-age/kustomization.yaml")] = AGES + "".join(f"  {line}\n" for line in ages.splitlines())
    for folder in ("base/services", "keda/scalers"):
        names = sorted(path.name for path in found if str(path.parent) == folder)
        head = "# made by scripts/kubernetes.py\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
        found[Path(folder) / "kustomization.yaml"] = head + "".join(f"  - {name}\n" for name in names)
    return found


def differing(root: Path) -> list[Path]:
    """The files that are not what would be written."""
    made = manifests()
    return [path for path, text in made.items() if not (root / path).is_file() or (root / path).read_text() != text]


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the manifests of the services.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when one is out of date")
    if parser.parse_args().check:
        old = differing(KUBERNETES)
        for path in old:
            print(f"{path} is out of date: run scripts/kubernetes.py", file=sys.stderr)
        return int(bool(old))
    for path, text in manifests().items():
        (KUBERNETES / path).parent.mkdir(parents=True, exist_ok=True)
        (KUBERNETES / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
