{{- define "naru.validate.scaling" -}}
{{- $values := .Values }}
{{- range include "naru.versions" . | fromJsonArray }}
{{- $at := printf "models.%s.versions.%s.autoscaling" .model .label }}
{{- $scaling := .autoscaling }}
{{- if ne $scaling.kind "none" }}
{{- if gt (int $scaling.min) (int $scaling.max) }}
{{ $at }}.min: {{ int $scaling.min }} is above max ({{ int $scaling.max }})
{{- end }}
{{- if not (or $scaling.signals.inFlight $scaling.signals.queued $scaling.signals.waiting $scaling.signals.kvCache $scaling.signals.ttftBurn) }}
{{ $at }}.signals: there is none to scale by
{{- end }}
{{- if and (ne .runtime "vllm") (or $scaling.signals.waiting $scaling.signals.kvCache) }}
{{ $at }}.signals: waiting and kvCache are vLLM's
{{- end }}
{{- if and $scaling.signals.ttftBurn (not (dig "slo" "ttft" nil (get $values.models .model))) }}
{{ $at }}.signals.ttftBurn: the model has no slo.ttft
{{- end }}
{{- end }}
{{- if eq $scaling.kind "hpa" }}
{{- if eq (int $scaling.min) 0 }}
{{ $at }}.min: a HorizontalPodAutoscaler does not start a model that is at 0: use kind keda
{{- end }}
{{- if and (or $scaling.signals.inFlight $scaling.signals.queued $scaling.signals.ttftBurn) (not (regexMatch "^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$" .model)) }}
{{ $at }}.kind: {{ .model }} can't be a label's value, which hpa selects by: use kind keda
{{- end }}
{{- end }}
{{- if eq $scaling.kind "keda" }}
{{- if not $values.prometheus.address }}
prometheus.address: models.{{ .model }} scales by keda, which asks a Prometheus
{{- end }}
{{- if and (eq (int $scaling.min) 0) (not $scaling.signals.inFlight) }}
{{ $at }}.signals.inFlight: without it nothing starts a model that is at 0
{{- end }}
{{- if and (eq (int $scaling.min) 0) (lt (int $scaling.idle) (int .loading.usual)) }}
{{ $at }}.idle: after {{ int $scaling.idle }} s the model would be stopped while it loads ({{ int .loading.usual }} s, loading.usual)
{{- end }}
{{- end }}
{{- include "naru.validate.held" (dict "version" . "values" $values) }}
{{- end }}
{{- end -}}

{{- /* A request that is held for a model must be held for as long as the model loads. */ -}}
{{- define "naru.validate.held" -}}
{{- $held := dig "timeout" nil (default dict (get .values.models .version.model).activation) }}
{{- if and $held (include "naru.held" .version) (lt (include "naru.seconds" $held | int) (int .version.loading.usual)) }}
models.{{ .version.model }}.activation.timeout: {{ $held }} is shorter than version {{ .version.label }} loads ({{ int .version.loading.usual }} s, loading.usual)
{{- end }}
{{- end -}}
