{{- /* The model that `helm test` asks: the one named, else the first chat model. */ -}}
{{- define "naru.testModel" -}}
{{- include "naru.prune" . -}}
{{- if .Values.test.model -}}
{{- .Values.test.model -}}
{{- else -}}
{{- range $name, $entry := .Values.models }}{{ if eq $entry.task "chat" }}{{ $name }}{{ break }}{{ end }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "naru.testSelector" -}}
{{ include "naru.selector" . }}
app.kubernetes.io/component: test
{{- end -}}
