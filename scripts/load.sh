#!/usr/bin/env bash
# Load on the stack of this machine, from nothing to a report: scripts/load.sh FOLDER
#
# Fails where an objective of the registry did not hold. LOAD has options in place of a ramp to 8 users in 10 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$1
BIN=${BIN:-.venv/bin}
mkdir -p "$folder"
make install
trap '"$BIN/naru" down' EXIT
"$BIN/naru" up --detach
"$BIN/python" -m loadtests.memory | tee "$folder/memory.txt"
make load LOAD="${LOAD:---load ramp --users 8 --run-time 10m} --out $folder"
