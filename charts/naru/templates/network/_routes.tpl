{{- /* The Gateways that both routes hang on. */ -}}
{{- define "naru.parentRefs" -}}
parentRefs:
{{- if .Values.gatewayApi.gateway.create }}
  - name: {{ include "naru.fullname" . | quote }}
{{- end }}
{{- range $name, $parent := .Values.gatewayApi.parentRefs }}
  - name: {{ $name | quote }}
    {{- with default dict $parent }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end -}}
