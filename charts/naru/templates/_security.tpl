{{- /* What the restricted Pod Security Standard asks of a pod, and of a container. */ -}}
{{- define "naru.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.security.user }}
runAsUser: {{ int . }}
{{- end }}
{{- with .Values.security.group }}
runAsGroup: {{ int . }}
fsGroup: {{ int . }}
{{- end }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "naru.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
