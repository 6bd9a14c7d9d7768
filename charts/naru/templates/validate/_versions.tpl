{{- /* What an entry may say depends on who runs it. */ -}}
{{- define "naru.validate.versions" -}}
{{- $root := . }}
{{- $serving := keys .Values.defaults | sortAlpha }}
{{- range $name, $entry := .Values.models }}
{{- range $label, $own := $entry.versions }}
{{- $at := printf "models.%s.versions.%s" $name $label }}
{{- $own = default dict $own }}
{{- if eq $entry.runtime "external" }}
{{- if eq (empty $own.endpoints) (empty $own.service) }}
{{ $at }}: an external version needs endpoints or service, one of them
{{- end }}
{{- range list "port" "namespace" }}
{{- if and (hasKey $own .) (not $own.service) }}
{{ $at }}.{{ . }}: it is a service's; an endpoint has its port in its address
{{- end }}
{{- end }}
{{- range $serving }}
{{- if or (hasKey $own .) (hasKey $entry .) }}
{{ $at }}.{{ . }}: the chart does not run an external version
{{- end }}
{{- end }}
{{- else }}
{{- range list "endpoints" "service" "port" "namespace" }}
{{- if hasKey $own . }}
{{ $at }}.{{ . }}: the chart runs this version and knows where; it belongs to runtime external
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $version := include "naru.versions" . | fromJsonArray }}
{{- $at := printf "models.%s.versions.%s" .model .label }}
{{- include "naru.validate.image" (dict "at" (printf "%s.image" $at) "image" .image) }}
{{- if eq .runtime "bentoml" }}
{{- if not (or .bento .image.repository) }}
{{ $at }}: give bento, or image.repository
{{- end }}
{{- if and .settings (not .bento) }}
{{ $at }}.settings: only the project's own services (bento) have them; use env
{{- end }}
{{- if .adapters }}
{{ $at }}.adapters: only vllm has adapters
{{- end }}
{{- else }}
{{- range list "command" "settings" "bento" }}
{{- if get $version . }}
{{ $at }}.{{ . }}: not for vllm
{{- end }}
{{- end }}
{{- end }}
{{- if and .inferencePool.enabled (or (ne .runtime "vllm") (not .inferencePool.endpointPicker.name)) }}
{{ $at }}.inferencePool: it is for vllm, and needs endpointPicker.name
{{- end }}
{{- if and .inferencePool.enabled $root.Values.networkPolicy.enabled (not $root.Values.networkPolicy.modelClients) }}
networkPolicy.modelClients: name the gateway and the endpoint picker of {{ $at }}.inferencePool: nobody else may reach its pods
{{- end }}
{{- end }}
{{- with .Values.gateway.image }}{{ include "naru.validate.image" (dict "at" "gateway.image" "image" .) }}{{ end }}
{{- if eq .Values.images.tag "latest" }}
images.tag: latest is no version: name one, or a digest
{{- end }}
{{- end -}}

{{- define "naru.validate.image" -}}
{{- if eq .image.tag "latest" }}
{{ .at }}.tag: latest is no version: name one, or a digest
{{- else if and .image.repository (not .image.tag) (not .image.digest) }}
{{ .at }}: {{ .image.repository }} has neither tag nor digest
{{- end }}
{{- end -}}
