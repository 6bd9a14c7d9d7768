#!/usr/bin/env bash
# The steps of a deploy, each by itself: scripts/deploy.sh STEP
#
#   tools      install `naru` from its lock, and helm diff by its maintainer's signature
#   verify     refuse images of VERSION that this repository's workflow did not sign
#   revision   print revision=N, what is deployed now, for a workflow's output; 0 where there is nothing
#   diff       print what an upgrade would change
#   upgrade    upgrade and wait; Helm goes back by itself if the pods do not become ready
#   smoke      ask each model through the gateway
#   canaries   give each version of CANARIES its traffic step by step, as long as Prometheus says that it deserves it
#   rollback   rollback REVISION: end unfinished canaries, go back to that revision
#
# VERSION              tag of the images and of this checkout
# RELEASE, NAMESPACE   naru, naru
# VALUES               values files, by spaces
# TIMEOUT              how long pods may take: 30m
# CANARIES             model=version pairs, by spaces
# CANARY_OPTIONS       further options of `naru rollout start`, by spaces
# PROMETHEUS           namespace/service:port that the canaries are watched through: monitoring/prometheus-operated:9090
# SMOKE_SECRET         Secret with a key for every model in its field `api-key`: naru-smoke
# REGISTRY, IDENTITY   whose images, signed by which workflow
set -euo pipefail
cd "$(dirname "$0")/.."

RELEASE=${RELEASE:-naru}
NAMESPACE=${NAMESPACE:-naru}
CHART=${CHART:-charts/naru}
TOOLS=${TOOLS:-$PWD/build/tools}
place=(--release "$RELEASE" --namespace "$NAMESPACE" --chart "$CHART")
HELM_DIFF=v3.15.11
HELM_DIFF_KEY=C5645EF47482257A1F806D2BEA17A2A206AFF8CD

fail() {
  echo "deploy: $*" >&2
  exit 1
}

chart_options() {
  options=(--namespace "$NAMESPACE" --set-string "images.tag=${VERSION:?set it to the tag of a release}")
  local file
  for file in ${VALUES:-}; do
    [ -f "$file" ] || fail "VALUES names $file, which is not there"
    options+=(--values "$file")
  done
}

naru() {
  PYTHONPATH=$PWD "$TOOLS/bin/python" -c 'from services.local.cli import main; main()' "$@"
}

# Reach a Service of the cluster on a port of this machine, for as long as this script runs: sets $forwarded.
forward() {
  local namespace=$1 service=$2 port=$3 log
  log=$(mktemp)
  kubectl --namespace "$namespace" port-forward "service/$service" ":$port" >"$log" 2>&1 &
  forwarders+=($!)
  for _ in $(seq 100); do
    forwarded=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$log" | head -n 1)
    [ -z "$forwarded" ] || return 0
    kill -0 "${forwarders[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  fail "$namespace/$service can't be reached: $(tail -n 1 "$log")"
}

forwarders=()
trap '[ ${#forwarders[@]} -eq 0 ] || kill "${forwarders[@]}" 2>/dev/null || true' EXIT

gateway() {
  local name
  name=$(kubectl --namespace "$NAMESPACE" get service --output name \
    --selector "app.kubernetes.io/instance=$RELEASE,app.kubernetes.io/component=gateway" | head -n 1)
  [ -n "$name" ] || fail "there is no gateway of $RELEASE in $NAMESPACE"
  echo "${name#service/}"
}

watch_place() {
  local where=${PROMETHEUS:-monitoring/prometheus-operated:9090} service
  service=${where#*/}
  forward "${where%%/*}" "${service%:*}" "${service##*:}"
  watched=(--prometheus "http://127.0.0.1:$forwarded" --match "namespace=$NAMESPACE")
}

tools() {
  python3.11 -m venv "$TOOLS"
  "$TOOLS/bin/pip" install --quiet --no-deps --only-binary :all: --require-hashes --requirement locks/cli.txt
  local keys
  keys=$(mktemp --directory)
  curl --silent --show-error --fail --location --output "$keys/found" https://github.com/databus23.gpg
  gpg --homedir "$keys" --quiet --import "$keys/found"
  gpg --homedir "$keys" --batch --export "$HELM_DIFF_KEY" >"$keys/helm-diff.gpg"
  [ -s "$keys/helm-diff.gpg" ] || fail "the key of helm diff's maintainer is not $HELM_DIFF_KEY any more"
  helm plugin install --keyring "$keys/helm-diff.gpg" \
    "https://github.com/databus23/helm-diff/releases/download/$HELM_DIFF/helm-diff-linux-amd64.tgz"
}

verify() {
  local image identity=${IDENTITY:-https://github.com/naru-serving/naru/.github/workflows/images.yaml}
  for image in gateway sentiment recommendation llm-cpu; do
    cosign verify "${REGISTRY:-ghcr.io/naru-serving}/$image:$VERSION" --output text >/dev/null \
      --certificate-identity "$identity@refs/tags/$VERSION" \
      --certificate-oidc-issuer https://token.actions.githubusercontent.com ||
      fail "$image:$VERSION is not signed by $identity at $VERSION"
    echo "deploy: $image:$VERSION is signed"
  done
}

revision() {
  helm list --namespace "$NAMESPACE" --filter "^$RELEASE\$" --deployed --output json |
    jq --raw-output '"revision=\(.[0].revision // 0)"'
}

diff_upgrade() {
  helm diff upgrade "$RELEASE" "$CHART" "${options[@]}" --allow-unreleased --normalize-manifests --no-color
}

upgrade() {
  helm upgrade "$RELEASE" "$CHART" "${options[@]}" --install --create-namespace \
    --rollback-on-failure --wait --timeout "${TIMEOUT:-30m}"
}

smoke() {
  local key
  key=$(kubectl --namespace "$NAMESPACE" get secret "${SMOKE_SECRET:-naru-smoke}" --output 'jsonpath={.data.api-key}' |
    base64 --decode)
  [ -n "$key" ] || fail "the Secret ${SMOKE_SECRET:-naru-smoke} has no field api-key"
  forward "$NAMESPACE" "$(gateway)" 8080
  NARU_API_KEY=$key scripts/smoke.sh "http://127.0.0.1:$forwarded"
}

canaries() {
  local pair options_given
  [ -n "${CANARIES:-}" ] || { echo "deploy: no canaries"; return 0; }
  read -ra options_given <<<"${CANARY_OPTIONS:-}"
  watch_place
  for pair in $CANARIES; do
    echo "deploy: ${pair%%=*} to ${pair#*=}"
    naru rollout start "${pair%%=*}" --canary "${pair#*=}" "${place[@]}" "${watched[@]}" --undecided rollback \
      "${options_given[@]}"
  done
}

rollback() {
  local to=${1:-0} pair
  for pair in ${CANARIES:-}; do
    naru rollout rollback "${pair%%=*}" --unfinished "${place[@]}" || true
  done
  [ "$to" -gt 0 ] ||
    fail "there was no revision before this one: it stays as it is, to be looked at"
  helm rollback "$RELEASE" "$to" --namespace "$NAMESPACE" --wait --timeout "${TIMEOUT:-30m}"
  echo "deploy: $RELEASE is back at what revision $to was"
}

case ${1:-} in
  diff | upgrade)
    chart_options
    if [ "$1" = diff ]; then diff_upgrade; else upgrade; fi ;;
  tools | verify | revision | smoke | canaries | rollback) "$@" ;;
  *) sed -n '2,25p' "$0" >&2; exit 2 ;;
esac
