#!/bin/sh
# Which images? `pin` asks the registry for the digests behind the tags and writes deploy/images.env; `build` builds and tags one
# image per service from the pinned base. Nothing here guesses a digest: without `pin`, `build` and compose stop.
# ENGINE=podman builds without a daemon (in Docker's format: the other one has no health check); BUILD_OPTIONS goes to the build: a mirror,
# certificates, a network.
set -eu
cd "$(dirname "$0")/.."
pins=deploy/images.env
python_tag=python:3.12-slim-bookworm valkey_tag=valkey/valkey:8.1-bookworm postgres_tag=postgres:17-bookworm
prometheus_tag=prom/prometheus:v3.5.0 grafana_tag=grafana/grafana:12.1.0
services="meta_tuner model_builder multimodal performance_critic prompt_router quant_gpt research safe_executor updater"

digest() { # the digest of a tag's index, so that every architecture is pinned at once
  docker buildx imagetools inspect "$1" --format '{{.Manifest.Digest}}'
}

pinned() { # NAME: its line in the pins, which must end in a digest
  value=$(sed -n "s/^$1=//p" "$pins" 2>/dev/null || true)
  case $value in
    *@sha256:????????????????????????????????????????????????????????????????) printf '%s\n' "$value" ;;
    *) echo "image.sh: $1 is not pinned in $pins; run \`deploy/image.sh pin\` where a registry can be reached" >&2; exit 1 ;;
  esac
}

case ${1:-} in
  pin)
    python=$(digest "$python_tag") valkey=$(digest "$valkey_tag") postgres=$(digest "$postgres_tag")
    prometheus=$(digest "$prometheus_tag") grafana=$(digest "$grafana_tag")
    printf '%s=%s@%s\n' BASE_IMAGE "$python_tag" "$python" VALKEY_IMAGE "$valkey_tag" "$valkey" POSTGRES_IMAGE "$postgres_tag" "$postgres" \
      PROMETHEUS_IMAGE "$prometheus_tag" "$prometheus" GRAFANA_IMAGE "$grafana_tag" "$grafana" >"$pins"
    cat "$pins"
    ;;
  build)
    base=$(pinned BASE_IMAGE)
    engine=${ENGINE:-docker}
    [ "$engine" != podman ] || BUILD_OPTIONS="--format docker ${BUILD_OPTIONS:-}"
    tag=${2:-latest}
    for service in $services web; do
      name=evolve/$(printf %s "$service" | tr _ -):$tag
      # shellcheck disable=SC2086  # options are words
      "$engine" build ${BUILD_OPTIONS:-} --file deploy/Dockerfile --build-arg "BASE=$base" --build-arg "TORCH=${TORCH:-cpu}" \
        --build-arg "SERVICE=$service" --tag "$name" .
    done
    ;;
  *)
    echo "usage: deploy/image.sh pin | build [TAG]      (TORCH=no leaves torch out)" >&2
    exit 2
    ;;
esac
