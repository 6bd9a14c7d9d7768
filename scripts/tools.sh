#!/usr/bin/env bash
# Run a command of the supply chain's tools (cyclonedx-py, pip-audit), installed from their lock: scripts/tools.sh COMMAND ...
set -euo pipefail
cd "$(dirname "$0")/.."

lock=locks/supply-chain.txt
folder=${NARU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/naru}/tools/$(sha256sum "$lock" | cut -c1-16)
if [ ! -e "$folder/complete" ]; then
  rm -rf "$folder"
  python3.11 -m venv "$folder"
  "$folder/bin/pip" install --quiet --no-deps --only-binary :all: --require-hashes --requirement "$lock" >&2
  touch "$folder/complete"
fi
exec "$folder/bin/$1" "${@:2}"
