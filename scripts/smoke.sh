#!/usr/bin/env bash
# Ask every model one question through a gateway: scripts/smoke.sh URL
#
# NARU_API_KEY   a key that may use every model
# SMOKE_WAIT     seconds until all of them must be ready: 60
# shellcheck disable=SC2016 # the dollars are jq's
set -euo pipefail

url=${1%/}
: "${NARU_API_KEY:?set it to a key that may use every model}"
asked=0

# The key goes in by a file descriptor: a command line can be read by others.
get() {
  curl --silent --show-error --fail-with-body --max-time 120 \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "$NARU_API_KEY") "$@"
}

post() {
  get --header 'content-type: application/json' --data "$2" "$url$1"
}

question() {
  jq --null-input --compact-output --arg model "$1" "$2"
}

chat() {
  local answer
  answer=$(post /v1/chat/completions "$(question "$1" \
    '{model: $model, stream: true, max_tokens: 8, messages: [{role: "user", content: "Say yes."}]}')")
  # A stream that was cut has no last line.
  [ "$(printf '%s' "$answer" | tr -d '\r' | grep '^data: ' | tail -n 1)" = 'data: [DONE]' ] || return 1
  printf '%s' "$answer" | sed -n 's/^data: {/{/p' |
    jq --slurp --exit-status '[.[].choices[]?.delta.content // ""] | add | length > 0' >/dev/null
}

sentiment() {
  post /v1/sentiment "$(question "$1" '{model: $model, input: "What a lovely ferry ride!"}')" |
    jq --exit-status '.results[0].label' >/dev/null
}

recommendation() {
  post /v1/recommendations "$(question "$1" '{model: $model, k: 1}')" | jq --exit-status '.items | length > 0' >/dev/null
}

embedding() {
  post /v1/embeddings "$(question "$1" '{model: $model, input: "a ferry"}')" |
    jq --exit-status '.data[0].embedding | length > 0' >/dev/null
}

deadline=$((SECONDS + ${SMOKE_WAIT:-60}))
until models=$(get "$url/v1/models") && jq --exit-status '.data | length > 0 and all(.ready)' >/dev/null <<<"$models"; do
  if [ "$SECONDS" -ge "$deadline" ]; then
    echo "smoke: not ready: $(jq --raw-output '[.data[] | select(.ready | not) | .id] | join(", ")' <<<"$models")" >&2
    exit 1
  fi
  sleep 1
done
while IFS=$'\t' read -r model task; do
  case $task in
    chat | sentiment | recommendation | embedding)
      "$task" "$model" || { echo "smoke: $model ($task) did not answer as it should" >&2; exit 1; } ;;
    *) echo "smoke: $model: no question for the task $task" >&2; exit 1 ;;
  esac
  echo "smoke: $model ($task) answered"
  asked=$((asked + 1))
done < <(jq --raw-output '.data[] | [.id, .task] | @tsv' <<<"$models")
echo "smoke: $asked models answered"
