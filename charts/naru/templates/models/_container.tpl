{{- /* The container of a model, or the one that prepares it: `root`, `version`, and `worker` or `prepare` where it is that. */ -}}
{{- define "naru.modelContainer" -}}
{{- $version := .version -}}
- name: {{ ternary "prepare" "model" (not (empty .prepare)) | quote }}
  image: {{ include "naru.versionImage" . | quote }}
  imagePullPolicy: {{ .root.Values.images.pullPolicy }}
  securityContext:
    {{- include "naru.containerSecurity" . | nindent 4 }}
{{- if .prepare }}
  command: {{ toJson $version.prepare }}
{{- else if eq $version.variant "vllm" }}
  command: [vllm, serve]
  args:
    {{- include "naru.vllmArguments" . | nindent 4 }}
{{- else if $version.command }}
  command: {{ toJson $version.command }}
{{- end }}
  env:
    {{- include "naru.modelEnvironment" . | nindent 4 }}
    {{- include "naru.variables" $version.env | nindent 4 }}
  {{- if not .prepare }}
  {{- if not .worker }}
  ports:
    - name: http
      containerPort: {{ int $version.containerPort }}
  {{- include "naru.modelProbes" $version | nindent 2 }}
  {{- end }}
  lifecycle:
    preStop:
      sleep:
        {{- /* A follower stays until its leader has drained: without it the leader's engine is gone. */}}
        seconds: {{ add (int $version.preStop) (ternary (int $version.drainTimeout) 0 (not (empty .worker))) }}
  {{- end }}
  resources:
    {{- include "naru.modelResources" . | nindent 4 }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    - name: cache
      mountPath: /var/cache/naru
    {{- if $version.sharedMemory }}
    - name: shared-memory
      mountPath: /dev/shm
    {{- end }}
    {{- if $version.modelClaim }}
    - name: models
      mountPath: /models
      readOnly: true
    {{- end }}
    {{- if hasPrefix "oci://" $version.source }}
    - name: weights
      mountPath: /weights
      readOnly: true
    {{- end }}
{{- end -}}

{{- /*
While the start-up probe has not succeeded, the others are not asked: a model that loads is let load until
`loading.deadline`, a process that ends is started anew at once, and an engine that dies later is found by liveness.
*/ -}}
{{- define "naru.modelProbes" -}}
startupProbe:
  httpGet: {path: {{ .health.live }}, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: {{ divf (int .loading.deadline) 5 | ceil | int }}
readinessProbe:
  httpGet: {path: {{ .health.ready }}, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
livenessProbe:
  httpGet: {path: {{ .health.live }}, port: http}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 6
{{- end -}}

{{- /* The variables that the chart itself sets in a version's containers. */ -}}
{{- define "naru.modelEnvironment" -}}
{{- $version := .version -}}
{{- if eq $version.variant "vllm" -}}
{{ include "naru.vllmEnvironment" $version }}
{{- else if eq $version.variant "vllmCpu" -}}
{{ include "naru.vllmCpuEnvironment" $version }}
{{- else -}}
{{ include "naru.bentoEnvironment" $version }}
{{- end }}
{{- if hasPrefix "vllm" $version.variant }}
{{- with .root.Values.huggingFace }}
{{- if .existingSecret }}
{{ include "naru.secretVariable" (dict "name" "HF_TOKEN" "secret" .existingSecret "key" .key) }}
{{- end }}
{{- if .endpoint }}
- name: HF_ENDPOINT
  value: {{ .endpoint | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "naru.bentoEnvironment" -}}
- name: NARU_CACHE
  value: /var/cache/naru
- name: BENTOML_DO_NOT_TRACK
  value: "True"
- name: BENTOML_HOME
  value: /tmp/bentoml
{{- if .bento }}
{{- $own := dict "host" "0.0.0.0" "port" (int .containerPort) "model" .model "version" .label }}
{{- include "naru.settings" (dict "prefix" (printf "NARU_%s" (upper .bento)) "settings" (mergeOverwrite (deepCopy .settings) $own)) }}
{{- end }}
{{- end -}}

{{- /* Requests and limits, with the GPUs: as an extended resource or as a claim. */ -}}
{{- define "naru.modelResources" -}}
{{- $resources := deepCopy .version.resources -}}
{{- if gt (int .version.gpus) 0 -}}
{{- if .version.pool.dra.enabled -}}
{{- $_ := set $resources "claims" (list (dict "name" "gpus")) -}}
{{- else -}}
{{- $_ := set $resources "limits" (merge (dict .version.pool.resource (int .version.gpus)) (default dict $resources.limits)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}
