{{- /* The namespaces whose EndpointSlices the gateway reads: its own, and those of Services that the chart does not run. */ -}}
{{- define "naru.namespaces" -}}
{{- include "naru.prune" . -}}
{{- $found := list .Release.Namespace -}}
{{- range .Values.models -}}
{{- range .versions }}{{ with dig "namespace" "" (default dict .) }}{{ $found = append $found . }}{{ end }}{{ end -}}
{{- end -}}
{{- uniq $found | toJson -}}
{{- end -}}

{{- /* The Role's name in a namespace: `root`, `namespace`. In somebody else's a release of Naru may have one already. */ -}}
{{- define "naru.roleName" -}}
{{- $own := eq .namespace .root.Release.Namespace -}}
{{- $name := include "naru.gateway" .root -}}
{{- include "naru.short" (dict "name" (ternary $name (printf "%s-%s" $name .root.Release.Namespace) $own) "most" 63) -}}
{{- end -}}
