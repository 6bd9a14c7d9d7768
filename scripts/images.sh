#!/usr/bin/env bash
# Build Naru's images with docker or buildah, whichever is here: scripts/images.sh [IMAGE ...]
#
# REGISTRY, TAG       what they are called: ghcr.io/naru-serving, what `git describe` says
# ENGINE              docker or buildah, where both could do it
# PYTHON_BASE         an image with python3.11 and its venv module
# PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS   pip's own variables, for a mirror
# PIP_CONFIG_FILE     pip's own too: the file is there during the build and not in the image, for one with a password
# TORCH_INDEX         where PyTorch's CPU builds are, if the configured index has none
# BUILD_FLAGS         further options for the engine
set -euo pipefail
cd "$(dirname "$0")/.."

registry=${REGISTRY:-ghcr.io/naru-serving}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
version=$(git describe --tags --always --dirty 2>/dev/null || echo 0.0.0)
tag=${TAG:-$version}
images=("$@")
[ $# -gt 0 ] || images=(gateway sentiment recommendation llm-cpu)

engine() {
  if [ -n "${ENGINE:-}" ]; then
    echo "$ENGINE"
  elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    echo docker
  elif command -v buildah >/dev/null; then
    echo buildah
  else
    echo "images: neither a docker engine nor buildah is here: install one of them" >&2
    return 1
  fi
}

about=org.opencontainers.image
options=(--file Dockerfile --label "$about.revision=$revision" --label "$about.version=$version")
for name in PYTHON_BASE PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS TORCH_INDEX; do
  [ -z "${!name+set}" ] || options+=(--build-arg "$name=${!name}")
done
[ -z "${PIP_CONFIG_FILE:-}" ] || options+=(--secret "id=pip.conf,src=$PIP_CONFIG_FILE")
read -ra further <<<"${BUILD_FLAGS:-}"

engine=$(engine)
case $engine in
  docker) build=(docker buildx build --load) ;;
  # HEALTHCHECK is not part of OCI's own format.
  buildah) build=(buildah build --format docker --layers) ;;
  *) echo "images: ENGINE is $engine: choose docker or buildah" >&2; exit 1 ;;
esac
for image in "${images[@]}"; do
  echo "images: $registry/$image:$tag with $engine"
  "${build[@]}" "${options[@]}" "${further[@]}" --target "$image" --tag "$registry/$image:$tag" .
done
