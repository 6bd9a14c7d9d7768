{{- /* The scaling of both kinds of autoscaler, in steps that a model's loading time allows. */ -}}
{{- define "naru.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: {{ int .scaleUp.stabilization }}
  policies:
    - {type: Pods, value: {{ int .scaleUp.pods }}, periodSeconds: 60}
scaleDown:
  stabilizationWindowSeconds: {{ int .scaleDown.stabilization }}
  policies:
    - {type: Pods, value: {{ int .scaleDown.pods }}, periodSeconds: 60}
{{- end -}}

{{- define "naru.scaleTarget" -}}
apiVersion: {{ ternary "apps/v1" "leaderworkerset.x-k8s.io/v1" (eq .kind "Deployment") }}
kind: {{ .kind }}
name: {{ .name | quote }}
{{- end -}}

{{- /*
What a version has to do, in PromQL: the requests that gateways run or hold, by the version's share of the weights. With no
request yet it is 0, so long as a gateway is scraped at all; with none scraped it is nothing, which KEDA takes for a fault and
not for an idle model.
*/ -}}
{{- define "naru.inFlightQuery" -}}
{{- $requests := printf "sum(naru_inflight_requests{namespace=%q,model=%q})" .namespace .version.model -}}
{{- printf "%s * %s or sum(up{namespace=%q,job=\"gateway\"}) * 0" $requests (.version.share | toJson) .namespace -}}
{{- end -}}

{{- /* Requests that gateways hold, by the version's share of the weights. */ -}}
{{- define "naru.queuedQuery" -}}
{{- printf "sum(naru_queue_depth{namespace=%q,model=%q}) * %s" .namespace .version.model (.version.share | toJson) -}}
{{- end -}}

{{- /* Requests of the last minute: what is over between two scrapes keeps a model from being taken for idle, too. */ -}}
{{- define "naru.usedQuery" -}}
{{- printf "sum(increase(naru_requests_total{namespace=%q,model=%q}[1m]))" .namespace .version.model -}}
{{- end -}}

{{- /* 1 while a model is being started for a request, also if its client has gone meanwhile. */ -}}
{{- define "naru.loadingQuery" -}}
{{- printf "max(naru_model_activating{namespace=%q,model=%q})" .namespace .version.model -}}
{{- end -}}

{{- define "naru.engineQuery" -}}
{{- printf "%s(%s{namespace=%q,naru_model=%q,naru_version=%q})" .aggregate .metric .namespace .version.model .version.label -}}
{{- end -}}

{{- /* How many times faster than `slo.percentile` allows requests miss `slo.ttft`, over five minutes. */ -}}
{{- define "naru.ttftBurnQuery" -}}
{{- $rate := "sum(rate(naru_slo_requests_total{namespace=%q,model=%q,objective=\"ttft\"%s}[5m]))" -}}
{{- $missed := printf $rate .namespace .version.model ",met=\"false\"" -}}
{{- $allowed := divf (subf 100.0 (float64 .version.percentile)) 100.0 | toJson -}}
{{- printf "%s / (%s > 0) / %s" $missed (printf $rate .namespace .version.model "") $allowed -}}
{{- end -}}

{{- /*
KEDA's triggers for a version: `address` of Prometheus, `namespace`, `version`. Those of a model that can go to zero and are
no signal of load keep the one pod that there is, or starts, and never ask for a second one.
*/ -}}
{{- define "naru.triggers" -}}
{{- $signals := .version.autoscaling.signals -}}
{{- $waiting := merge (dict "aggregate" "sum" "metric" "vllm:num_requests_waiting") . -}}
{{- $cache := merge (dict "aggregate" "avg" "metric" "vllm:kv_cache_usage_perc") . -}}
{{- $keeps := ternary 1000000000 nil (eq (int .version.autoscaling.min) 0) -}}
{{- $triggers := list
    (dict "name" "loading" "threshold" $keeps "type" "Value" "query" (include "naru.loadingQuery" .))
    (dict "name" "used" "threshold" $keeps "type" "Value" "query" (include "naru.usedQuery" .))
    (dict "name" "in-flight" "threshold" $signals.inFlight "type" "AverageValue" "query" (include "naru.inFlightQuery" .) "strict" true)
    (dict "name" "queued" "threshold" $signals.queued "type" "AverageValue" "query" (include "naru.queuedQuery" .))
    (dict "name" "waiting" "threshold" $signals.waiting "type" "AverageValue" "query" (include "naru.engineQuery" $waiting))
    (dict "name" "kv-cache" "threshold" $signals.kvCache "type" "Value" "query" (include "naru.engineQuery" $cache))
    (dict "name" "ttft-burn" "threshold" $signals.ttftBurn "type" "Value" "query" (include "naru.ttftBurnQuery" .)) -}}
{{- range $triggers }}
{{- if .threshold }}
- type: prometheus
  name: {{ .name }}
  metricType: {{ .type }}
  metadata:
    serverAddress: {{ $.address | quote }}
    query: {{ .query | quote }}
    threshold: {{ .threshold | toJson | quote }}
    activationThreshold: "0"
    ignoreNullValues: {{ ternary "false" "true" (not (empty .strict)) | quote }}
{{- end }}
{{- end }}
{{- end -}}
