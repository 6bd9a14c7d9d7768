#!/usr/bin/env bash
# What some tests need from Debian or Ubuntu, on a machine of continuous integration; without it they are skipped.
set -euo pipefail

packages=(redis-server prometheus chromium npm buildah debootstrap)
sudo apt-get update --quiet
sudo apt-get install --quiet --yes --no-install-recommends "${packages[@]}"
