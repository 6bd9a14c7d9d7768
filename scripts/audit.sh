#!/usr/bin/env bash
# Hold every lock against the published advisories.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=()
for lock in locks/*.txt; do
  # PyTorch's CPU build has a version that only its own index knows.
  [ "$lock" != locks/torch-cpu.txt ] || continue
  echo "audit: $lock"
  scripts/tools.sh pip-audit --disable-pip --require-hashes --requirement "$lock" || failed+=("$lock")
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "audit: known vulnerabilities in ${failed[*]}" >&2
  exit 1
fi
