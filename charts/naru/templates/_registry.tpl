{{- /*
The gateway's registry, from the same map as everything else: what of an entry is not the chart's own is the registry's, so
a field that the registry learns needs nothing here.
*/ -}}
{{- define "naru.registry" -}}
{{- include "naru.prune" . -}}
{{- $root := . -}}
{{- $chart := concat (list "runtime" "versions" "adapters") (keys .Values.defaults) -}}
{{- $run := dict -}}
{{- range include "naru.versions" . | fromJsonArray }}{{ $_ := set $run (printf "%s\n%s" .model .label) . }}{{ end -}}
{{- $models := dict -}}
{{- range $name, $entry := .Values.models -}}
{{- $model := dict -}}
{{- range $field, $value := $entry }}{{ if not (has $field $chart) }}{{ $_ := set $model $field $value }}{{ end }}{{ end -}}
{{- with $entry.adapters }}{{ $_ := set $model "adapters" (keys . | sortAlpha) }}{{ end -}}
{{- $versions := dict -}}
{{- $held := 0 -}}
{{- range $label, $own := $entry.versions -}}
{{- $version := dict -}}
{{- range $field, $value := $own }}{{ if not (has $field $chart) }}{{ $_ := set $version $field $value }}{{ end }}{{ end -}}
{{- with get $run (printf "%s\n%s" $name $label) -}}
{{- $_ := set $version "service" .name -}}
{{- $_ := set $version "port" "http" -}}
{{- if include "naru.held" . }}{{ $held = max $held (add (int .loading.usual) (int .loading.usual)) }}{{ end -}}
{{- end -}}
{{- $_ := set $versions $label $version -}}
{{- end -}}
{{- $_ := set $model "versions" $versions -}}
{{- if and $held (not (hasKey $model "activation")) }}{{ $_ := set $model "activation" (dict "timeout" (printf "%ds" $held)) }}{{ end -}}
{{- $_ := set $models $name $model -}}
{{- end -}}
{{- dict "models" $models | toYaml -}}
{{- end -}}

{{- /* Whether requests may find none of a version's pods ready in good times, so that the gateway must hold them: "true" or "". */ -}}
{{- define "naru.held" -}}
{{- $few := include "naru.fewestReplicas" . | int -}}
{{- if or (eq $few 0) (and (le $few 1) (not (include "naru.surges" .))) }}true{{ end -}}
{{- end -}}
