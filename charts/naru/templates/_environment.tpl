{{- /* Nested settings as environment variables: `prefix` NARU_GATEWAY and {upstream: {retries: 1}} give NARU_GATEWAY__UPSTREAM__RETRIES. */ -}}
{{- define "naru.settings" -}}
{{- $prefix := .prefix -}}
{{- range $name, $value := .settings }}
{{- $variable := printf "%s__%s" $prefix (upper $name) }}
{{- if kindIs "map" $value }}
{{- include "naru.settings" (dict "prefix" $variable "settings" $value) }}
{{- else if not (kindIs "invalid" $value) }}
- name: {{ $variable | quote }}
  value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Variables by name: a string, or a field of a Secret. */ -}}
{{- define "naru.variables" -}}
{{- range $name, $value := . }}
- name: {{ $name | quote }}
{{- if kindIs "map" $value }}
  valueFrom:
    secretKeyRef:
      name: {{ $value.secret | quote }}
      key: {{ $value.key | quote }}
{{- else }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* One variable of a Secret's field: name, secret, key. */ -}}
{{- define "naru.secretVariable" -}}
- name: {{ .name | quote }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret | quote }}
      key: {{ .key | quote }}
{{- end -}}

{{- /* The tolerations of a map by name. */ -}}
{{- define "naru.tolerations" -}}
{{- with . -}}
tolerations:
{{- range $name, $toleration := . }}
  - {{ toYaml $toleration | nindent 4 | trim }}
{{- end }}
{{- end }}
{{- end -}}
