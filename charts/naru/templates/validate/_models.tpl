{{- define "naru.validate.models" -}}
{{- if not .Values.models }}
models: there is none; add an entry, or try values-kind.yaml
{{- end }}
{{- range $name, $entry := .Values.models }}
{{- $at := printf "models.%s" $name }}
{{- if not $entry.versions }}
{{ $at }}.versions: there is none
{{- end }}
{{- $weights := 0 }}
{{- $serving := 0 }}
{{- range $label, $version := $entry.versions }}
{{- $weight := include "naru.weight" $version | int }}
{{- $weights = add $weights $weight }}
{{- if $weight }}{{ $serving = add1 $serving }}{{ end }}
{{- if and (dig "mirror" 0 (default dict $version)) $weight }}
{{ $at }}.versions.{{ $label }}: a version that mirrors takes no share of the traffic: give it weight 0
{{- end }}
{{- end }}
{{- if and $entry.versions (eq (int $weights) 0) }}
{{ $at }}.versions: every weight is 0: one version must take the traffic
{{- else if and (gt (int $serving) 1) (ne (int $weights) 100) }}
{{ $at }}.versions: the weights add up to {{ $weights }}, not to 100
{{- end }}
{{- if and (eq $entry.runtime "vllm") (not (has $entry.task (list "chat" "embedding"))) }}
{{ $at }}.task: vllm serves chat and embedding, not {{ $entry.task }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Objects are named after slugs: two that become one would overwrite each other. */ -}}
{{- define "naru.validate.names" -}}
{{- $seen := dict }}
{{- range include "naru.versions" . | fromJsonArray }}
{{- $mine := printf "models.%s.versions.%s" .model .label }}
{{- with get $seen .name }}
{{ $mine }}: its objects would have the name of {{ . }}'s
{{- end }}
{{- $_ := set $seen .name $mine }}
{{- if or (eq .modelLabel "") (eq .versionLabel "") }}
{{ $mine }}: a name needs a letter or a digit
{{- end }}
{{- end }}
{{- end -}}
