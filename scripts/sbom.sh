#!/usr/bin/env bash
# List what an image's lock installs, as CycloneDX: scripts/sbom.sh IMAGE FILE
set -euo pipefail
cd "$(dirname "$0")/.."

image=$1 file=$2
case $image in
  llm-cpu) locks=(locks/torch-cpu.txt locks/llm.txt) ;;
  *) locks=("locks/$image.txt") ;;
esac
cat "${locks[@]}" | scripts/tools.sh cyclonedx-py requirements --pyproject pyproject.toml --mc-type application \
  --output-reproducible --output-format JSON --output-file "$file" -
