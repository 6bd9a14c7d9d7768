#!/usr/bin/env bash
# The Dockerfile's base image as it is now, pinned by digest: prints image=NAME@DIGEST for a workflow's output.
set -euo pipefail
cd "$(dirname "$0")/.."

name=$(sed -n 's/^ARG PYTHON_BASE=//p' Dockerfile)
digest=$(docker buildx imagetools inspect "$name" --format '{{json .Manifest}}' | jq --exit-status --raw-output .digest)
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "base-image: $name has no digest: '$digest'" >&2; exit 1; }
echo "image=$name@$digest"
