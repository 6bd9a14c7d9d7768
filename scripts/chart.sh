#!/usr/bin/env bash
# The chart in continuous integration: scripts/chart.sh STEP
#
#   lint           lint the chart with each case of its folder ci
#   cases          print cases=[…], the names of the cases, for a workflow's matrix
#   install CASE   bring a case into the cluster that kubectl speaks to, named naru in kind
#   publish VERSION   package the chart as VERSION, push it to REGISTRY and sign it
#
# A case that needs GPUs, or a kind of object that the cluster does not know, is rendered, and what the cluster does know
# of it is held against its API server without being made. `kind` is installed, and asked by `helm test`.
set -euo pipefail
cd "$(dirname "$0")/.."

chart=${CHART:-charts/naru}
registry=${REGISTRY:-ghcr.io/naru-serving}

cases() {
  basename --suffix=-values.yaml --multiple "$chart"/ci/*-values.yaml
}

lint() {
  local case
  for case in $(cases); do
    echo "chart: lint $case"
    helm lint "$chart" --strict --values "$chart/ci/$case-values.yaml"
  done
}

# What the API server says to each rendered file whose kinds it knows.
try_out() {
  local folder known file unknown
  folder=$(mktemp --directory)
  helm template naru "$chart" --namespace naru --values "$chart/ci/$1-values.yaml" --no-hooks \
    --output-dir "$folder" >/dev/null
  known=$(kubectl api-versions)
  while IFS= read -r file; do
    unknown=$(sed -n 's/^apiVersion: *//p' "$file" | sort -u | grep --line-regexp --fixed-strings --invert-match \
      --file=<(echo "$known") || true)
    if [ -n "$unknown" ]; then
      echo "chart: ${file##*/} is not tried: this cluster does not know ${unknown//$'\n'/, }"
    else
      kubectl apply --namespace naru --dry-run=server --filename "$file"
    fi
  done < <(find "$folder" -name '*.yaml' | sort)
}

install() {
  local case=$1 image
  kubectl create namespace naru --dry-run=client --output yaml | kubectl apply --filename -
  if [ "$case" != kind ]; then
    try_out "$case"
    return
  fi
  for image in gateway sentiment recommendation llm-cpu; do
    kind load docker-image --name naru "$registry/$image:${TAG:-ci}"
  done
  helm install naru "$chart" --namespace naru --values "$chart/values-kind.yaml" \
    --values "$chart/ci/kind-values.yaml" --wait --timeout 20m || {
    kubectl --namespace naru get pods,events >&2
    exit 1
  }
  helm test naru --namespace naru --logs
}

publish() {
  local version=${1#v} digest
  helm package "$chart" --version "$version" --app-version "v$version" --destination build
  digest=$(helm push "build/naru-$version.tgz" "oci://$registry/charts" 2>&1 | sed -n 's/^Digest: *//p')
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "chart: pushed without a digest: '$digest'" >&2; exit 1; }
  cosign sign --yes "$registry/charts/naru@$digest"
}

case ${1:-} in
  cases) echo "cases=$(cases | jq --raw-input . | jq --slurp --compact-output .)" ;;
  lint) lint ;;
  install | publish) "$1" "${2:?$1 what}" ;;
  *) sed -n '2,11p' "$0" >&2; exit 2 ;;
esac
