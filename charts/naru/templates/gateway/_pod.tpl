{{- /* The gateway's container. Registry and keys are mounted as folders, not by subPath: a change arrives while it runs. */ -}}
{{- define "naru.gatewayContainer" -}}
- name: gateway
  image: {{ include "naru.image" (dict "root" . "image" .Values.gateway.image "name" "gateway") | quote }}
  imagePullPolicy: {{ .Values.images.pullPolicy }}
  securityContext:
    {{- include "naru.containerSecurity" . | nindent 4 }}
  env:
    {{- include "naru.gatewayEnvironment" . | nindent 4 }}
    {{- include "naru.variables" .Values.gateway.env | nindent 4 }}
  ports:
    - name: http
      containerPort: 8080
    {{- if .Values.gateway.grpc.enabled }}
    - name: grpc
      containerPort: 8081
    {{- end }}
    - name: admin
      containerPort: 8082
  startupProbe:
    httpGet: {path: /livez, port: admin}
    periodSeconds: 1
    timeoutSeconds: 2
    failureThreshold: 60
  readinessProbe:
    httpGet: {path: /readyz, port: admin}
    periodSeconds: 2
    timeoutSeconds: 2
    failureThreshold: 2
  livenessProbe:
    httpGet: {path: /livez, port: admin}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  lifecycle:
    preStop:
      sleep:
        seconds: {{ int .Values.gateway.preStop }}
  resources:
    {{- toYaml .Values.gateway.resources | nindent 4 }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    - name: registry
      mountPath: /etc/naru/registry
      readOnly: true
    {{- if .Values.keys.existingSecret }}
    - name: keys
      mountPath: /etc/naru/keys
      readOnly: true
    {{- end }}
    {{- if .Values.gateway.grpc.tls.existingSecret }}
    - name: grpc-tls
      mountPath: /etc/naru/grpc-tls
      readOnly: true
    {{- end }}
{{- end -}}

{{- /* The variables that the chart itself sets. */ -}}
{{- define "naru.gatewayEnvironment" -}}
{{- $gateway := .Values.gateway -}}
- name: NARU_GATEWAY__REGISTRY
  value: /etc/naru/registry/registry.yaml
- name: NARU_GATEWAY__HTTP__HOST
  value: 0.0.0.0
- name: NARU_GATEWAY__ADMIN__HOST
  value: 0.0.0.0
- name: NARU_GATEWAY__GRPC__HOST
  value: 0.0.0.0
- name: NARU_GATEWAY__GRPC__ENABLED
  value: {{ $gateway.grpc.enabled | quote }}
- name: NARU_GATEWAY__DRAIN__TIMEOUT
  value: {{ $gateway.drainTimeout | quote }}
- name: NARU_GATEWAY__KUBERNETES__NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
# Kubernetes gives pods their node's zone as a label from 1.35 on; empty before, and the gateway then knows no zone.
- name: NARU_GATEWAY__KUBERNETES__ZONE
  valueFrom:
    fieldRef: {fieldPath: "metadata.labels['topology.kubernetes.io/zone']"}
{{- with .Values.keys.existingSecret }}
- name: NARU_GATEWAY__KEYS__FILE
  value: {{ printf "/etc/naru/keys/%s" $.Values.keys.file | quote }}
{{- end }}
{{- with include "naru.developmentSecret" . }}
{{ include "naru.secretVariable" (dict "name" "NARU_API_KEY" "secret" . "key" "api-key") }}
{{- end }}
{{- with .Values.redis.existingSecret }}
{{ include "naru.secretVariable" (dict "name" "NARU_GATEWAY__REDIS__URL" "secret" . "key" $.Values.redis.key) }}
{{- end }}
{{- with $gateway.admin.existingSecret }}
{{ include "naru.secretVariable" (dict "name" "NARU_GATEWAY__ADMIN__API_KEY" "secret" . "key" $gateway.admin.key) }}
{{- end }}
{{- with $gateway.upstreamKey.existingSecret }}
{{ include "naru.secretVariable" (dict "name" "NARU_GATEWAY__UPSTREAM__API_KEY" "secret" . "key" $gateway.upstreamKey.key) }}
{{- end }}
{{- if $gateway.grpc.tls.existingSecret }}
- name: NARU_GATEWAY__GRPC__TLS__CERTIFICATE
  value: /etc/naru/grpc-tls/tls.crt
- name: NARU_GATEWAY__GRPC__TLS__KEY
  value: /etc/naru/grpc-tls/tls.key
{{- if $gateway.grpc.tls.clientCertificates }}
- name: NARU_GATEWAY__GRPC__TLS__CLIENT_AUTHORITY
  value: /etc/naru/grpc-tls/ca.crt
{{- end }}
{{- end }}
{{- include "naru.settings" (dict "prefix" "NARU_GATEWAY" "settings" $gateway.settings) }}
{{- end -}}

{{- define "naru.gatewayVolumes" -}}
- name: tmp
  emptyDir: {}
- name: registry
  configMap:
    name: {{ printf "%s-registry" (include "naru.fullname" .) | quote }}
{{- with .Values.keys.existingSecret }}
- name: keys
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
{{- end }}
{{- with .Values.gateway.grpc.tls.existingSecret }}
- name: grpc-tls
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
{{- end }}
{{- end -}}
