#!/usr/bin/env bash
# Sign an image, and the list of its packages with it, as the workflow that runs: scripts/sign.sh NAME@DIGEST SBOM
set -euo pipefail

image=$1 sbom=$2
[[ $image =~ @sha256:[0-9a-f]{64}$ ]] || { echo "sign: '$image' is not NAME@sha256:…; a tag can be moved" >&2; exit 1; }
cosign sign --yes "$image"
cosign attest --yes --type cyclonedx --predicate "$sbom" "$image"
