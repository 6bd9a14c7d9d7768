{{- /* The pod template of a version: `root`, `version`, and `worker` for the pods of a LeaderWorkerSet that follow. */ -}}
{{- define "naru.modelPod" -}}
{{- $version := .version -}}
{{- $pool := $version.pool -}}
metadata:
  # No version of the chart here: an upgrade of it must not start models anew that it does not change.
  labels:
    {{- include "naru.versionSelector" . | nindent 4 }}
  annotations:
    # The names as clients know them, which labels can't hold: Prometheus gives them to the engine's metrics.
    naru-serving/model: {{ $version.model | quote }}
    naru-serving/version: {{ $version.label | quote }}
    {{- with $version.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "naru.modelAccount" .root | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "naru.grace" $version }}
  securityContext:
    {{- include "naru.podSecurity" .root | nindent 4 }}
  {{- with include "naru.pullSecrets" .root }}{{ . | nindent 2 }}{{ end }}
  {{- with $pool.runtimeClassName }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
  {{- with $version.priorityClassName | default $pool.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with $pool.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "naru.tolerations" $pool.tolerations }}{{ . | nindent 2 }}{{ end }}
  {{- with include "naru.modelSpread" . }}{{ . | nindent 2 }}{{ end }}
  {{- if and (gt (int $version.gpus) 0) $pool.dra.enabled }}
  resourceClaims:
    - name: gpus
      resourceClaimTemplateName: {{ $version.name | quote }}
  {{- end }}
  {{- if $version.prepare }}
  initContainers:
    {{- include "naru.modelContainer" (dict "root" .root "version" $version "prepare" true) | nindent 4 }}
  {{- end }}
  containers:
    {{- include "naru.modelContainer" . | nindent 4 }}
  volumes:
    {{- include "naru.modelVolumes" $version | nindent 4 }}
{{- end -}}

{{- define "naru.modelSpread" -}}
{{- $spread := .version.pool.topologySpread -}}
{{- if and $spread.key (not .worker) -}}
topologySpreadConstraints:
  - topologyKey: {{ $spread.key | quote }}
    maxSkew: {{ int $spread.maxSkew }}
    whenUnsatisfiable: {{ $spread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "naru.versionSelector" . | nindent 8 }}
{{- end }}
{{- end -}}

{{- define "naru.modelVolumes" -}}
- name: tmp
  emptyDir: {}
- name: cache
{{- if eq .storage.type "pvc" }}
  persistentVolumeClaim:
    claimName: {{ .storage.existingClaim | default .name | quote }}
{{- else if eq .storage.type "hostPath" }}
  hostPath:
    path: {{ .storage.hostPath | quote }}
    type: Directory
{{- else }}
  emptyDir:
    sizeLimit: {{ .storage.size | quote }}
{{- end }}
{{- with .sharedMemory }}
- name: shared-memory
  emptyDir:
    medium: Memory
    sizeLimit: {{ . | quote }}
{{- end }}
{{- with .modelClaim }}
- name: models
  persistentVolumeClaim:
    claimName: {{ . | quote }}
    readOnly: true
{{- end }}
{{- if hasPrefix "oci://" .source }}
- name: weights
  image:
    reference: {{ trimPrefix "oci://" .source | quote }}
    pullPolicy: IfNotPresent
{{- end }}
{{- end -}}
