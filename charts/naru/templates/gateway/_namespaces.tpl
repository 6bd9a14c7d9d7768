{{- /* The namespaces whose EndpointSlices the gateway reads: its own, and those of Services that the chart does not run. */ -}}
{{- define "naru.namespaces" -}}
{{- include "naru.prune" . -}}
{{- $found := list .Release.Namespace -}}
{{- range .Values.models -}}
{{- range .versions }}{{ with dig "namespace" "" (default dict .) }}{{ $found = append $found . }}{{ end }}{{ end -}}
{{- end -}}
{{- uniq $found | toJson -}}
{{- end -}}
